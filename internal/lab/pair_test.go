package lab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// powerOfEach is a fence device for each node, each with attributes of its own.
func powerOfEach(nodes []string, attributes map[string]string) string {
	var text strings.Builder
	for _, node := range nodes {
		fmt.Fprintf(&text, "\nfence_device \"power-%s\" {\n  agent = \"fence_lab\"\n  hosts = [%q]\n%s}\n", node, node, attributes[node])
	}
	return text.String()
}

// clusterBlock is the cluster's own block with these options.
func clusterBlock(l *lab.Lab, options string) string {
	return fmt.Sprintf("cluster %q {\n%s}\n", l.Spec.Name, options)
}

// formWith makes a lab of a cluster with these options and blocks, and the service.
func formWith(t *testing.T, nodes int, options, blocks string) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	t.Parallel() // they wait most of the time
	l := labtest.Up(t, lab.Spec{Nodes: nodes, Links: 2})
	must(t, l.Form(t.Context(), "normal"))
	must(t, l.Apply(t.Context(), clusterBlock(l, options)+blocks+lab.ServiceConfig(lab.ProcessServer)))
	awaitWhole(t, l)
	return l
}

// cutPair cuts all links and returns who was fenced, and the status of the other
// when the service runs there and both are back.
func cutPair(t *testing.T, l *lab.Lab) (fenced string) {
	t.Helper()
	before := boots(t, l)
	must(t, l.Cut(lab.Cut{Host: "host1", Peer: "host2", Direction: lab.Both}))
	labtest.Eventually(t, patience, "one of the two is fenced", func() bool {
		now := boots(t, l)
		return now["host1"]+now["host2"] > before["host1"]+before["host2"]
	})
	must(t, l.Heal(""))
	awaitWhole(t, l)
	after := boots(t, l)
	for _, node := range l.Nodes() {
		if after[node] > before[node] {
			if fenced != "" {
				t.Errorf("both were fenced: %v, %v", before, after)
			}
			fenced = node
		}
	}
	awaitPlace(t, l)
	return fenced
}

// voters lists the nodes that vote.
func voters(s *api.Status) []string {
	var names []string
	for _, n := range s.Nodes {
		if n.Voter {
			names = append(names, n.Name)
		}
	}
	return names
}

// Fencing is the vote of two: whoever is left goes on in a history of its own, and
// the other joins that one afresh when it has booted.
func TestPairCrash(t *testing.T) {
	l := formWith(t, 2, "", powerOfEach([]string{"host1", "host2"}, nil))
	for _, victim := range []string{"host1", "host2"} {
		moveTo(t, l, victim)
		s := awaitWhole(t, l)
		before := boots(t, l)
		t.Logf("crash of %s, leader %s", victim, s.Leader)
		must(t, l.Crash(victim))
		movedFrom(t, l, victim, before)
		after := await(t, l, "both vote again", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 2 })
		if after.Lineage == s.Lineage {
			t.Errorf("the survivor of %s went on in the same history", victim)
		}
		text := labtest.Output(t, l, victim, "ha", "status", "--json")
		if !strings.Contains(text, after.Lineage) {
			t.Errorf("%s, which was fenced, has another history than %s:\n%s", victim, after.Lineage, text)
		}
	}
}

// A fixed delay for one target gives it a head start: it is never the one that is
// fenced when all links are cut.
func TestPairDelay(t *testing.T) {
	l := formWith(t, 2, "", powerOfEach([]string{"host1", "host2"}, map[string]string{"host2": "  delay = \"2s\"\n"}))
	for range 2 {
		if fenced := cutPair(t, l); fenced != "host1" {
			t.Errorf("%s was fenced though the fencing of host2 is delayed", fenced)
		}
	}
}

// With a random delay one of the two is fenced, and not both.
func TestPairDelayMax(t *testing.T) {
	attributes := "  delay_max = \"6s\"\n"
	l := formWith(t, 2, "", powerOfEach([]string{"host1", "host2"}, map[string]string{"host1": attributes, "host2": attributes}))
	t.Logf("%s was fenced", cutPair(t, l))
}

// The node that runs what matters more wins, wherever that is.
func TestPairPriorityFencingDelay(t *testing.T) {
	l := formWith(t, 2, "  priority_fencing_delay = \"3s\"\n",
		powerOfEach([]string{"host1", "host2"}, nil))
	must(t, l.Apply(t.Context(), clusterBlock(l, "  priority_fencing_delay = \"3s\"\n")+powerOfEach(l.Nodes(), nil)+
		lab.ServiceConfig(lab.ProcessServer+"  meta = { priority = 10 }\n")))
	for _, active := range l.Nodes() {
		moveTo(t, l, active)
		if fenced := cutPair(t, l); fenced == active {
			t.Errorf("%s was fenced though it runs the service", fenced)
		}
	}
}

