package lab_test

import (
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// formWatched makes a lab of three nodes without a fence device, whose watchdogs
// reset them, and which run the service.
func formWatched(t *testing.T, spec lab.Spec) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	t.Parallel() // they wait most of the time
	spec.Watchdog = true
	l := labtest.Up(t, spec)
	must(t, l.Form(t.Context(), "normal"))
	must(t, l.Apply(t.Context(), l.BaseConfig("normal")+lab.ServiceConfig(lab.ProcessServer)))
	awaitWhole(t, l)
	return l
}

func hostStatus(t *testing.T, l *lab.Lab, host string) lab.HostStatus {
	t.Helper()
	status, err := l.Status()
	must(t, err)
	for _, h := range status.Hosts {
		if h.Name == host {
			return h
		}
	}
	t.Fatalf("no host %s", host)
	return lab.HostStatus{}
}

// freed is when a host's watchdog counts for others at the earliest, without the
// margin: the lease of the preset "normal", and the time-out (rule 8).
const freed = 4*time.Second + lab.WatchdogTimeout

// awaitFreed waits until the service runs elsewhere than on the victim, which was cut
// off at that time: not before its watchdog counts.
func awaitFreed(t *testing.T, l *lab.Lab, victim string, cut time.Time) {
	t.Helper()
	awaitElsewhere(t, l, victim)
	if took := time.Since(cut); took < freed {
		t.Errorf("recovered %v after the cut: the watchdog has until %v", took, freed)
	}
}

// A node that is cut off stops what it runs within its lease; the others wait for
// the committed time, and only then recover.
func TestWatchdogCutOff(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	for _, leader := range []bool{true, false} {
		s := awaitWhole(t, l)
		victim := s.Leader
		if !leader {
			victim = otherThan(l, s.Leader)
		}
		moveTo(t, l, victim)
		t.Logf("%s, leader %s, is cut off", victim, s.Leader)
		begin := time.Now()
		must(t, l.Cut(lab.Cut{Host: victim, Direction: lab.Both}))
		awaitFreed(t, l, victim, begin)
		must(t, l.Heal(""))
		awaitPlace(t, l)
		if h := hostStatus(t, l, victim); h.Resets > 0 {
			t.Errorf("%s was reset %d times though it could stop everything", victim, h.Resets)
		}
	}
}

// A node that cannot stop what it runs when it is cut off is reset.
func TestWatchdogResetsWhoCannotStop(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	// A server that its stop only asks to go on, with more time for it than anybody
	// waits.
	must(t, l.Apply(t.Context(), l.BaseConfig("normal")+lab.ServiceConfig(`  agent  = "ha:process"
  params = { command = "/usr/sbin/ha-lab-server 80", ready_tcp = "80", stop_signal = "CONT", stop_timeout = "5m" }
  op "stop" {
    interval = "0"
    timeout  = "10m"
  }
`)))
	victim := lab.ServedBy(awaitWhole(t, l))
	before := hostStatus(t, l, victim)
	begin := time.Now()
	must(t, l.Cut(lab.Cut{Host: victim, Direction: lab.Both}))
	awaitFreed(t, l, victim, begin)
	after := hostStatus(t, l, victim)
	if after.Resets != before.Resets+1 || after.BootID == before.BootID {
		t.Errorf("%s was reset %d times, not once", victim, after.Resets-before.Resets)
	}
	must(t, l.Heal(""))
	awaitWhole(t, l)
}

// A daemon that is killed and does not come back cannot feed: its host is reset,
// and is a member again after its boot.
func TestWatchdogDaemonKilled(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	active := lab.ServedBy(awaitWhole(t, l))
	begin := time.Now()
	killDaemon(t, l, active)
	labtest.Eventually(t, patience, active+" is reset", func() bool { return hostStatus(t, l, active).Resets == 1 })
	if took := time.Since(begin); took > lab.WatchdogTimeout+5*time.Second {
		t.Errorf("%s was reset only %v after its daemon's end", active, took)
	}
	awaitPlace(t, l)
}

// A daemon that is killed and is back in time takes over its watchdog, and its
// services are not touched.
func TestWatchdogDaemonKilledAndBack(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	active := lab.ServedBy(awaitWhole(t, l))
	before, pid := boots(t, l), serverPID(t, l, active)
	killDaemon(t, l, active)
	labtest.Output(t, l, active, "sh", "-c", "ha daemon >>/var/log/ha.log 2>&1 </dev/null &")
	awaitWhole(t, l)
	nobodyBoots(t, l, before, 2*freed) // neither its watchdog nor the others take it for dead
	awaitWhole(t, l)
	if again := serverPID(t, l, active); again != pid {
		t.Errorf("the server was process %s and is %s", pid, again)
	}
	if h := hostStatus(t, l, active); h.Resets > 0 || h.Watchdog != lab.WatchdogTimeout {
		t.Errorf("%s was reset %d times, its watchdog is armed with %v", active, h.Resets, h.Watchdog)
	}
}

// A daemon that is stopped in an orderly way stops its services first, and then
// leaves a host that nothing resets.
func TestWatchdogReleasedByStop(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	active := lab.ServedBy(awaitWhole(t, l))
	labtest.Output(t, l, active, "sh", "-c", lab.SignalDaemon("TERM"))
	labtest.Eventually(t, patience, "the watchdog of "+active+" is released", func() bool { return hostStatus(t, l, active).Watchdog == 0 })
	awaitElsewhere(t, l, active)
	labtest.Holds(t, 2*lab.WatchdogTimeout, active+" is on and was not reset", func() bool {
		h := hostStatus(t, l, active)
		return h.Resets == 0 && h.State == "on"
	})
	labtest.Output(t, l, active, "sh", "-c", "ha daemon >>/var/log/ha.log 2>&1 </dev/null &")
	awaitWhole(t, l)
	labtest.Eventually(t, patience, "the watchdog of "+active+" is armed again", func() bool { return hostStatus(t, l, active).Watchdog > 0 })
}

// A paused host does not feed: it is reset while it stands still.
func TestWatchdogPaused(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2})
	active := lab.ServedBy(awaitWhole(t, l))
	must(t, l.Pause(active))
	labtest.Eventually(t, patience, active+" is reset", func() bool { return hostStatus(t, l, active).Resets == 1 })
	awaitPlace(t, l)
}

// A pair and a witness, without a fence device: the witness makes the majority,
// and never runs anything.
func TestWatchdogWithWitness(t *testing.T) {
	l := formWatched(t, lab.Spec{Nodes: 3, Links: 2, Witness: true})
	for range 2 {
		s := await(t, l, "two nodes and the witness vote", func(s *api.Status) bool {
			return l.AllOnline(s) && len(voters(s)) == 3 && lab.ServedBy(s) != ""
		})
		active := lab.ServedBy(s)
		if active == "host3" {
			t.Fatal("the witness runs the service")
		}
		must(t, l.Crash(active))
		s = awaitElsewhere(t, l, active)
		if lab.ServedBy(s) == "host3" {
			t.Fatal("the witness runs the service")
		}
		must(t, l.Start(active))
	}
	awaitWhole(t, l)
}
