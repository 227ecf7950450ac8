//go:build mutants

package sim

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"linuxha/internal/cluster/mutant"
)

// HA_SIM_BREAK breaks a rule in every test of this process.
func init() { mutant.Current = os.Getenv("HA_SIM_BREAK") }

// TestScenariosCatch: a scenario that is there for a clause of a safety rule fails
// without that clause.
func TestScenariosCatch(t *testing.T) {
	for _, x := range []struct{ scenario, broken string }{
		{"TestThreeToTwoToOne", "say that voters are synced when they are applied"},
		{"TestThreeToTwoToOne", "vote though the other may not know the voters"},
		{"TestTwoToThree", "vote with a change of voters under way"},
		{"TestTheWitnessLeavesWithTheNode", "a witness votes beside any number of nodes"},
		{"TestTheWitnessLeadsBriefly", "a witness never campaigns"},
		{"TestFencedOneAfterTheOther", "fence any number of nodes"},
		{"TestFencingThatLeavesTheBootAlive", "a device that leaves the boot alive is a vote"},
		{"TestPairWithoutFencing", "time is the vote of a pair"},
		{"TestPairWithoutFencing", "without a device silence is the vote"},
		{"TestLeaveIsNoVote", "without a device silence is the vote"},
		{"TestRegressions/a_voter_is_left_behind_what_was_written_with_a_change_of_voters", "vote without what the voters of before had committed"},
		{"TestFiveToOne", "vote though the other may not know the voters"},
		{"TestTwinSoleVoters", "a sole voter boots and leads"},
		{"TestTwinByForce", "a sole voter boots and leads"},
		{"TestPartedHistories", "grant beside another history"},
		{"TestPartedBehindAFollower", "grant beside another history"},
		{"TestTheOldCopyIsDropped", "use what is torn or set back"},
		{"TestAnOldVoter", "hear other lineages"},
		{"TestRemovalOfWhatIsNotOff", "remove a node that is not confirmed off"},
		{"TestOrdersWithoutACommit", "start before the grant is committed"},
		{"TestWatchdogs", "feed the watchdog without contact"},
		{"TestWatchdogs", "count the watchdog without the lease"},
		{"TestWatchdogs", "renew leases without a majority"},
		{"TestWatchdogs", "give lost nodes contact"},
		{"TestWatchdogs", "count the lease from receipt"},
		{"TestTimeCountsAnewAfterAPair", "count the watchdog from before a pair"},
		{"TestTimeCountsAnewAfterAPair", "keep as a pair with a change of voters under way"},
		{"TestLostAtEveryStep", "keep as a pair with a change of voters under way"},
		{"TestAMigrationWaitsForItsTarget", "migrate to who does not expect it"},
		{"TestAnswerOfALateFencing", "admit while a fencing is open"},
		{"TestConfirmWhileHeard", "confirm what is heard"},
		{"TestPolicies", "without quorum keep everything"},
		{"TestPairMatrix", "a failed fencing is a vote"},
		{"TestFenceDeviceWithoutPower", "a failed fencing counts"},
		{"TestUpgrade", "use a format that not all know"},
		{"TestARequestIsCarriedOutOnce", "carry out a request twice"},
		{"TestScenarios/an_operation_whose_daemon_dies", "forget the records of operations"},
	} {
		t.Run(x.scenario+" "+strings.ReplaceAll(x.broken, " ", "_"), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(x.scenario, "/", "$/^")+"$", "-test.count=1")
			cmd.Env = append(os.Environ(), "HA_SIM_BREAK="+x.broken)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("%s passes though this is broken: %s", x.scenario, x.broken)
			} else if !strings.Contains(string(out), "--- FAIL") {
				t.Errorf("%s: %v\n%s", x.scenario, err, out)
			}
		})
	}
}
