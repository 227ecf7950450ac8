package lab_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// statefulAgent is a promotable resource that only keeps its role in a file.
const statefulAgent = `#!/bin/sh
state=/run/stateful
case "$1" in
meta-data) cat <<E
<?xml version="1.0"?>
<resource-agent name="stateful" version="1.0"><version>1.1</version><longdesc lang="en">A role in a file.</longdesc><shortdesc lang="en">A role in a file</shortdesc>
<parameters></parameters>
<actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="10s" role="Promoted"/><action name="monitor" timeout="20s" interval="11s" role="Unpromoted"/><action name="promote" timeout="20s"/><action name="demote" timeout="20s"/><action name="meta-data" timeout="5s"/></actions></resource-agent>
E
exit 0;;
start|demote) echo unpromoted >$state; exit 0;;
promote) echo promoted >$state; exit 0;;
stop) rm -f $state; exit 0;;
monitor) case "$(cat $state 2>/dev/null)" in promoted) exit 8;; unpromoted) exit 0;; esac; exit 7;;
esac
exit 3
`

// installStateful puts the agent on every host.
func installStateful(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, node := range l.Nodes() {
		must(t, os.WriteFile(l.HostDir(node, "tmp", "stateful"), []byte(statefulAgent), 0o755))
		labtest.Output(t, l, node, "sh", "-c", "mkdir -p /usr/lib/ocf/resource.d/lab && cp /tmp/stateful /usr/lib/ocf/resource.d/lab/")
	}
}

const statefulConfig = `
resource "state" {
  agent = "ocf:lab:stateful"
}

clone "states" {
  resource   = "state"
  promotable = true
}

location "states-here" {
  resource = "states"
  role     = "promoted"
  rule     = "node eq host1"
  score    = 100
}
`

// Each policy without quorum, on the host that is left of three: what it keeps,
// what it gives up, and that nothing starts there.
func TestNoQuorumPolicies(t *testing.T) {
	l := formWith(t, 3, "", powerOfEach([]string{"host1", "host2", "host3"}, nil))
	installStateful(t, l)
	for _, policy := range []struct {
		name           string
		service, reset bool
		role           string
	}{
		{"stop", false, false, ""},
		{"freeze", true, false, "promoted"},
		{"ignore", true, false, "promoted"},
		{"demote", true, false, "unpromoted"},
		{"fence", false, true, ""},
	} {
		t.Run(policy.name, func(t *testing.T) {
			must(t, l.Apply(t.Context(), clusterBlock(l, fmt.Sprintf("  no_quorum = %q\n", policy.name))+powerOfEach(l.Nodes(), nil)+
				lab.ServiceConfig(lab.ProcessServer)+statefulConfig))
			moveTo(t, l, "host1")
			role := func() string {
				stdout, _, _ := l.Output(t.Context(), "host1", "cat", "/run/stateful")
				return strings.TrimSpace(stdout)
			}
			labtest.Eventually(t, patience, "state is promoted on host1", func() bool { return role() == "promoted" })
			before := boots(t, l)["host1"]
			must(t, l.Crash("host2"))
			must(t, l.Crash("host3"))
			if policy.reset {
				labtest.Eventually(t, patience, "host1 resets itself", func() bool { return boots(t, l)["host1"] > before })
			} else {
				labtest.Eventually(t, patience, "host1 has no quorum and does as it should", func() bool {
					stdout, _, err := l.Output(t.Context(), "host1", "ha", "status")
					return err == nil && strings.Contains(stdout, "no quorum") && role() == policy.role
				})
				labtest.Eventually(t, patience, fmt.Sprintf("the service runs: %t", policy.service), func() bool {
					return len(servers(t, l)) > 0 == policy.service
				})
				// Nothing changes any more for longer than the lease of 4 s.
				labtest.Holds(t, 6*time.Second, fmt.Sprintf("the service runs: %t; state is %q; host1 is not reset", policy.service, policy.role), func() bool {
					return len(servers(t, l)) > 0 == policy.service && role() == policy.role && boots(t, l)["host1"] == before
				})
			}
			must(t, l.Start("host2"))
			must(t, l.Start("host3"))
			awaitPlace(t, l)
		})
	}
}

// Two of three are gone for good: an administrator goes on with the third, and
// those who return after all join it afresh.
func TestForcedQuorum(t *testing.T) {
	l := formWith(t, 3, "", powerOfEach([]string{"host1", "host2", "host3"}, nil))
	before := awaitWhole(t, l)
	if _, stderr, err := l.Output(t.Context(), "host1", "ha", "quorum", "force", "--yes"); err == nil || !strings.Contains(stderr, "there is quorum") {
		t.Fatalf("quorum was forced where there is: %s", stderr)
	}
	must(t, l.Crash("host2"))
	must(t, l.Crash("host3"))
	labtest.Eventually(t, patience, "host1 has stopped the service", func() bool {
		stdout, _, err := l.Output(t.Context(), "host1", "ha", "status")
		return err == nil && strings.Contains(stdout, "no quorum") && len(servers(t, l)) == 0
	})
	out := labtest.Output(t, l, "host1", "ha", "quorum", "force", "--yes")
	if !strings.Contains(out, "host2") || !strings.Contains(out, "host3") {
		t.Errorf("it does not say who counts as off: %s", out)
	}
	after := await(t, l, "host1 serves alone", func(s *api.Status) bool { return lab.ServedBy(s) == "host1" })
	if after.Lineage == before.Lineage {
		t.Error("it goes on in the same history")
	}
	must(t, l.Start("host2"))
	must(t, l.Start("host3"))
	s := await(t, l, "three vote again", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 3 })
	for _, node := range l.Nodes() {
		if text := labtest.Output(t, l, node, "ha", "status", "--json"); !strings.Contains(text, s.Lineage) {
			t.Errorf("%s has another history than %s:\n%s", node, s.Lineage, text)
		}
	}
	awaitPlace(t, l)
}

