package cibgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Outcome is a decision in a form that two schedulers can be compared by.
type Outcome struct {
	Actions []string // "TASK RESOURCE NODE [INTERVAL-MS] [DETAIL]" of every real action, sorted
	State   []string // "RESOURCE NODE ROLE" for all that is active afterwards, sorted
}

// Facts are what the reference says of a document that both outcomes are to be
// put in terms of.
type Facts struct {
	Unique map[string]bool // primitives whose instances differ from each other
	Online map[string]bool // nodes that are online afterwards

	// Active is what is active to begin with: "RESOURCE NODE", resources without
	// instance numbers.
	Active map[string]bool

	// Shuffled: an instance of an anonymous clone stops on a node where another
	// instance of it starts.
	Shuffled bool

	// Moved are the starts and stops, as in Outcome.Actions, of what starts on one
	// node and stops on another: of instances of clones and of bundles' containers.
	Moved []string

	// ProbeStops: a resource stops because something cannot be probed.
	ProbeStops bool

	// HalfMigrated: a live migration that had not begun is completed.
	HalfMigrated bool
}

// Simulator is Pacemaker's crm_simulate, the reference to compare with.
type Simulator struct {
	Program string // path of crm_simulate
	Dir     string // for files in passing

	// Unchecked has documents read without validation against their schema,
	// which takes most of the time that a small one needs.
	Unchecked bool
}

// containerName matches the end of the name of a bundle's container.
var containerName = regexp.MustCompile(`-(docker|podman)-[0-9]+$`)

var schemaName = regexp.MustCompile(`validate-with="[^"]*"`)

// ErrAborted means that crm_simulate itself failed on the document.
var ErrAborted = errors.New("crm_simulate gave up")

// Run lets crm_simulate decide on a document at a moment, and returns the
// outcome with the facts that it rests on.
func (s Simulator) Run(document []byte, now time.Time) (Outcome, Facts, error) {
	if s.Unchecked {
		document = schemaName.ReplaceAll(document, []byte(`validate-with="none"`))
	}
	in, graph := filepath.Join(s.Dir, "in.xml"), filepath.Join(s.Dir, "graph.xml")
	if err := os.WriteFile(in, document, 0o600); err != nil {
		return Outcome{}, Facts{}, err
	}
	_ = os.Remove(graph) // of the run before; may not exist
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Program, "--xml-file", in, "--simulate", "--output-as=xml",
		"--save-graph", graph, "--set-datetime", now.UTC().Format("2006-01-02 15:04:05Z"))
	text, err := cmd.Output()
	if err != nil {
		return Outcome{}, Facts{}, fmt.Errorf("%w: %v", ErrAborted, err)
	}
	result, err := Parse(text)
	if err != nil {
		return Outcome{}, Facts{}, fmt.Errorf("%w: its output: %v", ErrAborted, err)
	}
	data, err := os.ReadFile(graph)
	if err != nil {
		return Outcome{}, Facts{}, fmt.Errorf("%w: its graph: %v", ErrAborted, err)
	}
	transitions, err := Parse(data)
	if err != nil {
		return Outcome{}, Facts{}, fmt.Errorf("%w: its graph: %v", ErrAborted, err)
	}
	facts := Facts{}
	result.each("rsc_action", func(a *Element) {
		reason := a.Attr("reason")
		if strings.HasPrefix(reason, "unrunnable ") && strings.HasSuffix(reason, " monitor") {
			facts.ProbeStops = true
		}
	})
	facts.Active = map[string]bool{}
	unique, up := map[string]bool{}, map[string]bool{}
	var out Outcome
	for _, section := range result.Children {
		switch section.Name {
		case "cluster_status":
			uniqueIn(section, false, unique)
			section.each("resource", func(r *Element) {
				for _, n := range r.Children {
					if n.Name == "node" && r.Attr("active") == "true" {
						facts.Active[stripInstance(r.Attr("id"))+" "+n.Attr("name")] = true
					}
				}
			})
		case "revised_cluster_status":
			out.State = finalState(section, unique, up)
		}
	}
	for _, synapse := range transitions.Children {
		for _, set := range synapse.Children {
			if set.Name != "action_set" {
				continue
			}
			for _, a := range set.Children {
				if line := actionLine(a, unique); line != "" {
					out.Actions = append(out.Actions, line)
				}
			}
		}
	}
	sort.Strings(out.Actions)
	out.State = withoutAccidents(out)
	facts.HalfMigrated = halfMigrated(transitions, document)
	facts.Unique, facts.Online = unique, up
	facts.Shuffled, facts.Moved = shuffled(transitions, unique, facts.Active)
	return out, facts, nil
}

