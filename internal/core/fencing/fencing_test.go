package fencing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// config makes fence devices out of lines "id agent name=value ...", and levels
// out of lines "level TARGET INDEX device,device".
func config(lines ...string) *cluster.State {
	s := &cluster.State{}
	c := &s.Config
	for _, line := range lines {
		f := strings.Fields(line)
		if f[0] == "level" {
			c.FencingLevels = append(c.FencingLevels, cluster.FencingLevel{Target: f[1], Index: int(f[2][0] - '0'), Devices: strings.Split(f[3], ",")})
			continue
		}
		r := cluster.Resource{ID: f[0], Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: f[1]}}
		set := cluster.AttrSet{}
		for _, p := range f[2:] {
			name, value, _ := strings.Cut(p, "=")
			set.Pairs = append(set.Pairs, cluster.NVPair{Name: name, Value: value})
		}
		r.Params = []cluster.AttrSet{set}
		c.Resources = append(c.Resources, r)
	}
	return s
}

// learn makes the state know of a device what the fields of d say.
func learn(s *cluster.State, d cluster.DeviceState) *cluster.State {
	d.Digest = cluster.FenceDigest(s.Config.FenceParams(s.Config.FindResource(d.ID)))
	d.Known = true
	s.Devices = append(s.Devices, d)
	return s
}

func describe(routes []Route) string {
	var ways []string
	for _, r := range routes {
		var steps []string
		for _, s := range r.Steps {
			text := s.Call.Device + ":" + s.Call.Action
			if s.Optional {
				text += "?"
			}
			steps = append(steps, text)
		}
		if r.PowerBack != "" {
			steps = append(steps, "+"+r.PowerBack)
		}
		ways = append(ways, strings.Join(steps, " "))
	}
	return strings.Join(ways, " | ")
}