// A node that stands still for longer than its lease, or only its daemon does, gives
// up what it ran before it joins again; nobody else has run it meanwhile, since nothing
// fences here.
func TestPausedNodeGivesUp(t *testing.T) {
	l := formWith(t, 3, "", "")
	signal := func(name string) func(string) error {
		return func(host string) error {
			labtest.Output(t, l, host, "sh", "-c", lab.SignalDaemon(name))
			return nil
		}
	}
	t.Run("host", func(t *testing.T) { pausedGivesUp(t, l, l.Pause, l.Resume) })
	t.Run("daemon", func(t *testing.T) { pausedGivesUp(t, l, signal("STOP"), signal("CONT")) })
}

func pausedGivesUp(t *testing.T, l *lab.Lab, pause, resume func(host string) error) {
	active := lab.ServedBy(awaitWhole(t, l))
	before, pid := boots(t, l), serverPID(t, l, active)
	must(t, pause(active))
	await(t, l, active+" is lost", func(s *api.Status) bool {
		for _, n := range s.Nodes {
			if n.Name == active {
				return n.State == "unclean"
			}
		}
		return false
	})
	// For longer than the lease of 4 s.
	labtest.Holds(t, 6*time.Second, "the service runs nowhere else, since nobody knows that "+active+" is off", func() bool {
		found := servers(t, l) // a paused host does not answer
		return len(found) == 0 || len(found) == 1 && found[0] == active
	})
	must(t, resume(active))
	s := awaitPlace(t, l)
	if lab.ServedBy(s) == active && serverPID(t, l, active) == pid {
		t.Errorf("%s kept the service over its lease", active)
	}
	if after := boots(t, l); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("somebody booted: %v, %v", before, after)
	}
}

// A restart of the daemon, as for an upgrade, is announced: nobody takes it for a
// failure, however short the dead time.
func TestGracefulRestart(t *testing.T) {
	l := formCluster(t, "fast")
	lives := func(node string) int {
		text, err := os.ReadFile(l.HostDir(node, "disk", "var-log", "ha.log"))
		must(t, err)
		return strings.Count(string(text), "this node takes part")
	}
	for _, leader := range []bool{true, false} {
		s := awaitWhole(t, l)
		node := s.Leader
		if !leader {
			node = otherThan(l, s.Leader)
		}
		moveTo(t, l, node)
		before, pid, life := boots(t, l), serverPID(t, l, node), lives(node)
		labtest.Output(t, l, node, "sh", "-c", lab.SignalDaemon("HUP"))
		labtest.Eventually(t, patience, "the daemon of "+node+" lives anew", func() bool { return lives(node) > life })
		awaitWhole(t, l)
		if after := boots(t, l); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("somebody was fenced: %v, %v", before, after)
		}
		if again := serverPID(t, l, node); again != pid {
			t.Errorf("the server was process %s and is %s", pid, again)
		}
	}
}

// The second level fences when the first fails; with neither, recovery waits
// loudly until an administrator says that the node is off.
func TestFencingLevels(t *testing.T) {
	broken := func(name string) string {
		return fmt.Sprintf("\nfence_device %q {\n  agent = \"fence_lab\"\n  params = { socket = \"/nowhere\" }\n  hosts = [\"host1\", \"host2\", \"host3\"]\n}\n", name)
	}
	levels := broken("switch")
	for _, node := range []string{"host1", "host2", "host3"} {
		levels += fmt.Sprintf("\nfencing_level %q {\n  level = 1\n  devices = [\"switch\"]\n}\n\nfencing_level %q {\n  level = 2\n  devices = [\"power-%s\"]\n}\n", node, node, node)
	}
	l := formWith(t, 3, "", powerOfEach([]string{"host1", "host2", "host3"}, nil)+levels)
	active := lab.ServedBy(awaitWhole(t, l))
	before := boots(t, l)
	must(t, l.Crash(active))
	movedFrom(t, l, active, before)

	must(t, l.Apply(t.Context(), clusterBlock(l, "")+broken("switch")+lab.ServiceConfig(lab.ProcessServer)))
	active = lab.ServedBy(awaitWhole(t, l))
	other := otherThan(l, active)
	must(t, l.Crash(active))
	labtest.Eventually(t, patience, "the status says that fencing fails, and what to do", func() bool {
		stdout, _, err := l.Output(t.Context(), other, "ha", "status")
		return err == nil && strings.Contains(stdout, "fencing "+active+" failed") && strings.Contains(stdout, "ha fence confirm "+active)
	})
	if found := servers(t, l); len(found) > 0 {
		t.Fatalf("the service is on %v though %s is not known to be off", found, active)
	}
	third := otherThan(l, active, other)
	if _, stderr, err := l.Output(t.Context(), other, "ha", "fence", "confirm", third, "--yes"); err == nil || !strings.Contains(stderr, "still hears "+third) {
		t.Errorf("%s, which is heard, was confirmed to be off: %v, %s", third, err, stderr)
	}
	labtest.Output(t, l, other, "ha", "fence", "confirm", active, "--yes")
	awaitElsewhere(t, l, active)
	must(t, l.Start(active))
	awaitWhole(t, l)
}
