package lab_test

import (
	"slices"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// longestGap is the longest time between two of them.
func longestGap(times []time.Time) (gap time.Duration) {
	for i := range times[min(1, len(times)):] {
		gap = max(gap, times[i+1].Sub(times[i]))
	}
	return gap
}

// A cluster of five loses one node after the other, by a crash or by an orderly
// stop, until the last one is alone, and gets them all back. The service on that
// one runs throughout, and nothing that was acknowledged is lost.
func TestShrinkToOneAndGrowBack(t *testing.T) {
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 5, Links: 2})
	must(t, l.Form(t.Context(), "normal"))
	must(t, l.Apply(t.Context(), clusterBlock(l, "  fencing_action = \"off\"\n")+powerOfEach(l.Nodes(), nil)+lab.ServiceConfig(lab.LedgerServer)))
	last := otherThan(l, awaitWhole(t, l).Leader) // so that the leader is among those who go
	moveTo(t, l, last)
	before := boots(t, l)
	writer, err := l.StartWriter(t.Context())
	must(t, err)
	var gone []string
	stopped := map[string]bool{}
	for len(gone) < 4 {
		victim := otherThan(l, append(gone, last)...)
		if len(gone) == 1 {
			// The leader, if it is not the last one, goes now.
			if s := awaitLeft(t, l, gone); s.Leader != last {
				victim = s.Leader
			}
		}
		if stopped[victim] = len(gone)%2 == 1; stopped[victim] {
			t.Logf("%s is stopped", victim)
			labtest.Output(t, l, victim, "sh", "-c", lab.SignalDaemon("TERM"))
		} else {
			t.Logf("%s crashes", victim)
			must(t, l.Crash(victim))
		}
		gone = append(gone, victim)
		s := awaitLeft(t, l, gone)
		if got := lab.ServedBy(s); got != last {
			t.Fatalf("the service is on %q, not on %s", got, last)
		}
	}
	for _, node := range gone {
		if stopped[node] {
			labtest.Output(t, l, node, "sh", "-c", "ha daemon >>/var/log/ha.log 2>&1 </dev/null &")
		} else {
			must(t, l.Start(node))
		}
		t.Logf("%s is back", node)
		gone = slices.DeleteFunc(slices.Clone(gone), func(n string) bool { return n == node })
		awaitLeft(t, l, gone)
	}
	s := await(t, l, "five nodes vote again", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 5 })
	if got := lab.ServedBy(s); got != last {
		t.Errorf("the service is on %q, not on %s", got, last)
	}
	lines, times := writer.Stop()
	lost, err := l.Lost(lines)
	must(t, err)
	t.Logf("%d writes acknowledged, the longest gap %v", len(lines), longestGap(times))
	if len(lines) == 0 || len(lost) > 0 {
		t.Errorf("%d writes acknowledged, %d lost: %v", len(lines), len(lost), lost)
	}
	if gap := longestGap(times); gap > time.Second {
		t.Errorf("nothing was acknowledged for %v", gap)
	}
	if after := boots(t, l); after[last] != before[last] {
		t.Errorf("%s was fenced: %v, %v", last, before, after)
	}
}

// awaitLeft waits until all but the nodes that are gone are online, those count as
// off, and no more than the others vote.
func awaitLeft(t *testing.T, l *lab.Lab, gone []string) *api.Status {
	t.Helper()
	return await(t, l, "the others go on", func(s *api.Status) bool {
		for _, n := range s.Nodes {
			if left := !slices.Contains(gone, n.Name); left != (n.State == "online") || !left && (n.State != "offline" || n.Voter) {
				return false
			}
		}
		return len(s.Fencings) == 0 && lab.ServedBy(s) != ""
	})
}
