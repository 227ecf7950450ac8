package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// sharedLines returns the lines of a file on the disk that all hosts share.
func sharedLines(t *testing.T, l *lab.Lab, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.SharedDir(), name))
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return strings.Fields(string(text))
}

// shared makes or removes a file on that disk.
func shared(t *testing.T, l *lab.Lab, name string, there bool) {
	t.Helper()
	path := filepath.Join(l.SharedDir(), name)
	if there {
		must(t, os.WriteFile(path, nil, 0o644))
		return
	}
	must(t, os.Remove(path))
}

// slowPower is a power switch that takes its time, notes when it begins and ends,
// and longer for hosts that it is told to.
var slowPower = agentScript(`<action name="on"/><action name="off"/><action name="reboot"/><action name="monitor"/>`,
	`monitor) exit 0;;
*) while [ -e /srv/shared/hangs-$plug ]; do sleep 0.2; done
echo begin-$plug >>/srv/shared/calls
sleep 2
printf 'action=%s\nplug=%s\n' $action $plug | fence_lab; code=$?
echo end-$plug >>/srv/shared/calls
exit $code;;`)

// Two of five nodes are lost at once: a device is called as often at a time as its
// action limit allows; and with fencing_max_nodes the second one is not fenced before
// the membership is smaller, unless an administrator says so.
func TestFencingLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	t.Parallel() // it waits most of the time
	l := labtest.Up(t, lab.Spec{Nodes: 5, Links: 1})
	must(t, l.Form(t.Context(), "normal"))
	for _, host := range l.Nodes() {
		program(t, l, host, "fence_slow", slowPower)
	}
	config := func(options, params string) {
		t.Helper()
		must(t, l.Apply(t.Context(), clusterBlock(l, options)+fmt.Sprintf(`
fence_device "slow" {
  agent  = "fence_slow"
  hosts  = ["host1", "host2", "host3", "host4", "host5"]
%s}
`, params)+lab.ServiceConfig(lab.ProcessServer)))
		awaitWhole(t, l)
	}
	// crashTwo crashes two nodes that do not lead, and returns them.
	crashTwo := func() []string {
		t.Helper()
		leader := awaitWhole(t, l).Leader
		first := otherThan(l, leader)
		two := []string{first, otherThan(l, leader, first)}
		for _, node := range two {
			must(t, l.Crash(node))
		}
		return two
	}
	for _, limit := range []int{1, 2} {
		config("", fmt.Sprintf("  params = { pcmk_action_limit = %d }\n", limit))
		done := len(sharedLines(t, l, "calls"))
		two := crashTwo()
		labtest.Eventually(t, patience, "both are fenced", func() bool { return len(sharedLines(t, l, "calls")) >= done+4 })
		calls := sharedLines(t, l, "calls")[done:]
		if together := strings.HasPrefix(calls[1], "begin"); together != (limit == 2) {
			t.Errorf("with an action limit of %d the device was called for %v like this: %v", limit, two, calls)
		}
		awaitWhole(t, l)
	}

	config("  fencing_max_nodes = 1\n", "  params = { pcmk_action_limit = 2 }\n")
	for _, node := range l.Nodes() {
		shared(t, l, "hangs-"+node, true)
	}
	two := crashTwo()
	var held string // the one that waits
	s := await(t, l, "an alarm tells that only one is fenced at a time", func(s *api.Status) bool {
		events := labtest.Output(t, l, s.Leader, "ha", "events", "--last", "100")
		for _, node := range two {
			if strings.Contains(events, node+" is not fenced: at most 1 nodes") {
				held = node
			}
		}
		return held != ""
	})
	for _, f := range fencings(t, l, s.Leader) {
		if f.Target.Node == held && f.Open() {
			t.Errorf("%s is being fenced: %+v", held, f)
		}
	}
	// What an administrator wants is not held back.
	before := boots(t, l)[held]
	shared(t, l, "hangs-"+held, false)
	labtest.Output(t, l, s.Leader, "ha", "fence", held, "--yes")
	labtest.Eventually(t, patience, held+" is fenced and boots", func() bool { return boots(t, l)[held] > before })
	for _, node := range l.Nodes() {
		if node != held {
			shared(t, l, "hangs-"+node, false)
		}
	}
	awaitWhole(t, l)
}

// A whole cluster loses power, and one node does not come back: the others have not
// seen it since they booted, so it is fenced before what it ran is recovered. The
// device knows its hosts by its status action.
func TestFencingOfNodesNeverSeen(t *testing.T) {
	l := formWith(t, 3, "  fencing_action = \"off\"\n", `
fence_device "power" {
  agent  = "fence_lab"
  params = { pcmk_host_check = "status" }
}
`)
	await(t, l, "the device has told whom it knows", func(s *api.Status) bool {
		d := deviceOf(s, "power")
		return d.Check == "status" && len(d.Fences) == 3
	})
	moveTo(t, l, "host3")
	done := len(fencings(t, l, "host1"))
	for _, node := range l.Nodes() {
		must(t, l.Crash(node))
	}
	must(t, l.Start("host1"))
	must(t, l.Start("host2"))
	s := awaitElsewhere(t, l, "host3")
	history := fencings(t, l, lab.ServedBy(s))[done:]
	if len(history) != 1 || history[0].Target.Node != "host3" || history[0].Result != "ok" {
		t.Errorf("fencings since: %+v, want one of host3 alone", history)
	}
	if state := powerOf(t, l, "host3"); state != "off" {
		t.Errorf("host3 is %s", state)
	}
	must(t, l.Start("host3"))
	awaitWhole(t, l)
	// What happened is known to all.
	for _, node := range l.Nodes() {
		labtest.Eventually(t, patience, node+" has the history of fencing", func() bool {
			list := fencings(t, l, node)
			return len(list) == done+1 && list[done].Target.Node == "host3" && list[done].Result == "ok"
		})
	}
}

