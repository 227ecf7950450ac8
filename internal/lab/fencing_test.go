package lab_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// program puts an agent on a host.
func program(t *testing.T, l *lab.Lab, host, name, script string) {
	t.Helper()
	labtest.Output(t, l, host, "sh", "-c", "cat >/usr/sbin/"+name+" <<'EOF'\n#!/bin/sh\n"+script+"\nEOF\nchmod 755 /usr/sbin/"+name)
}

// agentScript is a fence agent with these actions in its metadata.
func agentScript(metadata, actions string) string {
	return `input=$(cat)
action=$(echo "$input" | sed -n 's/^action=//p')
plug=$(echo "$input" | sed -n 's/^plug=//p')
case $action in
metadata) echo '<resource-agent name="test"><parameters><parameter name="plug"><content type="string"/></parameter></parameters><actions>` + metadata + `</actions></resource-agent>'; exit 0;;
` + actions + `
esac
exit 0`
}

// stuckAgent is a resource that does not stop while /run/stuck is there.
const stuckAgent = `#!/bin/sh
case $1 in
meta-data) echo '<resource-agent name="stuck"><version>1.0</version><actions><action name="start" timeout="5"/><action name="stop" timeout="5"/><action name="monitor" timeout="5" interval="10"/></actions></resource-agent>';;
start) touch /run/stuck-runs;;
stop) [ ! -e /run/stuck ] || exit 1; rm -f /run/stuck-runs;;
monitor) [ -e /run/stuck-runs ] || exit 7;;
*) exit 3;;
esac`

// fencings is what ha fence history shows.
func fencings(t *testing.T, l *lab.Lab, host string) (list []cluster.Fencing) {
	t.Helper()
	must(t, json.Unmarshal([]byte(labtest.Output(t, l, host, "ha", "fence", "history", "--json")), &list))
	return list
}

func deviceOf(s *api.Status, id string) api.Device {
	for _, d := range s.Devices {
		if d.ID == id {
			return d
		}
	}
	return api.Device{}
}

func warned(s *api.Status, code, text string) bool {
	return slices.ContainsFunc(s.Warnings, func(w api.Warning) bool { return w.Code == code && strings.Contains(w.Text, text) })
}

