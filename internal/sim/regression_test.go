package sim

import (
	"testing"
	"time"
)

// TestRegressions runs seeds that once failed, each with what was wrong then. What
// a seed does changes with the mix of faults, hence the faults are written down.
func TestRegressions(t *testing.T) {
	migrating := shape(2)
	migrating.Migrate, migrating.Promotable = true, true
	promotable := shape(2)
	promotable.Promotable = true
	for _, r := range []struct {
		name   string
		shape  Shape
		faults []Fault
	}{
		{"a history that is erased while a renumbered clone runs", promotable, []Fault{
			at(10, "crash leader", 1, 15), at(14, "refresh", 1, 1), at(20, "refresh", 2, 1), at(40, "refresh", 1, 1),
		}},
		{"a promoted instance that is found unpromoted", promotable, []Fault{
			at(10, "service dies", 1, 1), at(10.2, "refresh", 1, 1), at(20, "service dies", 2, 1), at(20.2, "refresh", 2, 1),
		}},
		{"a disk that was set back, and whose leader beats before it is heard", shape(3), []Fault{
			at(20, "set back", 2, 3), at(45, "set back", 1, 3),
		}},
		{"a migration whose ends lose their daemons", migrating, []Fault{
			at(10, "migration cut", 1, 3).with(2), at(30, "migration cut", 2, 3).with(1), at(50, "migration cut", 1, 3).with(2), at(70, "migration cut", 2, 3).with(1),
		}},
		{"a node that stands still is not heard: people do not say for that that it is off", noFencing(shape(3)), []Fault{
			at(10, "pause", 1, 3), at(10.8, "confirm heard", 1, 8), at(35, "pause", 2, 3), at(35.8, "confirm heard", 2, 8),
			at(60, "pause", 3, 3), at(60.8, "confirm heard", 3, 8),
		}},
		{"a voter is left behind what was written with a change of voters", shape(3), []Fault{at(10, "left behind", 1, 15), at(50, "left behind", 2, 15)}},
		{"a pair of which one has lost its disk", shape(2), []Fault{at(20, "lose disk", 2, 5)}},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				r.shape.Seed = 2000 + seed
				got := RunFaults(r.shape, r.faults, Options{Length: 90 * time.Second})
				for _, b := range got.Breaches {
					t.Errorf("seed %d: %v", r.shape.Seed, b)
				}
			}
		})
	}
}

// TestRegressionSeeds runs seeds that broke a rule when a run had neither stuck streams
// nor faults that fit its world: without those.
func TestRegressionSeeds(t *testing.T) {
	replay(t, []failed{
		{2112721, "a disk set back to when its node was the only voter, whose node leads as soon as it hears the others"},
		{2100118, "a migration under the grant of one that was given up"},
		{4000520, "a pair of which one leaves, while the disk of the leader knows last that it is alone: nobody could be elected"},
		{21005961, "a start that waits for a grant whose release was proposed when its transition ended"},
		{21006661, "a promoted instance that did not stop, of which its daemon knows no more since it was started again"},
		{20004128, "a sole voter by its state, whose log says that others vote, and who was elected by them"},
		{20001686, "the daemon of a helper dies, whose call has to be waited for"},
		{20002578, "voters that could not decide by themselves come into force when another one is gone for good"},
		{6010352, "quorum forced again before the first entry of a forced lineage"},
		{30001382, "a lease that was long when the node joined, and is told shorter while an answer still holds"},
		{31003578, "the same, of a node that was just admitted"},
		{30003251, "a promoted role whose release was refused, since people erased the history meanwhile"},
		{30003522, "a node that was cut off learns that another one had left everything, which is back since"},
		{11001002, "the start of an earlier leader, told to the next one behind the probe before it"},
		{11004432, "the target of a migration reports while the source has yet to begin it"},
	}, func(s Shape, length time.Duration) []Fault {
		return inOrder(mixed(s, length, s.rand(2)), beside(s, length, s.rand(5)))
	})
}

// TestRegressionWholeSeeds runs seeds that broke a rule when a run had no requests that
// are held up: without those.
func TestRegressionWholeSeeds(t *testing.T) {
	replay(t, []failed{
		{60004108, "people confirm a life for which a former leader has a fence device called: its successor waits"},
		{61000438, "what an administrator wants fenced is tried again"},
		{80004294, "an order is refused while one of an earlier leader for the same service is still under way"},
		{61009729, "a node is lost of three voters, which are two soon after: time does not count any more"},
		{60001859, "what the voters of before had committed counts: who lacks some of it does not go on alone"},
		{100012383, "a node leaves while it is still asked what runs there: its watchdog is released"},
		{100010398, "a node is back with an empty disk while a witness leads beside the only other one"},
		{100005819, "quorum was forced, and the one that went on alone lost power before the third one knew of it"},
		{100008988, "people say of a node that it is off where there is no leader, while another one hears it"},
	}, func(s Shape, length time.Duration) []Fault {
		return inOrder(mixed(s, length, s.rand(2)), stuckStreams(s, length, s.rand(6)), beside(s, length, s.rand(5)), fitting(s, length, s.rand(7)))
	})
}

// TestRegressionPresentSeeds runs seeds with all that the mix has by now.
func TestRegressionPresentSeeds(t *testing.T) {
	replay(t, []failed{
		{110011608, "a migration whose target does not know what arrives, and is cut off"},
		{120013192, "links that had failed again and again fail once more when what was delayed has come"},
		{120010654, "people clean up before a node has reported what failed there"},
		{130004498, "a lost node is one of two voters, and its daemon is away when its time would have passed"},
		{145002944, "a daemon whose operation a fault waited for is not killed after the faults have ended"},
		{145008741, "a dial that began while a link was slow is given up, and made again when that carries as usual"},
	}, planFaults)
}

// failed is a seed of three minutes that once broke a rule, and what was wrong then.
type failed struct {
	seed uint64
	name string
}

func replay(t *testing.T, seeds []failed, faults func(Shape, time.Duration) []Fault) {
	const length = 3 * time.Minute
	for _, s := range seeds {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			world := shapeOf(s.seed)
			for _, b := range RunFaults(world, faults(world, length), Options{Length: length}).Breaches {
				t.Errorf("seed %d: %v", s.seed, b)
			}
		})
	}
}
