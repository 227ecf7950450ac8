// Package metadata reads what OCF resource agents and fence agents print about
// themselves.
package metadata

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// MaxSize bounds what is read, in bytes.
const MaxSize = 1 << 20

// document is the resource-agent element of OCF's ra-api, 1.0 and 1.1, and of
// the fence agent interface, which differ in attributes only.
type document struct {
	XMLName   xml.Name `xml:"resource-agent"`
	ShortAttr string   `xml:"shortdesc,attr"`
	Version   string   `xml:"version"`
	Long      []text   `xml:"longdesc"`
	Short     []text   `xml:"shortdesc"`
	Params    []struct {
		Name        string `xml:"name,attr"`
		Unique      string `xml:"unique,attr"`
		UniqueGroup string `xml:"unique-group,attr"`
		Required    string `xml:"required,attr"`
		Reloadable  string `xml:"reloadable,attr"`
		Deprecated  string `xml:"deprecated,attr"`
		Long        []text `xml:"longdesc"`
		Short       []text `xml:"shortdesc"`
		Content     struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
		Old *struct {
			Replaced []struct {
				Name string `xml:"name,attr"`
			} `xml:"replaced-with"`
		} `xml:"deprecated"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name       string `xml:"name,attr"`
		Timeout    string `xml:"timeout,attr"`
		Interval   string `xml:"interval,attr"`
		StartDelay string `xml:"start-delay,attr"`
		Depth      string `xml:"depth,attr"`
		Role       string `xml:"role,attr"`
		OnTarget   string `xml:"on_target,attr"`
		Automatic  string `xml:"automatic,attr"`
	} `xml:"actions>action"`
	Special []struct {
		Tag   string `xml:"tag,attr"`
		Value string `xml:",chardata"`
	} `xml:"special"`
}

type text struct {
	Lang string `xml:"lang,attr"`
	Text string `xml:",chardata"`
}

// Parse reads an agent's metadata. Agents may print other things before the
// document; values that make no sense count as not given.
func Parse(agent cluster.Agent, data []byte) (*cluster.AgentMetadata, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("metadata of %s: more than %d bytes", agent, MaxSize)
	}
	start := bytes.Index(data, []byte("<resource-agent"))
	if start < 0 {
		return nil, fmt.Errorf("metadata of %s: holds no resource-agent element", agent)
	}
	var doc document
	d := xml.NewDecoder(bytes.NewReader(data[start:]))
	d.Strict = false
	d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", agent, err)
	}
	return doc.convert(agent), nil
}

func (doc *document) convert(agent cluster.Agent) *cluster.AgentMetadata {
	m := &cluster.AgentMetadata{
		Agent:   agent,
		Version: strings.TrimSpace(doc.Version),
		Short:   english(doc.Short),
		Long:    english(doc.Long),
	}
	if m.Short == "" {
		m.Short = clean(doc.ShortAttr)
	}
	for _, a := range doc.Actions {
		m.Actions = append(m.Actions, cluster.AdvisedAction{
			Name:       clean(a.Name),
			Timeout:    seconds(a.Timeout),
			Interval:   seconds(a.Interval),
			StartDelay: seconds(a.StartDelay),
			Depth:      clean(a.Depth),
			Role:       role(a.Role),
			OnTarget:   yes(a.OnTarget),
			Automatic:  yes(a.Automatic),
		})
	}
	// Before OCF 1.1 an agent that could reload took every parameter that was
	// not unique without a restart.
	legacyReload := m.Action("reload") != nil && m.Action("reload-agent") == nil
	for _, p := range doc.Params {
		param := cluster.AgentParameter{
			Name:        clean(p.Name),
			Type:        clean(p.Content.Type),
			Default:     strings.ToValidUTF8(p.Content.Default, "\uFFFD"),
			Required:    yes(p.Required),
			Unique:      yes(p.Unique),
			UniqueGroup: clean(p.UniqueGroup),
			Reloadable:  yes(p.Reloadable) || legacyReload && !yes(p.Unique),
			Deprecated:  yes(p.Deprecated) || p.Old != nil,
			Short:       english(p.Short),
			Long:        english(p.Long),
		}
		for _, o := range p.Content.Options {
			param.Options = append(param.Options, o.Value)
		}
		if p.Old != nil && len(p.Old.Replaced) > 0 {
			param.ReplacedBy = clean(p.Old.Replaced[0].Name)
		}
		if param.Name != "" && m.Parameter(param.Name) == nil {
			m.Parameters = append(m.Parameters, param)
		}
	}
	for _, s := range doc.Special {
		if m.Special == nil {
			m.Special = make(map[string]string)
		}
		m.Special[clean(s.Tag)] = clean(s.Value)
	}
	return m
}

// english picks the text in English, or the first.
func english(texts []text) string {
	for _, t := range texts {
		if t.Lang == "en" {
			return clean(t.Text)
		}
	}
	if len(texts) > 0 {
		return clean(texts[0].Text)
	}
	return ""
}

func clean(s string) string { return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD")) }

func yes(s string) bool {
	value, ok := cluster.Bool(clean(s))
	return ok && value
}

// seconds reads an advised time; what makes no sense is no advice.
func seconds(s string) time.Duration {
	d, err := cluster.ParseSeconds(s)
	if err != nil {
		return 0
	}
	return d
}

// role gives roles their names of OCF 1.1.
func role(s string) string {
	switch s = clean(s); s {
	case "Master":
		return "Promoted"
	case "Slave":
		return "Unpromoted"
	}
	return s
}
