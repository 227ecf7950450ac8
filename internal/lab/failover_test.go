package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// patience bounds waits for a cluster on a busy machine.
const patience = 60 * time.Second

// formCluster makes a lab of three nodes that run the service.
func formCluster(t *testing.T, detection string) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 2})
	must(t, l.Form(t.Context(), detection))
	must(t, l.Apply(t.Context(), l.BaseConfig(detection)+lab.ServiceConfig(lab.ProcessServer)))
	awaitWhole(t, l)
	return l
}

func await(t *testing.T, l *lab.Lab, what string, wanted func(*api.Status) bool) *api.Status {
	t.Helper()
	status, err := l.Await(t.Context(), patience, what, wanted)
	must(t, err)
	return status
}

// awaitWhole waits until every node is online and the service runs.
func awaitWhole(t *testing.T, l *lab.Lab) *api.Status {
	t.Helper()
	return await(t, l, "every node is online and the service runs", func(s *api.Status) bool {
		return l.AllOnline(s) && lab.ServedBy(s) != ""
	})
}

// awaitElsewhere waits until the service runs on another node than this one.
func awaitElsewhere(t *testing.T, l *lab.Lab, than string) *api.Status {
	t.Helper()
	return await(t, l, "the service runs elsewhere than on "+than, func(s *api.Status) bool {
		node := lab.ServedBy(s)
		return node != "" && node != than
	})
}

// boots tells how often each host was powered on: a host that is fenced boots.
func boots(t *testing.T, l *lab.Lab) map[string]int {
	t.Helper()
	status, err := l.Status()
	must(t, err)
	all := map[string]int{}
	for _, h := range status.Hosts {
		all[h.Name] = h.Boots
	}
	return all
}

// nobodyBoots shows that nobody is fenced for that long, nor was since before.
func nobodyBoots(t *testing.T, l *lab.Lab, before map[string]int, long time.Duration) {
	t.Helper()
	labtest.Holds(t, long, "nobody is fenced", func() bool { return maps.Equal(boots(t, l), before) })
}

func powerOf(t *testing.T, l *lab.Lab, host string) string {
	t.Helper()
	status, err := l.Status()
	must(t, err)
	for _, h := range status.Hosts {
		if h.Name == host {
			return h.State
		}
	}
	return ""
}

// servers lists the hosts on which the service's address or server is, whatever
// the cluster says.
func servers(t *testing.T, l *lab.Lab) []string {
	t.Helper()
	status, err := l.Status()
	must(t, err)
	var found []string
	for _, h := range status.Hosts {
		if h.State != "on" || h.Name == lab.Client {
			continue
		}
		script := fmt.Sprintf("ip -o address | grep -q 'inet %s/' || grep -q ':%04X .* 0A ' /proc/net/tcp6 /proc/net/tcp", lab.ServiceTarget.Addr(), lab.ServiceTarget.Port())
		if _, _, err := l.Output(t.Context(), h.Name, "sh", "-c", script); err == nil {
			found = append(found, h.Name)
		}
	}
	return found
}

// awaitPlace waits until the service runs where the cluster says, and checks that it
// runs nowhere else. A node that has just been reached again may show for a moment
// what was before, and what it gave up by itself the others learn from its report.
func awaitPlace(t *testing.T, l *lab.Lab) *api.Status {
	t.Helper()
	var s *api.Status
	labtest.Eventually(t, patience, "the service is where the cluster says", func() bool {
		s = awaitWhole(t, l)
		found := servers(t, l)
		if len(found) > 1 {
			t.Fatalf("the service is on %v", found)
		}
		return len(found) == 1 && found[0] == lab.ServedBy(s)
	})
	return s
}

// moveTo has the service run on the node.
func moveTo(t *testing.T, l *lab.Lab, node string) {
	t.Helper()
	if s := awaitWhole(t, l); lab.ServedBy(s) == node {
		return
	}
	labtest.Output(t, l, node, "ha", "resource", "move", "site", node)
	await(t, l, "the service runs on "+node, func(s *api.Status) bool { return lab.ServedBy(s) == node })
}

func otherThan(l *lab.Lab, nodes ...string) string {
	for _, n := range l.Nodes() {
		if !slices.Contains(nodes, n) {
			return n
		}
	}
	return ""
}

// movedFrom waits for the recovery of a lost node's service, and checks that the
// node was fenced and nothing runs twice.
func movedFrom(t *testing.T, l *lab.Lab, lost string, before map[string]int) {
	t.Helper()
	awaitElsewhere(t, l, lost)
	if state := powerOf(t, l, lost); state == "on" && boots(t, l)[lost] == before[lost] {
		t.Errorf("%s was recovered from without a fencing", lost)
	}
	must(t, l.Heal(""))
	awaitPlace(t, l)
	after := boots(t, l)
	for _, node := range l.Nodes() {
		if node != lost && after[node] != before[node] {
			t.Errorf("%s was fenced too: %v, %v", node, before, after)
		}
	}
}