func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *cluster.State
		target string
		action string
		want   string
	}{
		{"none", config(), "a", "reboot", ""},
		{"any host", config("p fence_x"), "a", "reboot", "p:reboot"},
		{"list", config("p fence_x pcmk_host_list=b,c", "q fence_x pcmk_host_list=a"), "a", "reboot", "q:reboot"},
		{"map", config("p fence_x pcmk_host_map=a:1;b:2"), "b", "off", "p:off"},
		{"not in the map", config("p fence_x pcmk_host_map=a:1;b:2"), "c", "off", ""},
		{"one after the other", config("p fence_x", "q fence_y"), "a", "off", "p:off | q:off"},
		{"alias is the agent layer's", config("p fence_x pcmk_reboot_action=off"), "a", "reboot", "p:reboot"},
		{"priority", config("p fence_x priority=1", "q fence_y priority=7"), "a", "off", "q:off | p:off"},
		{"list not known yet: last", config("p fence_x pcmk_host_check=dynamic-list", "q fence_y pcmk_host_list=a"), "a", "off", "q:off | p:off"},
		{"listed", learn(config("p fence_x", "q fence_y pcmk_host_list=a"), cluster.DeviceState{ID: "p", Actions: []string{"off", "list"}, Listed: true,
			Plugs: []cluster.PlugName{{Plug: "a"}}}), "a", "off", "p:off | q:off"},
		{"not listed", learn(config("p fence_x", "q fence_y pcmk_host_list=a"), cluster.DeviceState{ID: "p", Actions: []string{"off", "list"}, Listed: true,
			Plugs: []cluster.PlugName{{Plug: "b"}}}), "a", "off", "q:off"},
		{"status says no", learn(config("p fence_x pcmk_host_check=status"), cluster.DeviceState{ID: "p", Actions: []string{"off", "status"}, Cannot: []string{"A"}}), "a", "off", ""},
		{"status not asked of it", learn(config("p fence_x pcmk_host_check=status"), cluster.DeviceState{ID: "p", Actions: []string{"off", "status"}, Can: []string{"b"}}), "a", "off", "p:off"},
		{"unfencing by all that need it", learn(learn(config("p fence_x", "s fence_y", "z fence_z", "level a 1 p"), cluster.DeviceState{ID: "s", Actions: []string{"on", "off"}, Unfences: true}),
			cluster.DeviceState{ID: "z", Actions: []string{"on", "off"}, Unfences: true}), "a", "on", "s:on z:on"},
		{"power and storage", learn(config("p fence_x", "s fence_y", "level a 1 s,p"), cluster.DeviceState{ID: "s", Actions: []string{"on", "off"}, Unfences: true}), "a", "reboot", "s:off p:off +p"},
		{"levels", config("p fence_x", "q fence_y", "level a 2 p", "level a 1 q"), "a", "reboot", "q:reboot | p:reboot"},
		{"levels of another", config("p fence_x", "q fence_y", "level b 1 q"), "a", "reboot", "p:reboot | q:reboot"},
		{"two supplies", config("p fence_x", "q fence_x", "level a 1 p,q"), "a", "reboot", "p:off q:off +p,q"},
		{"two supplies off", config("p fence_x", "q fence_x", "level a 1 p,q"), "a", "off", "p:off q:off"},
		{"a missing device", config("p fence_x", "level a 1 p,gone", "level a 2 p"), "a", "off", "p:off"},
	} {
		if got := describe(Routes(test.config, test.target, test.action)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEndingBoot(t *testing.T) {
	c := config("p fence_ipmilan", "s fence_scsi", "n fence_custom provides=unfencing", "u fence_unknown", "k fence_kdump", "h fence_heuristics_ping")
	learn(c, cluster.DeviceState{ID: "u", Actions: []string{"on", "off", "status"}})
	if got, want := describe(EndingBoot(Routes(c, "a", "off"))), "p:off | k:off"; got != want {
		t.Errorf("%q, want %q: cutting storage does not end a boot", got, want)
	}
	c = config("p fence_ipmilan", "h fence_heuristics_ping", "level a 1 h,p", "level a 2 h")
	if got, want := describe(EndingBoot(Routes(c, "a", "off"))), "h:off p:off"; got != want {
		t.Errorf("%q, want %q: a level ends a boot if one of its devices does", got, want)
	}
}

func TestArguments(t *testing.T) {
	c := config("p fence_x pcmk_host_map=a:17 pcmk_off_timeout=7s pcmk_off_retries=3 login=admin action=reboot")
	s := Routes(c, "a", "off")[0].Steps[0]
	if len(s.Call.Params) != 5 {
		t.Errorf("parameters %v: the agent layer gets them as configured", s.Call.Params)
	}
	if s.Call.Timeout != 7*time.Second || s.Attempts != 3 || s.Limit != 1 {
		t.Errorf("timeout %v, attempts %d, limit %d", s.Call.Timeout, s.Attempts, s.Limit)
	}
}

func TestDelay(t *testing.T) {
	c := config("p fence_x pcmk_delay_base=a:2s;b:3 pcmk_delay_max=5s")
	for target, want := range map[string][2]time.Duration{"a": {2 * time.Second, 3 * time.Second}, "b": {3 * time.Second, 2 * time.Second}, "c": {0, 5 * time.Second}} {
		if base, extra := Delay(c, Routes(c, target, "off"), target); base != want[0] || extra != want[1] {
			t.Errorf("%s: delay %v and up to %v more, want %v", target, base, extra, want)
		}
	}
}

// here: only this node can call.
func here(string, Step) []string { return []string{""} }

// walk lets a coordinator fence a by routes of s; answers say whether each call
// succeeds, in order.
func walk(t *testing.T, s *cluster.State, callers func(string, Step) []string, answers ...bool) (log string, f *Coordinator) {
	f = New()
	s.Fencings = []cluster.Fencing{{ID: 7, Target: cluster.Incarnation{Node: "a", Counter: 3, Boot: "x"}, Action: "reboot"}}
	now := time.Hour
	routes := func(f *cluster.Fencing) []Route { return Routes(s, f.Target.Node, f.Action) }
	var steps []string
	for range 20 {
		f.Review(now, s, routes, func(*cluster.Fencing) time.Duration { return time.Second })
		for _, id := range f.Due(now, callers) {
			call := f.Call(id)
			if f.Call(id) != nil {
				t.Error("called twice")
			}
			if len(answers) == 0 {
				t.Fatalf("an unexpected call of %s after %v", call.Device, steps)
			}
			by := ""
			if call.Caller != "" {
				by = "@" + call.Caller
			}
			steps = append(steps, fmt.Sprintf("%s:%s#%d%s", call.Device, call.Action, call.Attempt, by))
			late := *call
			late.Target.Counter--
			f.Called(now, event.FenceCalled{Call: late, OK: true}) // of a former life: ignored
			late = *call
			late.Order--
			f.Called(now, event.FenceCalled{Call: late, OK: true}) // of an earlier call: ignored
			took := time.Duration(0)
			if strings.HasPrefix(call.Device, "slow") {
				took = call.Timeout
			}
			f.Called(now, event.FenceCalled{Call: *call, OK: answers[0], Error: "no", Took: took})
			answers = answers[1:]
		}
		now += 600 * time.Millisecond
	}
	for _, e := range f.Ended() {
		result := e.Result
		if e.Cut {
			result += " cut"
		}
		if e.Caller != "" {
			result += " by " + e.Caller
		}
		steps = append(steps, result)
	}
	return strings.Join(steps, " "), f
}

func TestCoordinator(t *testing.T) {
	two := config("p fence_x", "q fence_x", "level a 1 p,q")
	b := func(string, Step) []string { return []string{"", "b"} }
	onlyB := func(_ string, s Step) []string {
		if s.Call.Device == "p" {
			return nil
		}
		return []string{"b"}
	}
	for _, test := range []struct {
		name    string
		state   *cluster.State
		callers func(string, Step) []string
		answers []bool
		want    string
	}{
		{"at once", config("p fence_x"), here, []bool{true}, "p:reboot#1 ok"},
		{"second attempt", config("p fence_x"), here, []bool{false, true}, "p:reboot#1 p:reboot#2 ok"},
		{"attempts share the time-out", config("slow fence_x"), here, []bool{false}, "slow:reboot#1 failed"},
		{"all fail", config("p fence_x"), here, []bool{false, false}, "p:reboot#1 p:reboot#2 failed"},
		{"next device", config("p fence_x", "q fence_x"), here, []bool{false, false, true}, "p:reboot#1 p:reboot#2 q:reboot#1 ok"},
		{"both supplies off is enough", two, here, []bool{true, true}, "p:off#1 q:off#1 ok"},
		{"one supply stays on", two, here, []bool{true, false, false}, "p:off#1 q:off#1 q:off#2 failed"},
		{"no device", config(), here, nil, "failed"},
		{"storage only", config("s fence_scsi"), here, []bool{true}, "s:reboot#1 ok cut"},
		{"storage and power", config("s fence_scsi", "p fence_x", "level a 1 s,p"), here, []bool{true, true}, "s:off#1 p:off#1 ok"},
		{"power, then storage as the second level", config("s fence_scsi", "p fence_x", "level a 1 p", "level a 2 s"), here, []bool{false, false, true}, "p:reboot#1 p:reboot#2 s:reboot#1 ok cut"},
		{"another node helps", config("p fence_x"), b, []bool{false, false, true}, "p:reboot#1 p:reboot#2 p:reboot#1@b ok by b"},
		{"another node fails, too", config("p fence_x pcmk_reboot_retries=1"), b, []bool{false, false}, "p:reboot#1 p:reboot#1@b failed"},
		{"nobody can call the first", config("p fence_x", "q fence_x"), onlyB, []bool{true}, "q:reboot#1@b ok by b"},
		{"nobody can call any", config("p fence_x"), onlyB, nil, "failed"},
	} {
		if got, _ := walk(t, test.state, test.callers, test.answers...); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestActionLimit: a device gets no more calls at once than it bears, and nothing
// cuts storage while the node's unfencing may be under way.
func TestActionLimit(t *testing.T) {
	of := func(id uint64, node, action string) cluster.Fencing {
		return cluster.Fencing{ID: id, Target: cluster.Incarnation{Node: node, Counter: 1, Boot: node}, Action: action}
	}
	for _, test := range []struct {
		name     string
		state    *cluster.State
		fencings []cluster.Fencing
		want     string
	}{
		{"one at once", config("p fence_x"), []cluster.Fencing{of(1, "a", "off"), of(2, "b", "off")}, "[1] [2]"},
		{"two at once", config("p fence_x pcmk_action_limit=2"), []cluster.Fencing{of(1, "a", "off"), of(2, "b", "off"), of(3, "c", "off")}, "[1 2] [3]"},
		{"no limit", config("p fence_x pcmk_action_limit=-1"), []cluster.Fencing{of(1, "a", "off"), of(2, "b", "off")}, "[1 2]"},
		{"other devices", config("p fence_x pcmk_host_list=a", "q fence_x pcmk_host_list=b"), []cluster.Fencing{of(1, "a", "off"), of(2, "b", "off")}, "[1 2]"},
		{"unfencing before cutting", config("s fence_scsi pcmk_action_limit=-1 provides=unfencing"), []cluster.Fencing{of(1, "a", "on"), of(2, "a", "off")}, "[1] [2]"},
		{"power need not wait", config("s fence_scsi provides=unfencing pcmk_host_list=a", "p fence_x", "level a 1 p"), []cluster.Fencing{of(1, "a", "on"), of(2, "a", "off")}, "[1 2]"},
	} {
		s := test.state
		s.Fencings = test.fencings
		f, now, rounds := New(), time.Hour, []string{}
		for range 4 {
			f.Review(now, s, func(x *cluster.Fencing) []Route { return Routes(s, x.Target.Node, x.Action) }, func(*cluster.Fencing) time.Duration { return 0 })
			ids := f.Due(now, here)
			if len(ids) == 0 {
				break
			}
			rounds = append(rounds, fmt.Sprint(ids))
			for _, id := range ids {
				f.Called(now, event.FenceCalled{Call: *f.Call(id), OK: true})
			}
			for _, e := range f.Ended() { // committed
				i := slices.IndexFunc(s.Fencings, func(x cluster.Fencing) bool { return x.ID == e.ID })
				s.Fencings[i].Result = e.Result
			}
		}
		if got := strings.Join(rounds, " "); got != test.want {
			t.Errorf("%s: called in the order %s, want %s", test.name, got, test.want)
		}
	}
}

func TestPowerBack(t *testing.T) {
	s := config("p fence_x", "q fence_x")
	if got, want := describe(PowerBack(s, "a", "p,q,gone")), "p:on? q:on?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := PowerBack(s, "a", "gone"); got != nil {
		t.Errorf("%v for a device that is gone", got)
	}
}

func TestFailuresWaitLonger(t *testing.T) {
	f := New()
	now := time.Hour
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		f.Failed(now, "a", "off")
		if f.MayBegin(now+want-1, "a", "off") || !f.MayBegin(now+want, "a", "off") {
			t.Errorf("not tried again after %v", want)
		}
		if !f.MayBegin(now, "a", "on") {
			t.Error("a failed cut delays unfencing")
		}
	}
	f.Succeeded("a", "off")
	if !f.MayBegin(now, "a", "off") {
		t.Error("failures are remembered beyond a success")
	}
}

// A call under way may hit the target's next life, though the fencing has ended by
// other means: that life waits for its answer.
func TestACallOutlivesItsFencing(t *testing.T) {
	s := config("p fence_x")
	target := cluster.Incarnation{Node: "a", Counter: 3, Boot: "x"}
	s.Fencings = []cluster.Fencing{{ID: 7, Target: target, Action: "off"}}
	review := func(f *Coordinator) {
		f.Review(time.Hour, s, func(x *cluster.Fencing) []Route { return Routes(s, x.Target.Node, x.Action) }, func(*cluster.Fencing) time.Duration { return 0 })
	}
	f := New()
	review(f)
	f.Due(time.Hour, here)
	call := f.Call(7)
	if call == nil || f.Late("a") {
		t.Fatalf("call %v, late before the fencing has ended: %t", call, f.Late("a"))
	}
	s.Fencings[0].Result = "confirmed"
	review(f)
	if !f.Late("a") || f.Late("b") {
		t.Errorf("with the device at work: late for a %t, for b %t", f.Late("a"), f.Late("b"))
	}
	f.Called(time.Hour, event.FenceCalled{Call: *call, OK: true})
	if f.Late("a") {
		t.Error("late though the device has answered")
	}
}
