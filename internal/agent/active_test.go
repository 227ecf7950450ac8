package agent

import (
	"testing"

	"linuxha/internal/cluster"
)

// TestRecorded ends the daemon again and again: what it made active and did not
// stop is known to the next, in the same boot.
func TestRecorded(t *testing.T) {
	f := newFixture(t)
	idle := f.ocf(`exit 7`)
	active := func() string {
		t.Helper()
		f.runner.Close()
		f.open()
		recorded, err := f.runner.Recorded()
		if err != nil {
			t.Fatal(err)
		}
		if len(recorded.InFlight) != 0 || len(recorded.Active) > 1 {
			t.Fatalf("recorded %+v", recorded)
		}
		if len(recorded.Active) == 0 {
			return ""
		}
		return recorded.Active[0].Name + " " + recorded.Active[0].Action
	}
	f.run(f.operation(idle, "monitor"))
	if got := active(); got != "" {
		t.Errorf("after a probe that found nothing: %q", got)
	}
	agent := f.ocf(`case $1 in promote) exit 1;; esac; exit 0`)
	for _, step := range []struct{ action, want string }{
		{"monitor", "thing monitor"}, {"stop", ""}, {"start", "thing start"}, {"promote", "thing promote"}, {"monitor", "thing promote"}, {"stop", ""}, {"start", "thing start"},
	} {
		f.run(f.operation(agent, step.action))
		if got := active(); got != step.want {
			t.Errorf("after %s: %q, want %q", step.action, got, step.want)
		}
	}
	f.options.Boot = "another"
	if got := active(); got != "" {
		t.Errorf("after a boot: %q", got)
	}
}

// TestStopOfWhatWasRemoved: a stop without parameters, since the resource is not
// configured any more, stops what was started with them, after a restart of the
// daemon, too. Parameters that are given count.
func TestStopOfWhatWasRemoved(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`[ "$1" = stop ] && echo "$OCF_RESKEY_state" >> ` + f.dir + `/stopped; [ -n "$OCF_RESKEY_state" ] || exit 6; exit 0`)
	params := func(state string) []cluster.NVPair { return []cluster.NVPair{{Name: "state", Value: state}} }
	for _, given := range []string{"", "other"} {
		start := f.operation(agent, "start")
		start.Params = params("mine")
		f.run(start)
		f.runner.Close()
		f.open()
		stop := f.operation(agent, "stop")
		if given != "" {
			stop.Params = params(given)
		}
		if r := f.run(stop); r.Code != 0 {
			t.Errorf("given %q: exit code %d (%s)", given, r.Code, r.Reason)
		}
	}
	if got := f.file("stopped"); got != "mine\nother\n" {
		t.Errorf("stopped with %q", got)
	}
}
