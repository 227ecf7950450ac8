package differential

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Outcome is what a scheduler decides: the state after the transition and the
// actions on the way, both as multisets of lines, without what has no meaning
// (the numbers of anonymous instances, synchronisation points, implied actions).
type Outcome struct {
	State   map[string]int // "RESOURCE ROLE NODE"
	Actions map[string]int // "TASK RESOURCE NODE INTERVAL DETAIL"
	Probes  map[string]int
}

// ErrAborted means that crm_simulate itself crashed or refused the problem.
var ErrAborted = errors.New("crm_simulate aborted")

// Reference runs crm_simulate on a problem in dir, a scratch directory.
func Reference(ctx context.Context, dir string, p *Problem) (*Outcome, error) {
	cib, graph := filepath.Join(dir, "cib.xml"), filepath.Join(dir, "graph.xml")
	if err := os.WriteFile(cib, p.CIB(), 0o600); err != nil {
		return nil, err
	}
	os.Remove(graph)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "crm_simulate", "-x", cib, "-S", "-G", graph, "-t", strconv.Itoa(Now), "--output-as=xml")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TZ=UTC", "CIB_file="+cib)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrAborted, err, lastLine(errs.String()))
	}
	o := &Outcome{State: map[string]int{}, Actions: map[string]int{}, Probes: map[string]int{}}
	if err := o.readState(out.Bytes(), p); err != nil {
		return nil, fmt.Errorf("read crm_simulate's result: %w", err)
	}
	data, err := os.ReadFile(graph)
	if err != nil {
		return nil, fmt.Errorf("%w: no graph", ErrAborted)
	}
	if err := o.readGraph(data, p); err != nil {
		return nil, fmt.Errorf("read crm_simulate's graph: %w", err)
	}
	return o, nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

type xmlNode struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []xmlNode  `xml:",any"`
}

func (n *xmlNode) attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (n *xmlNode) child(name string) *xmlNode {
	for i := range n.Children {
		if n.Children[i].XMLName.Local == name {
			return &n.Children[i]
		}
	}
	return nil
}

func (o *Outcome) readState(data []byte, p *Problem) error {
	var doc xmlNode
	if err := xml.Unmarshal(data, &doc); err != nil {
		return err
	}
	revised := doc.child("revised_cluster_status")
	if revised == nil {
		return errors.New("there is no revised_cluster_status")
	}
	down := map[string]bool{}
	if nodes := revised.child("nodes"); nodes != nil {
		for i := range nodes.Children {
			n := &nodes.Children[i]
			down[n.attr("name")] = n.attr("online") == "false" && n.attr("unclean") == "false"
		}
	}
	var walk func(n *xmlNode)
	walk = func(n *xmlNode) {
		if n.XMLName.Local == "resource" && n.attr("role") != "Stopped" && n.attr("active") == "true" {
			for i := range n.Children {
				if node := n.Children[i].attr("name"); n.Children[i].XMLName.Local == "node" && !down[node] {
					o.State[stateLine(p, n.attr("id"), n.attr("role"), node)]++
				}
			}
		}
		for i := range n.Children {
			walk(&n.Children[i])
		}
	}
	if r := revised.child("resources"); r != nil {
		walk(r)
	}
	return nil
}

// stateLine makes the line of one active instance; Started and Unpromoted are
// the same.
func stateLine(p *Problem, id, role, node string) string {
	if role == "Unpromoted" || role == "Slave" {
		role = "Started"
	}
	if role == "Master" {
		role = "Promoted"
	}
	return plainID(p, id) + " " + role + " " + node
}

// plainID drops the instance number unless it is an identity.
func plainID(p *Problem, id string) string {
	base, _, numbered := strings.Cut(id, ":")
	if !numbered || uniqueClone(p, base) {
		return id
	}
	return base
}

func uniqueClone(p *Problem, id string) bool {
	for i := range p.Config.Resources {
		top := &p.Config.Resources[i]
		if len(top.Children) == 0 {
			continue
		}
		inside := top.Children[0].ID == id
		for j := range top.Children[0].Children {
			inside = inside || top.Children[0].Children[j].ID == id
		}
		if inside {
			return isUnique(top)
		}
	}
	return false
}

func (o *Outcome) readGraph(data []byte, p *Problem) error {
	var doc xmlNode
	if err := xml.Unmarshal(data, &doc); err != nil {
		return err
	}
	for i := range doc.Children {
		set := doc.Children[i].child("action_set")
		if set == nil {
			continue
		}
		for j := range set.Children {
			o.graphAction(&set.Children[j], p)
		}
	}
	return nil
}

// graphTasks are the operations of a graph that have another name with us.
var graphTasks = map[string]string{
	"stonith": "fence", "do_shutdown": "shutdown", "delete": "cleanup", "lrm_delete": "cleanup", "reload-agent": "reload",
	"clear_failcount": "clear_failcount", "lrm_forget": "forget",
}

func (o *Outcome) graphAction(e *xmlNode, p *Problem) {
	if e.XMLName.Local == "pseudo_event" {
		return
	}
	task := e.attr("operation")
	if t, ok := graphTasks[task]; ok {
		task = t
	}
	attrs := e.child("attributes")
	meta := func(name string) string {
		if attrs == nil {
			return ""
		}
		return attrs.attr("CRM_meta_" + name)
	}
	resource := ""
	if r := e.child("primitive"); r != nil {
		resource = plainID(p, r.attr("id"))
	}
	if resource == "" && task == "clear_failcount" {
		resource = plainID(p, strings.TrimSuffix(e.attr("operation_key"), "_clear_failcount_0"))
	}
	interval := meta("interval")
	if interval == "" {
		interval = "0"
	}
	detail := ""
	switch task {
	case "fence":
		detail = meta("stonith_action")
		resource = ""
	case "cancel":
		interval, detail = "0", meta("operation")+"/"+meta("interval")
	case "notify":
		detail = meta("notify_type") + "-" + meta("notify_operation")
	case "monitor":
		if interval == "0" {
			o.Probes[actionLine("probe", resource, e.attr("on_node"), "0", "")]++
			return
		}
	}
	o.Actions[actionLine(task, resource, e.attr("on_node"), interval, detail)]++
}

func actionLine(task, resource, node, interval, detail string) string {
	return strings.TrimSpace(strings.Join([]string{task, resource, node, interval, detail}, " "))
}