// Fencing with more than one power switch, on real hosts: a device that stops
// working is told before it is needed; one that only another node reaches is called
// by that; a device that lists its hosts needs none configured; nodes are unfenced
// before they get what needs it.
func TestFencingInFull(t *testing.T) {
	if testing.Short() {
		t.Skip("forms a cluster")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 1})
	must(t, l.Form(t.Context(), "normal"))

	// The power switch as only host3 reaches it; it lists its hosts.
	program(t, l, "host3", "fence_far", agentScript(
		`<action name="off"/><action name="reboot"/><action name="list"/><action name="monitor"/>`,
		`list) echo 1,host1; echo 2,host2; echo 3,host3;;
monitor) [ ! -e /run/lab-broken ] || { echo "login refused" >&2; exit 3; };;
*) case $plug in host[0-9]) ;; *) plug=host$plug;; esac; printf 'action=%s\nplug=%s\n' $action $plug | fence_lab;;`))
	for _, host := range l.Nodes() {
		// "on" registers the node; it works once people allow it.
		program(t, l, host, "fence_disk", agentScript(
			`<action name="on" automatic="1" on_target="1"/><action name="off"/><action name="monitor"/>`,
			`on) [ "$plug" = "$(hostname)" ] || { echo "not on the target" >&2; exit 1; }
[ -e /usr/allowed ] || { echo "no reservation" >&2; exit 1; }
touch /run/registered;;`))
	}
	far := `
fence_device "far" {
  agent = "fence_far"
  op "monitor" { interval = "1s" }
}
`
	service := lab.ServiceConfig(lab.ProcessServer)
	must(t, l.Apply(t.Context(), clusterBlock(l, "")+far+service))
	awaitWhole(t, l)

	s := await(t, l, "the device is watched and has listed its hosts", func(s *api.Status) bool {
		d := deviceOf(s, "far")
		return d.State == "works" && len(d.Fences) == 3 && slices.Equal(d.Watched, []string{"host3"})
	})
	if d := deviceOf(s, "far"); d.Check != "dynamic-list" || d.By != "host3" && s.Leader != "host3" {
		t.Errorf("device %+v", d)
	}

	// Only host3 can call it.
	victim := "host2"
	if s.Leader == "host2" {
		victim = "host1"
	}
	before := boots(t, l)[victim]
	must(t, l.Crash(victim))
	labtest.Eventually(t, patience, victim+" is fenced and boots", func() bool { return boots(t, l)[victim] > before })
	s = awaitWhole(t, l)
	last := fencings(t, l, s.Leader)
	if f := last[len(last)-1]; f.Target.Node != victim || f.Result != "ok" || f.Device != "far" || s.Leader != "host3" && f.Caller != "host3" {
		t.Errorf("the last fencing is %+v, want one of %s called by host3", f, victim)
	}

	// It stops working while nobody needs it.
	labtest.Output(t, l, "host3", "touch", "/run/lab-broken")
	await(t, l, "the status tells that the device does not work", func(s *api.Status) bool {
		return deviceOf(s, "far").State == "fails" && warned(s, "fence-device", "login")
	})
	if events := labtest.Output(t, l, "host1", "ha", "events"); !strings.Contains(events, "fence device far does not work") {
		t.Errorf("no event tells of the device:\n%s", events)
	}
	labtest.Output(t, l, "host3", "rm", "/run/lab-broken")
	labtest.Output(t, l, "host1", "ha", "resource", "cleanup", "far")
	await(t, l, "the device works again", func(s *api.Status) bool {
		return deviceOf(s, "far").State == "works" && !warned(s, "fence-device", "")
	})

	// A node that cannot stop a resource is fenced, and the resource goes on elsewhere.
	for _, host := range l.Nodes() {
		labtest.Output(t, l, host, "sh", "-c", "mkdir -p /usr/lib/ocf/resource.d/test && cat >/usr/lib/ocf/resource.d/test/stuck <<'EOF'\n"+stuckAgent+"\nEOF\nchmod 755 /usr/lib/ocf/resource.d/test/stuck")
	}
	stuck := "\nresource \"stuck\" {\n  agent = \"ocf:test:stuck\"\n}\n"
	must(t, l.Apply(t.Context(), clusterBlock(l, "")+far+service+stuck))
	s = await(t, l, "it runs", func(s *api.Status) bool { return lab.PlaceOf(s, "stuck") != "" })
	victim = lab.PlaceOf(s, "stuck")
	before = boots(t, l)[victim]
	labtest.Output(t, l, victim, "touch", "/run/stuck")
	labtest.Output(t, l, s.Leader, "ha", "node", "standby", victim)
	labtest.Eventually(t, patience, victim+" is fenced, since the stop failed", func() bool { return boots(t, l)[victim] > before })
	s = await(t, l, "it runs elsewhere", func(s *api.Status) bool {
		node := lab.PlaceOf(s, "stuck")
		return node != "" && node != victim
	})
	labtest.Output(t, l, s.Leader, "ha", "node", "online", victim)
	awaitWhole(t, l)

	// What needs unfencing waits for it.
	disk := fmt.Sprintf("\nfence_device \"disk\" {\n  agent = \"fence_disk\"\n  hosts = [%q, %q, %q]\n}\n", "host1", "host2", "host3")
	must(t, l.Apply(t.Context(), clusterBlock(l, "")+far+disk+service))
	await(t, l, "the status tells whose unfencing failed", func(s *api.Status) bool {
		return lab.ServedBy(s) == "" && deviceOf(s, "disk").Unfences && warned(s, "unfencing", "no reservation")
	})
	if found := servers(t, l); len(found) != 0 {
		t.Errorf("the service runs on %v, which is not unfenced", found)
	}
	for _, host := range l.Nodes() {
		labtest.Output(t, l, host, "touch", "/usr/allowed")
	}
	s = awaitWhole(t, l)
	node := lab.ServedBy(s)
	labtest.Output(t, l, node, "test", "-e", "/run/registered")
	history := fencings(t, l, node)
	for _, result := range []string{"failed", "ok"} {
		if !slices.ContainsFunc(history, func(f cluster.Fencing) bool {
			return f.Action == "on" && (f.Target.Node == node || result == "failed") && f.Result == result
		}) {
			t.Errorf("no unfencing of %s that is %s: %+v", node, result, history)
		}
	}
	// One that was fenced is unfenced anew when it has joined.
	must(t, l.Crash(node))
	awaitElsewhere(t, l, node)
	awaitWhole(t, l)
	moveTo(t, l, node)
	labtest.Output(t, l, node, "test", "-e", "/run/registered")
	if out := labtest.Output(t, l, "host1", "ha", "fence", "devices"); !strings.Contains(out, "unfenced when they join") || !strings.Contains(out, "dynamic-list") {
		t.Errorf("ha fence devices says\n%s", out)
	}
}