// withoutAccidents leaves out what is shown as active where the rehearsal of the
// actions decides it by accident: crm_simulate 2.1.5 records a cancelled monitor,
// and one that runs on a node after the stop there, as having found the resource
// active.
func withoutAccidents(o Outcome) []string {
	seen := map[string]bool{}
	for _, line := range o.Actions {
		if words := strings.Fields(line); len(words) > 2 {
			seen[words[0]+" "+words[1]+" "+words[2]] = true
		}
	}
	var kept []string
	for _, line := range o.State {
		words := strings.Fields(line)
		where := " " + words[0] + " " + words[1]
		if !seen["cancel"+where] && !(seen["stop"+where] && seen["monitor"+where] && !seen["start"+where]) {
			kept = append(kept, line)
		}
	}
	return kept
}

// uniqueIn collects the ids of primitives in globally unique clones.
func uniqueIn(e *Element, inside bool, unique map[string]bool) {
	inside = inside || (e.Name == "clone" || e.Name == "bundle") && e.Attr("unique") == "true"
	if e.Name == "resource" && inside {
		unique[stripInstance(e.Attr("id"))] = true
	}
	for _, c := range e.Children {
		uniqueIn(c, inside, unique)
	}
}

// Neutral is an instance's name as compared: with its number only if instances
// differ from each other.
func Neutral(id string, unique map[string]bool) string {
	if base := stripInstance(id); !unique[base] {
		return base
	}
	return id
}

func stripInstance(id string) string {
	i := strings.LastIndexByte(id, ':')
	if i <= 0 {
		return id
	}
	if _, err := strconv.Atoi(id[i+1:]); err != nil {
		return id
	}
	return id[:i]
}

// finalState lists what is active on nodes that are online, and notes those.
func finalState(section *Element, unique, up map[string]bool) []string {
	var lines []string
	var visit func(*Element)
	visit = func(e *Element) {
		if e.Name == "resource" && e.Attr("active") == "true" {
			for _, n := range e.Children {
				if n.Name == "node" && up[n.Attr("name")] {
					lines = append(lines, StateLine(Neutral(e.Attr("id"), unique), n.Attr("name"), e.Attr("role")))
				}
			}
		}
		for _, c := range e.Children {
			visit(c)
		}
	}
	for _, part := range section.Children {
		if part.Name == "nodes" {
			for _, n := range part.Children {
				up[n.Attr("name")] = n.Attr("online") == "true"
			}
		}
	}
	visit(section)
	sort.Strings(lines)
	return lines
}

// StateLine is one line of Outcome.State; Started and Unpromoted are the same.
func StateLine(resource, node, role string) string {
	if role != "Promoted" {
		role = "Started"
	}
	return resource + " " + node + " " + role
}

// actionLine writes a real action of a transition graph, "" for others.
func actionLine(a *Element, unique map[string]bool) string {
	if a.Name != "rsc_op" && a.Name != "crm_event" {
		return ""
	}
	attr := func(name string) string {
		for _, c := range a.Children {
			if c.Name == "attributes" {
				return c.Attr(name)
			}
		}
		return ""
	}
	resource := ""
	for _, c := range a.Children {
		if c.Name == "primitive" {
			resource = Neutral(instanceOf(c), unique)
		}
	}
	task, detail := a.Attr("operation"), ""
	interval := int64(0)
	key := a.Attr("operation_key")
	if i := strings.LastIndexByte(key, '_'); i >= 0 {
		interval, _ = strconv.ParseInt(key[i+1:], 10, 64) // not a number: none
	}
	switch task {
	case "monitor":
		if interval == 0 {
			task = "probe"
		}
	case "notify":
		detail = attr("CRM_meta_notify_type") + "-" + attr("CRM_meta_notify_operation")
	case "stonith":
		task, detail = "fence", attr("CRM_meta_stonith_action")
	case "delete":
		task = "cleanup"
	case "lrm_delete":
		task = "forget"
	case "do_shutdown":
		task = "shutdown"
	case "reload-agent":
		task = "reload"
	}
	if task != "monitor" && task != "cancel" {
		interval = 0
	}
	return ActionLine(task, resource, a.Attr("on_node"), interval, detail)
}