// A fence device that does not work: what the lost node ran waits, and everybody
// is told so, until an administrator goes on by his own word.
func TestPairWithoutWorkingFenceDevice(t *testing.T) {
	broken := "  params = { socket = \"/nowhere\" }\n"
	l := formWith(t, 2, "", powerOfEach([]string{"host1", "host2"}, map[string]string{"host1": broken, "host2": broken}))
	active := lab.ServedBy(awaitWhole(t, l))
	other := otherThan(l, active)
	must(t, l.Crash(active))
	labtest.Eventually(t, patience, other+" says that it has no quorum", func() bool {
		stdout, _, err := l.Output(t.Context(), other, "ha", "status")
		return err == nil && strings.Contains(stdout, "no quorum") && strings.Contains(stdout, "ha quorum force")
	})
	if _, stderr, err := l.Output(t.Context(), other, "ha", "quorum", "force"); err == nil || !strings.Contains(stderr, "--yes") {
		t.Errorf("quorum was forced without a question: %s", stderr)
	}
	if found := servers(t, l); len(found) > 0 {
		t.Fatalf("the service is on %v though %s is not known to be off", found, active)
	}
	labtest.Output(t, l, other, "ha", "quorum", "force", "--yes")
	await(t, l, "the service runs on "+other, func(s *api.Status) bool { return lab.ServedBy(s) == other })
	if _, stderr, err := l.Output(t.Context(), other, "ha", "quorum", "force", "--yes"); err == nil || !strings.Contains(stderr, "there is quorum") {
		t.Errorf("quorum was forced where there is: %s", stderr)
	}
	if events := labtest.Output(t, l, other, "ha", "events", "--last", "100"); !strings.Contains(events, "forced quorum on "+other) {
		t.Errorf("nothing in the events about who forced quorum:\n%s", events)
	}
	must(t, l.Start(active))
	awaitPlace(t, l)
}

// A voter that boots without the other waits: it does not know who went on.
func TestPairBootsAlone(t *testing.T) {
	l := formWith(t, 2, "", powerOfEach([]string{"host1", "host2"}, nil))
	must(t, l.Crash("host1"))
	await(t, l, "the service runs on host2", func(s *api.Status) bool { return lab.ServedBy(s) == "host2" })
	// The survivor goes too, and the first to boot is the one with the old history.
	must(t, l.Crash("host2"))
	must(t, l.Start("host1"))
	// Four times as long as it takes a pair to recover.
	labtest.Holds(t, 4*time.Second, "the service runs nowhere, since host1 cannot know that host2 is off", func() bool {
		return len(servers(t, l)) == 0
	})
	must(t, l.Start("host2"))
	awaitPlace(t, l)
}

// An administrator forces the one with the older history, and then the other boots:
// two histories of one cluster. Both say so and keep what they run, until one of them
// is joined anew.
func TestPairTwoHistories(t *testing.T) {
	l := formWith(t, 2, "  fencing_action = \"off\"\n", powerOfEach([]string{"host1", "host2"}, nil))
	must(t, l.Crash("host1"))
	await(t, l, "the service runs on host2", func(s *api.Status) bool { return lab.ServedBy(s) == "host2" })
	must(t, l.Crash("host2"))
	must(t, l.Start("host1"))
	labtest.Eventually(t, patience, "host1 is forced", func() bool {
		_, _, err := l.Output(t.Context(), "host1", "ha", "quorum", "force", "--yes")
		return err == nil
	})
	await(t, l, "the service runs on host1", func(s *api.Status) bool { return lab.ServedBy(s) == "host1" })
	must(t, l.Start("host2"))
	for host, other := range map[string]string{"host1": "host2", "host2": "host1"} {
		labtest.Eventually(t, patience, host+" says that there are two histories", func() bool {
			stdout, _, err := l.Output(t.Context(), host, "ha", "status")
			return err == nil && strings.Contains(stdout, other+" has another history")
		})
	}
	// For longer than the lease of 4 s.
	labtest.Holds(t, 5*time.Second, "the service is on host1 alone", func() bool {
		return slices.Equal(servers(t, l), []string{"host1"})
	})
	labtest.Output(t, l, "host2", "sh", "-c", lab.SignalDaemon("9"))
	labtest.Output(t, l, "host2", "find", "/var/lib/ha", "/etc/ha", "-mindepth", "1", "-delete")
	token := labtest.Output(t, l, "host1", "ha", "token")
	_, join, _ := strings.Cut(strings.TrimSpace(token), "ha join ")
	args := append([]string{"ha", "join"}, strings.Fields(join)...)
	labtest.Output(t, l, "host2", append(args, "--link", lab.Address(2, 1).String(), "--link", lab.Address(2, 2).String(), "--daemon")...)
	await(t, l, "both vote again", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 2 && lab.ServedBy(s) != "" })
	awaitPlace(t, l)
}
