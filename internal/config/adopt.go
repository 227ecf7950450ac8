package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// RemarkKind says what became of something when a configuration was adopted.
type RemarkKind string

const (
	LeftOut    RemarkKind = "left out"    // it has no counterpart, and is not in the text
	ToMend     RemarkKind = "to mend"     // it is in the text, which is refused until a person has mended it
	Differs    RemarkKind = "differs"     // it is in the text, but this cluster does something else with it
	NoEffect   RemarkKind = "no effect"   // it is in the text, and tunes a part of Pacemaker that does not exist here
	SpelledOut RemarkKind = "spelled out" // the text says what Pacemaker does without being told
)

// Remark is something to know about an adopted configuration.
type Remark struct {
	Kind RemarkKind `json:"kind"`
	At   string     `json:"at"` // the object: "resource vip"
	Text string     `json:"text"`
}

// Adopt returns the text of a configuration that was written for Pacemaker, under
// the cluster's name, and what a person should know about it. It means here what
// it meant there, but for what the remarks say: defaults that differ are spelled
// out, references by id are replaced by what they stand for, and ids that only
// these needed are gone. Where no remark is ToMend, Parse accepts the text.
func Adopt(cfg *cluster.Config, name string) ([]byte, []Remark) {
	a := &adopter{from: cfg, refs: cluster.NewReferences(cfg)}
	c := a.config(name)
	text := Format(c)
	if _, err := Parse(Source{Name: name, Text: text}); err != nil {
		a.toMend(c, err)
	}
	return text, a.remarks
}

// toMend remarks on all that keeps the text from being accepted: what reading it
// says, and what is wrong beyond the first stage of that.
func (a *adopter) toMend(c *cluster.Config, err error) {
	said := map[string]bool{}
	add := func(at, what, hint string) {
		if said[what] {
			return
		}
		said[what] = true
		if hint != "" {
			what += "; " + hint
		}
		a.remark(ToMend, at, "%s", what)
	}
	for _, e := range Errors(err) {
		add(fmt.Sprintf("line %d", e.Line), e.Summary, e.Hint)
	}
	for _, p := range append(Validate(c), CheckAgents(c)...) {
		add("further on", p.At+": "+p.Text, p.Hint)
	}
}

// adopter turns a configuration of Pacemaker's into one that the language can say.
type adopter struct {
	from    *cluster.Config
	refs    *cluster.References
	remarks []Remark
}

func (a *adopter) remark(kind RemarkKind, at, format string, args ...any) {
	a.remarks = append(a.remarks, Remark{kind, at, fmt.Sprintf(format, args...)})
}

func (a *adopter) config(name string) *cluster.Config {
	from := a.from
	c := &cluster.Config{Name: name, Tags: a.tags()}
	c.Options = a.options()
	for i := range from.Nodes {
		c.Nodes = append(c.Nodes, a.node(&from.Nodes[i]))
	}
	for i := range from.Templates {
		c.Templates = append(c.Templates, a.primitive("template "+from.Templates[i].ID, &from.Templates[i]))
	}
	for i := range from.Resources {
		c.Resources = append(c.Resources, a.resource(&from.Resources[i]))
	}
	a.constraints(c)
	for _, l := range from.FencingLevels {
		l.ID = ""
		c.FencingLevels = append(c.FencingLevels, l)
	}
	c.ResourceDefaults = a.sets("defaults", "meta-attribute", from.ResourceDefaults, meta)
	c.OperationDefaults = a.sets("defaults", "property of operations", from.OperationDefaults, operationAttrs)
	a.spellOutStickiness(c)
	a.access(c)
	for _, p := range Unacted(c) {
		a.remark(Differs, p.At, "%s; %s", p.Text, p.Hint)
	}
	for _, p := range WithoutEffect(c) {
		a.remark(NoEffect, p.At, "%s", p.Text)
	}
	if c.FencingEnabled() && len(c.FenceDevices()) == 0 {
		a.remark(Differs, "cluster "+name, "fencing is on and there is no fence device: Pacemaker would start nothing; here services run, and those of a "+
			"lost node wait for 'ha fence confirm'")
	}
	return c
}

// pacemakersOwn are cluster options that Pacemaker itself writes for others to read.
var pacemakersOwn = []string{"cluster-name", "cluster-infrastructure", "dc-version", "last-lrm-refresh", "have-watchdog"}

func (a *adopter) options() []cluster.AttrSet {
	sets := slices.Clone(a.from.Options)
	for i := range sets {
		sets[i].Pairs = slices.DeleteFunc(slices.Clone(sets[i].Pairs), func(p cluster.NVPair) bool { return slices.Contains(pacemakersOwn, p.Name) })
		if sets[i].ID == "cib-bootstrap-options" { // is tried before all others
			sets[i].Score = scoreNumber("INFINITY")
			first := sets[i]
			sets = append(slices.Delete(sets, i, i+1), first)
		}
	}
	out := a.sets("cluster", "cluster option", sets, options)
	if cluster.IsTrue(a.from.Option("have-watchdog")) || cluster.Value(out, "fencing-watchdog-timeout") != "" {
		a.remark(Differs, "cluster", `Pacemaker relied on watchdogs (sbd); here they count once the cluster block has watchdog = { device = "/dev/watchdog" }`)
	}
	return out
}

