package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cibgen"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

// mutations is how many of the recorded cases are changed and decided again.
const mutations = 500

// TestMutationsOfRecordedCases changes recorded cases where that has no meaning
// (other names, another order of what has no order) and expects the same
// decisions: of the mutated cases none may pass the judge less than it does
// unchanged.
func TestMutationsOfRecordedCases(t *testing.T) {
	dir := casesDir(t)
	cases := readCases(t, dir)
	if len(cases) < mutations {
		t.Fatalf("only %d cases", len(cases))
	}
	plain, mutated := t.TempDir(), t.TempDir()
	var names []string
	renamed := 0
	for i, c := range cases[:mutations] {
		names = append(names, c.Name)
		out, err := decide(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(plain, c.Name+".json"), out)
		raw, err := os.ReadFile(filepath.Join(dir, "xml", c.Name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		root, err := cibgen.Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		m := &mutator{Rand: rand.New(rand.NewPCG(uint64(i), 20))}
		m.shuffle(root)
		if canRename(raw) {
			m.rename(root)
			renamed++
		}
		out, err = decideMutated(root.Bytes(), c)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		write(t, filepath.Join(mutated, c.Name+".json"), bytes.ReplaceAll(out, []byte(prefix), nil))
	}
	t.Logf("%d of %d with other names", renamed, mutations)
	judge := buildJudge(t, dir)
	before, after := verdicts(t, judge, dir, plain, names), verdicts(t, judge, dir, mutated, names)
	for _, name := range names {
		if after[name] != before[name] {
			t.Errorf("%s: unchanged %q, mutated %q", name, before[name], after[name])
		}
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func decideMutated(data []byte, c recordedCase) ([]byte, error) {
	now, err := time.Parse(time.RFC3339, c.Time)
	if err != nil {
		return nil, err
	}
	cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = rehearsal.WriteJudge(&out, &cib.Config, &cib.Status, now)
	return out.Bytes(), err
}

// verdicts returns what each case misses, "" for one that passes.
func verdicts(t *testing.T, judge, dir, from string, names []string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "verdicts.json")
	out, _ := exec.Command(judge, "-data", dir, "-from", from, "-case", strings.Join(names, ","), "-out", file).CombinedOutput()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var list []struct{ Name, Missed string }
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	missed := map[string]string{}
	for _, v := range list {
		missed[v.Name] = v.Missed
	}
	return missed
}

// mutator changes a document at random where that must not matter.
type mutator struct{ *rand.Rand }

// unordered lists, by element, the children whose order among themselves has no
// meaning. (Constraints of other kinds, resources, blocks and history do have
// one: it decides ties.)
var unordered = map[string][]string{
	"configuration": {"crm_config", "nodes", "resources", "constraints", "rsc_defaults", "op_defaults", "fencing-topology", "tags", "alerts", "acls"},
	"cib":           {"configuration", "status"},
	"nodes":         {"node"},
	"constraints":   {"rsc_location"},
	"rule":          {"expression", "date_expression"},
	"operations":    {"op"},
	"tickets":       {"ticket_state"},
	// Names within one block are unique.
	"cluster_property_set": {"nvpair"}, "meta_attributes": {"nvpair"}, "instance_attributes": {"nvpair"}, "utilization": {"nvpair"},
}

func (m *mutator) shuffle(e *cibgen.Element) {
	m.Shuffle(len(e.Attrs), func(i, j int) { e.Attrs[i], e.Attrs[j] = e.Attrs[j], e.Attrs[i] })
	if names := unordered[e.Name]; names != nil && !repeats(e) {
		var places []int
		for i, c := range e.Children {
			if slices.Contains(names, c.Name) {
				places = append(places, i)
			}
		}
		m.Shuffle(len(places), func(i, j int) {
			e.Children[places[i]], e.Children[places[j]] = e.Children[places[j]], e.Children[places[i]]
		})
	}
	for _, c := range e.Children {
		m.shuffle(c)
	}
}

// repeats tells whether a block has a name twice, so that the first wins.
func repeats(e *cibgen.Element) bool {
	seen := map[string]bool{}
	for _, c := range e.Children {
		if c.Name != "nvpair" {
			continue
		}
		name := c.Attr("name")
		if name == "" || seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}

// prefix begins every new name. Since it is the same everywhere, names sort as
// before, by which ties are decided.
const prefix = "Qq-"

// canRename excludes cases in which names are part of what agents are told, so
// that other names are another definition, and patterns that match names.
func canRename(raw []byte) bool {
	return !regexp.MustCompile(`<bundle |rsc-pattern=|value-source=|#digests|remote-addr|template=|lxc`).Match(raw)
}

// rename gives resources, nodes and the elements of blocks other names.
func (m *mutator) rename(root *cibgen.Element) {
	own := map[string]bool{} // ids of nodes that are named by their ids
	visit(root, func(e *cibgen.Element) {
		if (e.Name == "node" || e.Name == "node_state") && e.Attr("id") == e.Attr("uname") {
			own[e.Attr("id")] = true
		}
	})
	visit(root, func(e *cibgen.Element) {
		for i := range e.Attrs {
			a := &e.Attrs[i]
			a.Value = m.renamed(e, a, own)
		}
	})
}

func visit(e *cibgen.Element, f func(*cibgen.Element)) {
	f(e)
	for _, c := range e.Children {
		visit(c, f)
	}
}

func (m *mutator) renamed(e *cibgen.Element, a *cibgen.Attr, own map[string]bool) string {
	switch e.Name + "/" + a.Name {
	case "primitive/id", "group/id", "clone/id", "master/id", "rsc_location/rsc", "rsc_colocation/rsc", "rsc_colocation/with-rsc",
		"rsc_order/first", "rsc_order/then", "rsc_ticket/rsc", "resource_ref/id", "obj_ref/id", "tag/id",
		"lrm_resource/id", "lrm_resource/container", "lrm_rsc_op/id", "lrm_rsc_op/operation_key",
		"node/uname", "node_state/uname", "rsc_location/node", "fencing-level/target",
		"lrm_rsc_op/on_node", "lrm_rsc_op/migrate_source", "lrm_rsc_op/migrate_target":
		return prefix + a.Value
	case "node/id", "node_state/id", "lrm/id", "cib/dc-uuid":
		if own[a.Value] {
			return prefix + a.Value
		}
	case "fencing-level/devices":
		return prefix + strings.ReplaceAll(a.Value, ",", ","+prefix)
	case "expression/value":
		if name := e.Attr("attribute"); name == "#uname" || name == "#id" && own[a.Value] {
			return prefix + a.Value
		}
	case "nvpair/value":
		if name := strings.TrimPrefix(e.Attr("name"), prefix); name == "remote-node" || name == "container" {
			return prefix + a.Value
		}
	case "nvpair/name", "expression/attribute", "rule/score-attribute":
		for _, kind := range []string{"fail-count-", "last-failure-", "master-"} {
			if rest, ok := strings.CutPrefix(a.Value, kind); ok && strings.Contains(a.Value, "-") && kind != "master-" ||
				ok && kind == "master-" && rest != "max" && rest != "node-max" {
				return kind + prefix + rest
			}
		}
	}
	return a.Value
}
