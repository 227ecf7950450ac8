package pacemaker

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"sort"
	"strconv"

	"linuxha/internal/cluster"
)

// Format writes a configuration and status as a CIB document that Pacemaker 2.1
// reads: options under the names that it knows, ids where the schema wants them.
// Parse reads it back to the same model, but for those ids.
func Format(config *cluster.Config, status *cluster.Status) []byte {
	w := &writer{}
	w.buf.WriteString(xml.Header)
	var attrs []string
	attrs = append(attrs, "crm_feature_set", "3.16.1", "validate-with", "pacemaker-3.9", "epoch", "1", "num_updates", "0", "admin_epoch", "0",
		"have-quorum", bit(status.Quorate))
	if status.QuorumPanic {
		attrs = append(attrs, "no-quorum-panic", "true")
	}
	attrs = append(attrs, optional("dc-uuid", status.Coordinator)...)
	if !status.ExecutionDate.IsZero() {
		attrs = append(attrs, "execution-date", strconv.FormatInt(status.ExecutionDate.Unix(), 10))
	}
	w.open("cib", attrs...)
	w.configuration(config)
	w.status(status)
	w.close("cib")
	return w.buf.Bytes()
}

// writer writes elements; numbered ids are made for blocks that have none.
type writer struct {
	buf    bytes.Buffer
	depth  int
	number int
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// optional returns the name and value unless the value is empty.
func optional(nameValues ...string) []string {
	var out []string
	for i := 0; i+1 < len(nameValues); i += 2 {
		if nameValues[i+1] != "" {
			out = append(out, nameValues[i], nameValues[i+1])
		}
	}
	return out
}

func (w *writer) tag(end string, name string, attrs []string) {
	for range w.depth {
		w.buf.WriteString("  ")
	}
	w.buf.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		w.buf.WriteString(" " + attrs[i] + `="`)
		_ = xml.EscapeText(&w.buf, []byte(attrs[i+1])) // a bytes.Buffer takes everything
		w.buf.WriteString(`"`)
	}
	w.buf.WriteString(end + "\n")
}

func (w *writer) open(name string, attrs ...string)  { w.tag(">", name, attrs); w.depth++ }
func (w *writer) empty(name string, attrs ...string) { w.tag("/>", name, attrs) }
func (w *writer) close(name string) {
	w.depth--
	for range w.depth {
		w.buf.WriteString("  ")
	}
	w.buf.WriteString("</" + name + ">\n")
}

// id returns have, or a fresh id.
func (w *writer) id(have string) string {
	if have != "" {
		return have
	}
	w.number++
	return fmt.Sprintf("id-%d", w.number)
}

// legacyOptions are the names before Pacemaker 3 of options that were renamed.
var legacyOptions = map[string]string{
	"fencing-enabled": "stonith-enabled", "fencing-action": "stonith-action", "fencing-timeout": "stonith-timeout",
	"fencing-max-attempts": "stonith-max-attempts", "fencing-watchdog-timeout": "stonith-watchdog-timeout",
	"fencing-reaction": "fence-reaction", "stop-removed-resources": "stop-orphan-resources", "cancel-removed-actions": "stop-orphan-actions",
}

func (w *writer) configuration(c *cluster.Config) {
	w.open("configuration")
	w.open("crm_config")
	w.attrSets("cluster_property_set", c.Options)
	w.close("crm_config")
	w.open("nodes")
	for i := range c.Nodes {
		w.node(&c.Nodes[i])
	}
	w.close("nodes")
	w.open("resources")
	for i := range c.Templates {
		w.primitive("template", &c.Templates[i])
	}
	for i := range c.Resources {
		w.resource(&c.Resources[i])
	}
	w.close("resources")
	w.constraints(c)
	if len(c.FencingLevels) > 0 {
		w.open("fencing-topology")
		for i := range c.FencingLevels {
			w.fencingLevel(&c.FencingLevels[i])
		}
		w.close("fencing-topology")
	}
	if len(c.OperationDefaults) > 0 {
		w.open("op_defaults")
		w.attrSets("meta_attributes", c.OperationDefaults)
		w.close("op_defaults")
	}
	if len(c.ResourceDefaults) > 0 {
		w.open("rsc_defaults")
		w.attrSets("meta_attributes", c.ResourceDefaults)
		w.close("rsc_defaults")
	}
	if len(c.Tags) > 0 {
		w.open("tags")
		for _, t := range c.Tags {
			w.open("tag", "id", t.ID)
			for _, ref := range t.References {
				w.empty("obj_ref", "id", ref)
			}
			w.close("tag")
		}
		w.close("tags")
	}
	w.close("configuration")
}

