package fencing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// config makes fence devices out of lines "id agent name=value ...", and levels
// out of lines "level TARGET INDEX device,device".
func config(lines ...string) *cluster.Config {
	c := &cluster.Config{}
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
	return c
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
		ways = append(ways, strings.Join(steps, " "))
	}
	return strings.Join(ways, " | ")
}

func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *cluster.Config
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
		{"alias", config("p fence_x pcmk_reboot_action=off"), "a", "reboot", "p:off"},
		{"levels", config("p fence_x", "q fence_y", "level a 2 p", "level a 1 q"), "a", "reboot", "q:reboot | p:reboot"},
		{"levels of another", config("p fence_x", "q fence_y", "level b 1 q"), "a", "reboot", "p:reboot | q:reboot"},
		{"two supplies", config("p fence_x", "q fence_x", "level a 1 p,q"), "a", "reboot", "p:off q:off p:on? q:on?"},
		{"two supplies off", config("p fence_x", "q fence_x", "level a 1 p,q"), "a", "off", "p:off q:off"},
		{"a missing device", config("p fence_x", "level a 1 p,gone", "level a 2 p"), "a", "off", "p:off"},
	} {
		if got := describe(Routes(test.config, test.target, test.action)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEndingBoot(t *testing.T) {
	c := config("p fence_ipmilan", "s fence_scsi", "n fence_custom provides=unfencing")
	if got, want := describe(EndingBoot(c, Routes(c, "a", "off"))), "p:off"; got != want {
		t.Errorf("%q, want %q: cutting storage does not end a boot", got, want)
	}
}

func TestArguments(t *testing.T) {
	c := config("p fence_x pcmk_host_map=a:17 pcmk_off_timeout=7s pcmk_off_retries=3 login=admin action=reboot")
	s := Routes(c, "a", "off")[0].Steps[0]
	var got []string
	for _, p := range s.Call.Params {
		got = append(got, p.Name+"="+p.Value)
	}
	if want := "login=admin nodename=a plug=17 port=17"; strings.Join(got, " ") != want {
		t.Errorf("parameters %v, want %s", got, want)
	}
	if s.Call.Timeout != 7*time.Second || s.Attempts != 3 {
		t.Errorf("timeout %v, attempts %d", s.Call.Timeout, s.Attempts)
	}
	for text, want := range map[string]string{"pcmk_host_argument=id": "id=a nodename=a", "pcmk_host_argument=none": "nodename=a", "port=9": "nodename=a plug=a port=9", "port=dynamic": "nodename=a plug=a port=a"} {
		got = nil
		for _, p := range Routes(config("p fence_x "+text), "a", "off")[0].Steps[0].Call.Params {
			got = append(got, p.Name+"="+p.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: parameters %v, want %s", text, got, want)
		}
	}
}

func TestDelay(t *testing.T) {
	c := config("p fence_x pcmk_delay_base=a:2s;b:3 pcmk_delay_max=5s")
	for target, want := range map[string][2]time.Duration{"a": {2 * time.Second, 3 * time.Second}, "b": {3 * time.Second, 2 * time.Second}, "c": {0, 5 * time.Second}} {
		if base, extra := Delay(c, target, "off"); base != want[0] || extra != want[1] {
			t.Errorf("%s: delay %v and up to %v more, want %v", target, base, extra, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"60": time.Minute, "60s": time.Minute, "500ms": 500 * time.Millisecond, "2min": 2 * time.Minute, "1m30s": 90 * time.Second, " 1h ": time.Hour} {
		if got, ok := Duration(text); !ok || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "x", "5 parsecs", "99999999999"} {
		if got, ok := Duration(text); ok {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

// walk lets a coordinator fence a by routes of c; answers say whether each call
// succeeds, in order.
func walk(t *testing.T, c *cluster.Config, answers ...bool) (log string, f *Coordinator) {
	f = New()
	state := &cluster.State{Config: *c, Fencings: []cluster.Fencing{{ID: 7, Target: cluster.Incarnation{Node: "a", Counter: 3, Boot: "x"}, Action: "reboot"}}}
	now := time.Hour
	routes := func(target, action string) []Route { return Routes(c, target, action) }
	var steps []string
	for range 20 {
		f.Review(now, state, routes, func(string, string) time.Duration { return time.Second })
		for _, id := range f.Due(now) {
			call := f.Call(id)
			if f.Call(id) != nil {
				t.Error("called twice")
			}
			if len(answers) == 0 {
				t.Fatalf("an unexpected call of %s after %v", call.Device, steps)
			}
			steps = append(steps, fmt.Sprintf("%s:%s#%d", call.Device, call.Action, call.Attempt))
			late := *call
			late.Target.Counter--
			f.Called(now, event.FenceCalled{Call: late, OK: true}) // of a former life: ignored
			f.Called(now, event.FenceCalled{Call: *call, OK: answers[0], Error: "no"})
			answers = answers[1:]
		}
		now += 600 * time.Millisecond
	}
	for _, e := range f.Ended() {
		steps = append(steps, e.Result)
	}
	return strings.Join(steps, " "), f
}

func TestCoordinator(t *testing.T) {
	two := config("p fence_x", "q fence_x", "level a 1 p,q")
	for _, test := range []struct {
		name    string
		config  *cluster.Config
		answers []bool
		want    string
	}{
		{"at once", config("p fence_x"), []bool{true}, "p:reboot#1 ok"},
		{"second attempt", config("p fence_x"), []bool{false, true}, "p:reboot#1 p:reboot#2 ok"},
		{"all fail", config("p fence_x"), []bool{false, false}, "p:reboot#1 p:reboot#2 failed"},
		{"next device", config("p fence_x", "q fence_x"), []bool{false, false, true}, "p:reboot#1 p:reboot#2 q:reboot#1 ok"},
		{"both supplies", two, []bool{true, true, true, true}, "p:off#1 q:off#1 p:on#1 q:on#1 ok"},
		{"one supply stays on", two, []bool{true, false, false}, "p:off#1 q:off#1 q:off#2 failed"},
		{"power stays off", two, []bool{true, true, false, false, false, false}, "p:off#1 q:off#1 p:on#1 p:on#2 q:on#1 q:on#2 ok"},
		{"no device", config(), nil, "failed"},
	} {
		if got, _ := walk(t, test.config, test.answers...); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestFailuresWaitLonger(t *testing.T) {
	f := New()
	now := time.Hour
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		f.Failed(now, "a")
		if f.MayBegin(now+want-1, "a") || !f.MayBegin(now+want, "a") {
			t.Errorf("not tried again after %v", want)
		}
	}
	f.Succeeded("a")
	if !f.MayBegin(now, "a") {
		t.Error("failures are remembered beyond a success")
	}
}
