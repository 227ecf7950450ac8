package lab_test

import (
	"slices"
	"testing"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// awaitVoters waits until just these nodes vote and the service runs.
func awaitVoters(t *testing.T, l *lab.Lab, want ...string) *api.Status {
	t.Helper()
	return await(t, l, "the voters are as they should be", func(s *api.Status) bool {
		return slices.Equal(voters(s), want) && len(s.Fencings) == 0 && lab.ServedBy(s) != ""
	})
}

// A witness votes while the nodes are even in number, runs nothing, and is in
// nobody's way: with one node of two gone for good that one is enough.
func TestWitness(t *testing.T) {
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	t.Parallel() // it waits most of the time
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 2, Witness: true})
	must(t, l.Form(t.Context(), "normal"))
	must(t, l.Apply(t.Context(), clusterBlock(l, "  fencing_action = \"off\"\n")+"node \"host3\" { witness = true }\n"+powerOfEach(l.Nodes(), nil)+
		lab.ServiceConfig(lab.ProcessServer)))
	for _, first := range []string{"the service's node", "the witness"} {
		s := awaitVoters(t, l, "host1", "host2", "host3")
		active := lab.ServedBy(s)
		other := otherThan(l, active, "host3")
		t.Logf("%s goes first, the service is on %s", first, active)
		if active == "host3" {
			t.Fatal("the witness runs the service")
		}
		if first == "the witness" {
			must(t, l.Crash("host3"))
			awaitVoters(t, l, "host1", "host2")
			must(t, l.Crash(active)) // of two: fencing is the vote
			awaitVoters(t, l, other)
		} else {
			must(t, l.Crash(active))
			awaitVoters(t, l, other)
			must(t, l.Crash("host3"))
			await(t, l, "the witness is off", func(s *api.Status) bool {
				return slices.ContainsFunc(s.Nodes, func(n api.Node) bool { return n.Name == "host3" && n.State == "offline" })
			})
		}
		if s := awaitVoters(t, l, other); lab.ServedBy(s) != other {
			t.Errorf("the service is on %s", lab.ServedBy(s))
		}
		must(t, l.Start(active))
		must(t, l.Start("host3"))
		await(t, l, "every node is online", l.AllOnline)
	}
}

// A cluster of one node needs nobody: it goes on by itself when it has booted.
func TestOneNode(t *testing.T) {
	l := formWith(t, 1, "", "")
	for range 2 {
		must(t, l.Crash("host1"))
		must(t, l.Start("host1"))
		awaitVoters(t, l, "host1")
	}
}

// Of nine nodes seven vote, and others take the places of those that are lost.
func TestNineNodes(t *testing.T) {
	l := formWith(t, 9, "  fencing_action = \"off\"\n", `
fence_device "power" {
  agent = "fence_lab"
}
`)
	seven := func(s *api.Status) bool { return len(voters(s)) == 7 && len(s.Fencings) == 0 && lab.ServedBy(s) != "" }
	s := await(t, l, "seven of nine vote", func(s *api.Status) bool { return l.AllOnline(s) && seven(s) })
	gone := voters(s)[:2]
	if !slices.Contains(gone, s.Leader) {
		gone[1] = s.Leader
	}
	for _, node := range gone {
		must(t, l.Crash(node))
	}
	await(t, l, "seven others vote", func(s *api.Status) bool {
		return seven(s) && !slices.ContainsFunc(voters(s), func(n string) bool { return slices.Contains(gone, n) })
	})
	for _, node := range gone {
		must(t, l.Start(node))
	}
	await(t, l, "all are back", func(s *api.Status) bool { return l.AllOnline(s) && seven(s) })
}

// Of four nodes three vote. The fourth runs services like any other, and votes in
// place of one that is lost.
func TestSatellite(t *testing.T) {
	l := formWith(t, 4, "  fencing_action = \"off\"\n", powerOfEach([]string{"host1", "host2", "host3", "host4"}, nil))
	s := await(t, l, "three of four vote", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 3 })
	satellite := otherThan(l, voters(s)...)
	moveTo(t, l, satellite)
	must(t, l.Crash(satellite))
	awaitElsewhere(t, l, satellite)
	must(t, l.Start(satellite))
	s = await(t, l, "three of four vote", func(s *api.Status) bool { return l.AllOnline(s) && len(voters(s)) == 3 })
	satellite = otherThan(l, voters(s)...)
	moveTo(t, l, satellite)
	lost := s.Leader
	must(t, l.Crash(lost))
	s = await(t, l, "the satellite votes instead", func(s *api.Status) bool {
		return len(voters(s)) == 3 && slices.Contains(voters(s), satellite) && !slices.Contains(voters(s), lost)
	})
	if got := lab.ServedBy(s); got != satellite {
		t.Errorf("the service is on %q, not on %s", got, satellite)
	}
	must(t, l.Start(lost))
	awaitWhole(t, l)
}