func (w *writer) node(n *cluster.Node) {
	id, kind := n.ID, "member"
	if id == "" {
		id = n.Name
	}
	if n.Kind == cluster.NodeRemote {
		kind = "remote"
	}
	w.open("node", append([]string{"id", id, "uname", n.Name, "type", kind}, optional("score", n.Score)...)...)
	w.attrSets("instance_attributes", n.Attributes)
	w.attrSets("utilization", n.Utilization)
	w.close("node")
}

// attrSets writes blocks of pairs.
func (w *writer) attrSets(tag string, sets []cluster.AttrSet) {
	for i := range sets {
		s := &sets[i]
		if s.Ref != "" {
			w.empty(tag, "id-ref", s.Ref)
			continue
		}
		attrs := []string{"id", w.id(s.ID)}
		if s.Score != 0 {
			attrs = append(attrs, "score", scoreText(s.Score))
		}
		w.open(tag, attrs...)
		if s.Rule != nil {
			w.rule(s.Rule)
		}
		for _, p := range s.Pairs {
			if p.Ref != "" {
				w.empty("nvpair", append([]string{"id-ref", p.Ref}, optional("name", p.Name)...)...)
				continue
			}
			name := p.Name
			if old, ok := legacyOptions[name]; ok && tag == "cluster_property_set" {
				name = old
			}
			w.empty("nvpair", "id", w.id(p.ID), "name", name, "value", p.Value)
		}
		w.close(tag)
	}
}

func scoreText(n int) string {
	switch {
	case n >= infinity:
		return "INFINITY"
	case n <= -infinity:
		return "-INFINITY"
	}
	return strconv.Itoa(n)
}

func (w *writer) rule(r *cluster.Rule) {
	if r.Ref != "" {
		w.empty("rule", "id-ref", r.Ref)
		return
	}
	attrs := []string{"id", w.id(r.ID)}
	if r.Or {
		attrs = append(attrs, "boolean-op", "or")
	}
	w.open("rule", append(attrs, optional("role", r.Role, "score", r.Score, "score-attribute", r.ScoreAttribute)...)...)
	for i := range r.Conditions {
		w.condition(&r.Conditions[i])
	}
	w.close("rule")
}

func (w *writer) condition(c *cluster.Condition) {
	switch {
	case c.Rule != nil:
		w.rule(c.Rule)
	case c.Attribute != nil:
		a := c.Attribute
		w.empty("expression", append([]string{"id", w.id(a.ID), "attribute", a.Attribute, "operation", a.Operation},
			optional("type", a.Type, "value", a.Value, "value-source", a.ValueSource)...)...)
	case c.Date != nil:
		d := c.Date
		w.open("date_expression", append([]string{"id", w.id(d.ID)}, optional("operation", d.Operation, "start", d.Start, "end", d.End)...)...)
		w.calendar("duration", d.Duration)
		w.calendar("date_spec", d.Spec)
		w.close("date_expression")
	case c.Resource != nil:
		x := c.Resource
		w.empty("rsc_expression", append([]string{"id", w.id(x.ID)}, optional("class", x.Class, "provider", x.Provider, "type", x.Type)...)...)
	case c.Operation != nil:
		x := c.Operation
		w.empty("op_expression", append([]string{"id", w.id(x.ID), "name", x.Name}, optional("interval", x.Interval)...)...)
	}
}

func (w *writer) calendar(tag string, fields map[string]string) {
	if fields == nil {
		return
	}
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	attrs := []string{"id", w.id("")}
	for _, name := range names {
		attrs = append(attrs, name, fields[name])
	}
	w.empty(tag, attrs...)
}

func (w *writer) fencingLevel(l *cluster.FencingLevel) {
	devices := ""
	for i, d := range l.Devices {
		if i > 0 {
			devices += ","
		}
		devices += d
	}
	w.empty("fencing-level", append([]string{"id", w.id(l.ID)}, optional("target", l.Target, "target-pattern", l.Pattern, "target-attribute", l.Attribute,
		"target-value", l.Value, "index", strconv.Itoa(l.Index), "devices", devices)...)...)
}