// instanceOf is the id, with its instance number if it has one, of the primitive
// that an action of a transition graph is about.
func instanceOf(primitive *Element) string {
	id := primitive.Attr("long-id")
	if id == "" {
		return primitive.Attr("id")
	}
	// Instances are called CLONE:ID:NUMBER.
	if parts := strings.Split(id, ":"); len(parts) > 2 {
		id = strings.Join(parts[len(parts)-2:], ":")
	}
	return id
}

// shuffled tells whether a transition graph exchanges instances of an anonymous
// clone for one another, and what instances and containers it moves.
func shuffled(transitions *Element, unique, active map[string]bool) (exchanged bool, moved []string) {
	stopped, started := map[string]string{}, map[string]string{} // instance by id and node
	from, to := map[string]string{}, map[string]string{}         // node by instance
	transitions.each("rsc_op", func(a *Element) {
		a.each("primitive", func(p *Element) {
			id, node := instanceOf(p), a.Attr("on_node")
			base := stripInstance(id)
			if id == base && !containerName.MatchString(id) {
				return
			}
			where := base + " " + node
			if unique[base] {
				where = id + " " + node // another instance is no exchange
			}
			switch a.Attr("operation") {
			case "stop":
				stopped[where], from[id] = id, node
			case "start":
				started[where], to[id] = id, node
			}
		})
	})
	for where := range active { // stops that fencing implies do not say what stops
		if id, node, _ := strings.Cut(where, " "); containerName.MatchString(id) && from[id] == "" {
			from[id] = node
		}
	}
	for where, id := range started {
		if old, ok := stopped[where]; ok && old != id {
			exchanged = true
		}
	}
	for id, node := range to {
		if old, ok := from[id]; ok && old != node {
			moved = append(moved, ActionLine("start", Neutral(id, unique), node, 0, ""), ActionLine("stop", Neutral(id, unique), old, 0, ""))
		}
	}
	return exchanged, moved
}

// halfMigrated tells whether a transition graph ends a live migration that it does
// not begin and that the document's history does not know of, or begins one that it
// does not end.
func halfMigrated(transitions *Element, document []byte) bool {
	begun, ended := map[string]bool{}, map[string]bool{}
	transitions.each("rsc_op", func(a *Element) {
		switch key := a.Attr("operation_key"); a.Attr("operation") {
		case "migrate_to":
			begun[key] = true
		case "migrate_from":
			ended[strings.Replace(key, "_migrate_from_", "_migrate_to_", 1)] = true
		}
	})
	for key := range begun {
		if !ended[key] {
			return true
		}
	}
	for key := range ended {
		if !begun[key] && !bytes.Contains(document, []byte(`operation_key="`+key+`"`)) {
			return true
		}
	}
	return false
}

// ActionLine is one line of Outcome.Actions.
func ActionLine(task, resource, node string, interval int64, detail string) string {
	line := task + " " + resource + " " + node
	if interval != 0 {
		line += " " + strconv.FormatInt(interval, 10)
	}
	if detail != "" {
		line += " " + detail
	}
	return line
}

// Difference lists what is in only one of two sorted multisets: "-" only in
// want, "+" only in got.
func Difference(want, got []string) []string {
	var out []string
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case j == len(got) || i < len(want) && want[i] < got[j]:
			out = append(out, "- "+want[i])
			i++
		case i == len(want) || got[j] < want[i]:
			out = append(out, "+ "+got[j])
			j++
		default:
			i++
			j++
		}
	}
	return out
}