func TestHostCrash(t *testing.T) {
	l := formCluster(t, "normal")
	for _, leader := range []bool{true, false} {
		s := awaitWhole(t, l)
		victim := s.Leader
		if !leader {
			victim = otherThan(l, s.Leader)
		}
		t.Logf("crash of %s, leader %s", victim, s.Leader)
		moveTo(t, l, victim)
		before := boots(t, l)
		must(t, l.Crash(victim))
		movedFrom(t, l, victim, before)
		stages := stagesOf(t, l, victim)
		for _, want := range []string{"detect", "lost", "fence", "decide", "start", "announce"} {
			if _, ok := stages[want]; !ok {
				t.Errorf("the failover from %s has the stages %v, want %s among them", victim, stages, want)
			}
		}
		if took := stages["announce"]; took <= 0 || took > stages["start"] {
			t.Errorf("the address was announced %v into its start, and all was started after %v", took, stages["start"])
		}
		if _, ok := stages["elect"]; leader && !ok {
			t.Errorf("the failover from the leader has the stages %v, want elect among them", stages)
		}
	}
}

// stagesOf returns the stages of the last failover from a node, as recorded, and
// how long each took.
func stagesOf(t *testing.T, l *lab.Lab, lost string) map[string]time.Duration {
	t.Helper()
	stages := map[string]map[string]time.Duration{} // by cause
	last := ""
	for line := range strings.Lines(labtest.Output(t, l, otherThan(l, lost), "ha", "events", "--last", "1000", "--json")) {
		var event struct {
			Node, Stage, Cause string
			Took               time.Duration
		}
		must(t, json.Unmarshal([]byte(line), &event))
		if event.Stage == "lost" && event.Node == lost {
			last = event.Cause
		}
		if stages[event.Cause] == nil {
			stages[event.Cause] = map[string]time.Duration{}
		}
		stages[event.Cause][event.Stage] = event.Took
	}
	return stages[last]
}

func TestPartitions(t *testing.T) {
	l := formCluster(t, "normal")
	for _, direction := range []lab.Direction{lab.In, lab.Out, lab.Both} {
		for _, leader := range []bool{true, false} {
			s := awaitWhole(t, l)
			victim := s.Leader
			if !leader {
				victim = otherThan(l, s.Leader)
			}
			moveTo(t, l, victim)
			before := boots(t, l)
			t.Logf("%s, leader %s, is cut %s", victim, s.Leader, direction)
			must(t, l.Cut(lab.Cut{Host: victim, Direction: direction}))
			movedFrom(t, l, victim, before)
		}
	}
}

// Two nodes that do not hear each other, while the third hears both, are no
// reason to fence anybody.
func TestNodesThatDoNotHearEachOther(t *testing.T) {
	l := formCluster(t, "normal")
	s := awaitWhole(t, l)
	active := lab.ServedBy(s)
	before := boots(t, l)
	p, err := l.StartProbe(t.Context(), lab.Client, lab.ServiceTarget, lab.ProbeHTTP, 0)
	must(t, err)
	must(t, l.Cut(lab.Cut{Host: active, Peer: otherThan(l, active), Direction: lab.Both}))
	nobodyBoots(t, l, before, 5*time.Second) // five times the time after which silence counts
	result, err := p.Stop()
	must(t, err)
	if gap := result.Gap(); gap > time.Second {
		t.Errorf("the client got no answer for %v", gap)
	}
	must(t, l.Heal(""))
	if s := awaitWhole(t, l); lab.ServedBy(s) != active {
		t.Errorf("the service moved from %s to %s", active, lab.ServedBy(s))
	}
}

func TestCutOfOneLinkIsNotNoticed(t *testing.T) {
	l := formCluster(t, "normal")
	active := lab.ServedBy(awaitWhole(t, l))
	before := boots(t, l)
	p, err := l.StartProbe(t.Context(), lab.Client, lab.ServiceTarget, lab.ProbeHTTP, 0)
	must(t, err)
	must(t, l.Cut(lab.Cut{Host: active, Link: 2, Direction: lab.Both}))
	nobodyBoots(t, l, before, 3*time.Second) // three times the time after which silence counts
	result, err := p.Stop()
	must(t, err)
	if gap := result.Gap(); gap > 500*time.Millisecond {
		t.Errorf("the client got no answer for %v", gap)
	}
}

// serverPID is the process that answers on a host, as the host sees it.
func serverPID(t *testing.T, l *lab.Lab, host string) string {
	t.Helper()
	return strings.TrimSpace(labtest.Output(t, l, host, "sh", "-c",
		`for p in /proc/[0-9]*; do case "$(tr '\0' ' ' <$p/cmdline)" in *ha-lab-server*" 80 "*) [ "$(cat $p/comm)" = sh ] || echo ${p#/proc/};; esac; done 2>/dev/null`))
}

