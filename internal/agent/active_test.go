package agent

import (
	"strings"
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

// TestStopAsStarted: a stop uses the parameters that the start used, after a restart
// of the daemon, too, whether the configuration has others now or none; those of a
// successful reload; and the same agent, as a demotion does. Its own count only after a start that failed.
func TestStopAsStarted(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`[ "$1" = stop ] && echo "$OCF_RESKEY_state" >> ` + f.dir + `/stopped
case $1 in demote|stop) echo "$1 $OCF_RESKEY_state" >> ` + f.dir + `/ended;; esac
case "$1 $OCF_RESKEY_state" in "start bad") exit 6;; "stop "|"stop bad") exit 6;; esac
exit 0`)
	do := func(action, state string) int {
		op := f.operation(agent, action)
		if state != "" {
			op.Params = []cluster.NVPair{{Name: "state", Value: state}}
		}
		return f.run(op).Code
	}
	for _, c := range []struct{ name, start, reload, stop, with string }{
		{"unchanged", "old", "", "old", "old"},
		{"changed", "old", "", "new", "old"},
		{"removed", "old", "", "", "old"},
		{"reloaded", "old", "newer", "newest", "newer"},
		{"mended", "bad", "", "good", "good"},
	} {
		do("start", c.start)
		if c.reload != "" {
			do("reload", c.reload)
		}
		f.runner.Close()
		f.open()
		before := f.file("stopped")
		if code := do("stop", c.stop); code != 0 {
			t.Errorf("%s: exit code %d", c.name, code)
		}
		if got := strings.TrimPrefix(f.file("stopped"), before); got != c.with+"\n" {
			t.Errorf("%s: stopped with %q, want %q", c.name, got, c.with)
		}
	}

	// Another agent of the same resource does not know what there is to demote or to stop.
	do("start", "old")
	f.program("ocf/resource.d/test/other", "exit 0")
	other := cluster.Agent{Class: "ocf", Provider: "test", Type: "other"}
	for _, action := range []string{"demote", "stop"} {
		op := f.operation(other, action)
		op.Params = []cluster.NVPair{{Name: "state", Value: "new"}}
		before := f.file("ended")
		if f.run(op); strings.TrimPrefix(f.file("ended"), before) != action+" old\n" {
			t.Errorf("with another agent in the configuration the one that started it was not asked to %s it", action)
		}
	}
}
