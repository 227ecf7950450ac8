package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/core/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (rewrite with -update):\n%s", name, d)
	}
}

// A state as the cluster makes it: two nodes online, one lost, a group that runs
// on one node, a failed monitor.
func exampleState(t *testing.T) (*cluster.State, *event.Local, time.Time) {
	t.Helper()
	cfg, err := config.Parse(config.Source{Name: "example.hcl", Text: []byte(`
cluster "web" { fencing = true }
fence_device "power" {
  agent = "fence_lab"
  hosts = ["alpha", "beta", "gamma"]
}
resource "vip" {
  agent  = "ha:ip"
  params = { address = "10.0.0.100/24" }
}
resource "nginx" { agent = "systemd:nginx" }
group "site" { members = ["vip", "nginx"] }
node "beta" { standby = true }
resource "spare" {
  agent = "systemd:cron"
  meta  = { target_role = "stopped" }
}
`)})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	life := func(node string) cluster.Incarnation {
		return cluster.Incarnation{Node: node, Counter: 1, Boot: "boot-" + node}
	}
	s := &cluster.State{}
	index := uint64(0)
	apply := func(at time.Duration, commands ...cluster.Command) {
		t.Helper()
		index++
		next, rejected := s.Apply(index, &cluster.Entry{Time: begin.Add(at), Commands: commands})
		for i, r := range rejected {
			if r != nil {
				t.Fatalf("command %d: %v", i, r)
			}
		}
		s = next
	}
	apply(0, cluster.Command{Init: &cluster.Init{Lineage: cluster.Lineage{ID: "00112233445566778899aabbccddeeff"}, Config: *cfg,
		First: cluster.Member{Name: "alpha", RaftID: 1, Links: []string{"10.77.1.1", "10.77.2.1"}}}})
	for i, n := range []string{"beta", "gamma"} {
		apply(0, cluster.Command{Token: &cluster.Token{Hash: n, Expires: begin.Add(time.Hour)}},
			cluster.Command{Admit: &cluster.Admit{Member: cluster.Member{Name: n, RaftID: uint64(i + 2)}, TokenHash: n}})
	}
	for _, n := range []string{"alpha", "beta", "gamma"} {
		apply(time.Second, cluster.Command{Node: &cluster.NodeChange{Incarnation: life(n), State: cluster.NodeJoining}})
		apply(time.Second, cluster.Command{Report: &cluster.Report{Incarnation: life(n)}}, cluster.Command{Node: &cluster.NodeChange{Incarnation: life(n), State: cluster.NodeOnline}})
	}
	apply(time.Second, cluster.Command{Voters: &cluster.Voters{IDs: []uint64{1, 2, 3}}})
	call := 0
	done := func(resource, op string, interval int64, rc, expected int) cluster.Command {
		call++
		return cluster.Command{History: &cluster.HistoryChange{Incarnation: life("alpha"), Resource: resource, Instance: resource, FailCount: rc != expected,
			Entry: cluster.HistoryEntry{Operation: op, IntervalMS: interval, CallID: call, RC: rc, LastRCChange: begin.Add(2 * time.Second).Unix(),
				TransitionKey: cluster.TransitionKey(1, 1, expected, s.Lineage.ID), ExitReason: map[bool]string{true: "not running any more"}[rc != expected]}}}
	}
	grant := func(resource string) cluster.Command {
		return cluster.Command{Grant: &cluster.GrantChange{Transition: 1, Grants: []cluster.Grant{{Resource: resource, Instance: resource, Role: "Started", Holders: []cluster.Incarnation{life("alpha")}}}}}
	}
	apply(2*time.Second, grant("vip"), grant("nginx"))
	apply(2*time.Second, done("vip", "start", 0, 0, 0), done("nginx", "start", 0, 0, 0), done("nginx", "monitor", 10000, 7, 0), done("nginx", "start", 0, 0, 0))
	apply(60*time.Second, cluster.Command{Fence: &cluster.FenceBegin{Target: life("gamma"), Action: "reboot", Reason: "not heard for 1s", Device: "power"}})
	local := &event.Local{Node: "alpha", Leader: "alpha", Quorate: true, Peers: []event.PeerView{
		{Node: "beta", Reachable: true, Links: []event.LinkView{{Link: 0, Up: true}, {Link: 1, Up: false}}},
		{Node: "gamma", Links: []event.LinkView{{Link: 0}, {Link: 1}}},
	}}
	return s, local, begin.Add(65 * time.Second)
}

func TestStatusText(t *testing.T) {
	s, local, now := exampleState(t)
	var out bytes.Buffer
	printStatus(&out, style{}, api.Derive(s, local, []api.Warning{{Code: "slow-disk", Severity: "warning", Text: "a sync takes 80 ms"}}, now))
	golden(t, "status.txt", out.String())
}

func TestStatusJSON(t *testing.T) {
	s, local, now := exampleState(t)
	var out bytes.Buffer
	if err := printJSON(&out, api.Derive(s, local, nil, now)); err != nil {
		t.Fatal(err)
	}
	golden(t, "status.json", out.String())
}

// A node without quorum says so, and of when what it shows of others is.
func TestStatusWithoutQuorum(t *testing.T) {
	s, local, now := exampleState(t)
	local.Quorate, local.Leader, local.Peers, local.Contact = false, "", nil, 90*time.Second
	var out bytes.Buffer
	printStatus(&out, style{}, api.Derive(s, local, nil, now))
	golden(t, "status-no-quorum.txt", out.String())
}