// killDaemon kills the daemon alone, at once.
func killDaemon(t *testing.T, l *lab.Lab, host string) {
	t.Helper()
	labtest.Output(t, l, host, "sh", "-c",
		`for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = ha ] && grep -q daemon $p/cmdline && kill -9 ${p#/proc/} && killed=1; done 2>/dev/null; [ $killed ]`)
}

func TestDaemonKilledAndBackAtOnce(t *testing.T) {
	l := formCluster(t, "patient") // so that it is back in time on a busy machine too
	active := lab.ServedBy(awaitWhole(t, l))
	before, pid := boots(t, l), serverPID(t, l, active)
	if pid == "" || strings.Contains(pid, "\n") {
		t.Fatalf("server processes on %s: %q", active, pid)
	}
	p, err := l.StartProbe(t.Context(), lab.Client, lab.ServiceTarget, lab.ProbeHTTP, 0)
	must(t, err)
	killDaemon(t, l, active)
	labtest.Output(t, l, active, "sh", "-c", "ha daemon >>/var/log/ha.log 2>&1 </dev/null &")
	await(t, l, "every node is online", l.AllOnline)
	nobodyBoots(t, l, before, 12*time.Second) // longer than the dead time of 10 s
	result, err := p.Stop()
	must(t, err)
	if gap := result.Gap(); gap > 500*time.Millisecond {
		t.Errorf("the client got no answer for %v", gap)
	}
	if again := serverPID(t, l, active); again != pid {
		t.Errorf("the server was process %s and is %s", pid, again)
	}
	if found := servers(t, l); len(found) != 1 {
		t.Errorf("the service is on %v", found)
	}
}

func TestDaemonKilledForGood(t *testing.T) {
	l := formCluster(t, "normal")
	active := lab.ServedBy(awaitWhole(t, l))
	before := boots(t, l)
	killDaemon(t, l, active)
	movedFrom(t, l, active, before)
}

func TestWholeClusterRestarts(t *testing.T) {
	l := formCluster(t, "normal")
	config := labtest.Output(t, l, "host1", "ha", "config", "show")
	for _, node := range l.Nodes() {
		must(t, l.Crash(node))
	}
	for _, node := range l.Nodes() {
		must(t, l.Start(node))
	}
	awaitWhole(t, l)
	for _, node := range l.Nodes() {
		if got := labtest.Output(t, l, node, "ha", "config", "show"); got != config {
			t.Errorf("%s has another configuration after the restart:\n%s\nbefore:\n%s", node, got, config)
		}
	}
	awaitPlace(t, l)
}

// The leader dies after it has sent a start and before it learns the result: the
// start counts, and is not done twice.
func TestLeaderDiesBetweenDispatchAndResult(t *testing.T) {
	l := formCluster(t, "normal")
	s := awaitWhole(t, l)
	runner := otherThan(l, s.Leader)
	must(t, l.Apply(t.Context(), l.BaseConfig("normal")+lab.ServiceConfig(lab.ProcessServer)+fmt.Sprintf(`
resource "slow" {
  agent  = "ha:process"
  params = { command = "echo run >> /var/lib/runs; exec sleep 100000", shell = true, ready_command = "test -e /tmp/go" }
  op "start" {
    interval = "0"
    timeout  = "30s"
  }
}
location "slow-there" {
  resource = "slow"
  node     = %q
  score    = infinity
}
`, runner)))
	runs := func(node string) int {
		text, err := os.ReadFile(l.HostDir(node, "disk", "var-lib", "runs"))
		if err != nil {
			return 0
		}
		return strings.Count(string(text), "run\n")
	}
	labtest.Eventually(t, patience, "the start runs", func() bool { return runs(runner) > 0 })
	must(t, l.Crash(s.Leader))
	await(t, l, "another node leads", func(now *api.Status) bool { return now.Leader != s.Leader })
	must(t, os.WriteFile(l.HostDir(runner, "tmp", "go"), nil, 0o644))
	await(t, l, "the slow resource is started", func(s *api.Status) bool { return lab.PlaceOf(s, "slow") == runner })
	for _, node := range l.Nodes() {
		want := 0
		if node == runner {
			want = 1
		}
		if got := runs(node); got != want {
			t.Errorf("%s was started %d times on %s, want %d", "slow", got, node, want)
		}
	}
}

func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 2})
	var steps []lab.DemoStep
	must(t, l.Demo(context.WithoutCancel(t.Context()), "normal", func(text string) { t.Log(text) }, func(s lab.DemoStep) { steps = append(steps, s) }))
	if len(steps) != 5 {
		t.Fatalf("%d steps", len(steps))
	}
	// Generous: the machine may be busy. The measurements are made elsewhere.
	limits := []float64{2000, 10000, 500, 10000, 2000}
	for i, s := range steps {
		t.Logf("%s: %.0f ms", s.What, s.OutageMS)
		if s.OutageMS > limits[i] {
			t.Errorf("%s: outage of %.0f ms", s.Name, s.OutageMS)
		}
	}
}