// A node with two power supplies is off only when both are: so both are switched off
// before one is switched on again. The first attempt at one of them fails.
func TestTwoPowerSupplies(t *testing.T) {
	l := formWith(t, 3, "", powerOfEach([]string{"host1", "host2", "host3"}, nil))
	for _, host := range l.Nodes() {
		for _, strip := range []string{"a", "b"} {
			program(t, l, host, "fence_strip_"+strip, agentScript(`<action name="on"/><action name="off"/><action name="reboot"/><action name="monitor"/>`,
				`off) if rm /srv/shared/flaky-`+strip+` 2>/dev/null; then echo fails-`+strip+` >>/srv/shared/strips; exit 1; fi
echo off-`+strip+` >>/srv/shared/strips
touch /srv/shared/$plug-`+strip+`
[ ! -e /srv/shared/$plug-a ] || [ ! -e /srv/shared/$plug-b ] || printf 'action=off\nplug=%s\n' $plug | fence_lab;;
on) echo on-`+strip+` >>/srv/shared/strips
rm -f /srv/shared/$plug-`+strip+`
printf 'action=on\nplug=%s\n' $plug | fence_lab;;`))
		}
	}
	devices := ""
	for _, strip := range []string{"a", "b"} {
		devices += fmt.Sprintf("\nfence_device \"strip-%s\" {\n  agent = \"fence_strip_%s\"\n  hosts = [\"host1\", \"host2\", \"host3\"]\n}\n", strip, strip)
	}
	for _, node := range l.Nodes() {
		devices += fmt.Sprintf("\nfencing_level %q {\n  level   = 1\n  devices = [\"strip-a\", \"strip-b\"]\n}\n", node)
	}
	must(t, l.Apply(t.Context(), clusterBlock(l, "")+devices+lab.ServiceConfig(lab.ProcessServer)))
	await(t, l, "it is known what the devices can do", func(s *api.Status) bool {
		return lab.ServedBy(s) != "" && len(deviceOf(s, "strip-a").Fences) == 3 && len(deviceOf(s, "strip-b").Fences) == 3
	})
	shared(t, l, "flaky-b", true)
	active := lab.ServedBy(awaitWhole(t, l))
	before := boots(t, l)
	// Its server and its daemon live on as long as it has power: cut it off.
	must(t, l.Cut(lab.Cut{Host: active, Direction: lab.Both}))
	movedFrom(t, l, active, before)
	if got, want := sharedLines(t, l, "strips"), []string{"off-a", "fails-b", "off-b", "on-a", "on-b"}; !slices.Equal(got, want) {
		t.Errorf("the power supplies were switched like this: %v, want %v", got, want)
	}
}

// A host whose kernel has crashed and saves its memory says so: that is known to be
// off, and is left to finish. One that says nothing in the time it has is switched off.
func TestKdump(t *testing.T) {
	const sender = "/usr/libexec/fence-agents/fence_kdump_send"
	for _, program := range []string{"/usr/sbin/fence_kdump", sender} {
		if _, err := os.Stat(program); err != nil {
			t.Skipf("%v: scripts/test-deps installs fence-agents", err)
		}
	}
	levels := "\nfence_device \"dump\" {\n  agent  = \"fence_kdump\"\n  hosts  = [\"host1\", \"host2\", \"host3\"]\n  params = { pcmk_reboot_timeout = \"5s\" }\n}\n"
	for _, node := range []string{"host1", "host2", "host3"} {
		for i, device := range []string{"dump", "power-" + node} {
			levels += fmt.Sprintf("\nfencing_level %q {\n  level   = %d\n  devices = [%q]\n}\n", node, i+1, device)
		}
	}
	l := formWith(t, 3, "", powerOfEach([]string{"host1", "host2", "host3"}, nil)+levels)
	active := lab.ServedBy(awaitWhole(t, l))
	before := boots(t, l)
	others := slices.DeleteFunc(l.Nodes(), func(n string) bool { return n == active })
	// The crash kernel: nothing that ran goes on, and a sender tells of it.
	labtest.Output(t, l, active, "sh", "-c", lab.SignalDaemon("9")+` && kill -9 `+serverPID(t, l, active)+
		` && ip address del `+lab.ServiceTarget.Addr().String()+`/24 dev link1 && { `+sender+` -i 1 `+strings.Join(others, " ")+` >/dev/null 2>&1 </dev/null & }`)
	s := awaitElsewhere(t, l, active)
	if after := boots(t, l); after[active] != before[active] {
		t.Errorf("%s was switched off though it saves its memory", active)
	}
	history := fencings(t, l, s.Leader)
	if f := history[len(history)-1]; f.Target.Node != active || f.Device != "dump" || f.Result != "ok" {
		t.Errorf("the last fencing is %+v, want one of %s by its own word", f, active)
	}
	must(t, l.Crash(active)) // the dump is done: it boots
	must(t, l.Start(active))
	awaitWhole(t, l)

	active = lab.ServedBy(awaitWhole(t, l))
	before = boots(t, l)
	must(t, l.Crash(active))
	movedFrom(t, l, active, before)
	history = fencings(t, l, s.Leader)
	if f := history[len(history)-1]; f.Target.Node != active || f.Device != "power-"+active || f.Result != "ok" {
		t.Errorf("the last fencing is %+v, want one of %s by its power", f, active)
	}
}