func (a *adopter) node(n *cluster.Node) cluster.Node {
	at := "node " + n.Name
	out := cluster.Node{Name: n.Name, Kind: n.Kind, Score: a.value(at, "score", n.Score, score), Utilization: a.sets(at, "", n.Utilization, nil)}
	out.Attributes = a.sets(at, "", n.Attributes, nil)
	if len(out.Attributes) == 0 || !simple(out.Attributes[0]) {
		return out
	}
	// The words of the language come first, as they are read.
	rank := func(p cluster.NVPair) int { return (slices.Index([]string{"standby", "maintenance"}, p.Name) + 3) % 3 }
	pairs := out.Attributes[0].Pairs
	for i, p := range pairs {
		if v, err := (spec{kind: boolean}).canonical(p.Value); err == nil && rank(p) < 2 {
			pairs[i].Value = v
		}
	}
	slices.SortStableFunc(pairs, func(p, q cluster.NVPair) int { return rank(p) - rank(q) })
	return out
}

func (a *adopter) tags() []cluster.Tag {
	var out []cluster.Tag
	for _, t := range a.from.Tags {
		tag := cluster.Tag{ID: t.ID}
		for _, id := range t.References {
			if a.refs.Resources[id] != nil || slices.ContainsFunc(a.from.Nodes, func(n cluster.Node) bool { return strings.EqualFold(n.Name, id) }) {
				tag.References = append(tag.References, id)
			} else {
				a.remark(LeftOut, "tag "+t.ID, "%q is neither a resource nor a node", id)
			}
		}
		if len(tag.References) > 0 {
			out = append(out, tag)
		}
	}
	return out
}

// stickiness is the meta-attribute whose default differs: Pacemaker's is 1 for
// clones and 0 for all else, ours is 1.
const stickiness = "resource-stickiness"

// spellOutStickiness writes Pacemaker's default stickiness where nothing else is said.
func (a *adopter) spellOutStickiness(c *cluster.Config) {
	conditional := false
	for _, s := range c.ResourceDefaults {
		if saysStickiness(s) {
			if s.Rule == nil {
				return
			}
			conditional = true
		}
	}
	zero := cluster.NVPair{Name: stickiness, Value: "0"}
	if len(c.ResourceDefaults) > 0 && !simple(c.ResourceDefaults[0]) {
		c.ResourceDefaults = append(c.ResourceDefaults, cluster.AttrSet{ID: "pacemaker-default", Score: scoreNumber("-INFINITY"), Pairs: []cluster.NVPair{zero}})
	} else {
		c.ResourceDefaults = addPlain(c.ResourceDefaults, zero)
	}
	a.remark(SpelledOut, "defaults", "resource_stickiness = 0 (clones: 1) as with Pacemaker; leave it out, and what runs stays where it is (1)")
	for i := range c.Resources {
		r := &c.Resources[i]
		if r.Kind != cluster.Clone || slices.ContainsFunc(r.Meta, saysStickiness) {
			continue
		}
		if conditional {
			a.remark(Differs, title(r), "its stickiness is 0, not 1, while no rule of the defaults says otherwise")
		} else {
			r.Meta = addPlain(r.Meta, cluster.NVPair{Name: stickiness, Value: "1"})
		}
	}
}

func saysStickiness(s cluster.AttrSet) bool {
	return slices.ContainsFunc(s.Pairs, func(p cluster.NVPair) bool { return p.Name == stickiness })
}

// addPlain adds a pair to the unconditional first block, or before all others.
func addPlain(sets []cluster.AttrSet, p cluster.NVPair) []cluster.AttrSet {
	if len(sets) > 0 && simple(sets[0]) {
		sets[0].Pairs = append(sets[0].Pairs, p)
		return sets
	}
	return append([]cluster.AttrSet{{Pairs: []cluster.NVPair{p}}}, sets...)
}

func (a *adopter) access(c *cluster.Config) {
	for _, from := range a.from.Alerts {
		at := "alert " + from.ID
		alert := from
		alert.Params, alert.Meta, alert.Recipients = a.sets(at, "", from.Params, nil), a.sets(at, "meta-attribute of alerts", from.Meta, alertMeta), nil
		for _, r := range from.Recipients {
			r.Params, r.Meta = a.sets(at, "", r.Params, nil), a.sets(at, "meta-attribute of alerts", r.Meta, alertMeta)
			if len(r.Params)+len(r.Meta) == 0 {
				r.ID = ""
			}
			alert.Recipients = append(alert.Recipients, r)
		}
		c.Alerts = append(c.Alerts, alert)
	}
	for _, role := range a.from.ACLRoles {
		role.Permissions = slices.Clone(role.Permissions)
		for i := range role.Permissions {
			role.Permissions[i].ID = ""
		}
		c.ACLRoles = append(c.ACLRoles, role)
	}
	c.ACLTargets = a.from.ACLTargets
}

// loosely reads a value as Pacemaker does: what follows a number is ignored.
func (s spec) loosely(value string) (string, error) {
	v, err := s.canonical(strings.TrimSpace(value))
	if err == nil || s.values != nil {
		return v, err
	}
	switch s.kind {
	case integer, score:
		number := strings.TrimSpace(value)
		digits := strings.TrimLeft(strings.TrimLeft(number, "+-"), "0123456789")
		if n, wrong := strconv.Atoi(strings.TrimSuffix(number, digits)); wrong == nil {
			return strconv.Itoa(n), nil
		}
	case duration:
		compact := strings.ReplaceAll(strings.ToUpper(value), " ", "")
		if rest, ok := strings.CutPrefix(compact, "P"); ok && !strings.ContainsAny(rest, "TYMWD") {
			compact = "PT" + rest
		}
		if v, wrong := canonicalDuration(strings.ToLower(compact)); wrong == nil {
			return v, nil
		}
		if v, wrong := canonicalDuration(compact); wrong == nil {
			return v, nil
		}
	}
	return "", err
}
