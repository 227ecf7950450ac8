package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseFenceDevice(t *testing.T) {
	d, err := ParseFenceDevice([]NVPair{
		{Name: "ip", Value: "10.0.9.1"},
		{Name: "pcmk_host_map", Value: `alpha:1;beta:2,3 gam\:ma=x\;y;`},
		{Name: "pcmk_delay_base", Value: "alpha:1s;beta:500ms"},
		{Name: "pcmk_delay_max", Value: "3"},
		{Name: "pcmk_reboot_action", Value: "off"},
		{Name: "pcmk_reboot_timeout", Value: "90s"},
		{Name: "pcmk_off_retries", Value: "5"},
		{Name: "password", File: "/etc/ha/ipmi"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []PlugName{{"alpha", "1"}, {"beta", "2,3"}, {"gam:ma", "x;y"}}
	if !slices.Equal(d.Map, want) {
		t.Errorf("map %v, want %v", d.Map, want)
	}
	if d.Plug("Beta") != "2,3" || d.Plug("delta") != "delta" {
		t.Errorf("plugs %q %q", d.Plug("Beta"), d.Plug("delta"))
	}
	if can, known := d.Fences("alpha"); !can || !known {
		t.Error("alpha is in the map and cannot be fenced")
	}
	if can, known := d.Fences("delta"); can || !known {
		t.Error("delta is not in the map and can be fenced")
	}
	if least, largest := d.Delay("beta"); least != 500*time.Millisecond || largest != 3*time.Second {
		t.Errorf("delay of beta %v to %v", least, largest)
	}
	if least, _ := d.Delay("delta"); least != 0 {
		t.Errorf("delay of delta %v", least)
	}
	if d.Alias("reboot") != "off" || d.Alias("on") != "on" {
		t.Error("aliases are wrong")
	}
	if d.Timeout("reboot", time.Minute) != 90*time.Second || d.Timeout("off", time.Minute) != time.Minute {
		t.Error("time-outs are wrong")
	}
	if d.Tries("off") != 5 || d.Tries("reboot") != 2 {
		t.Error("tries are wrong")
	}
}

func TestFenceHostCheck(t *testing.T) {
	tests := []struct {
		name       string
		params     []NVPair
		can, known bool
	}{
		{"nothing said", nil, false, false},
		{"list", []NVPair{{Name: "pcmk_host_list", Value: "beta, alpha"}}, true, true},
		{"other list", []NVPair{{Name: "pcmk_host_list", Value: "beta gamma"}}, false, true},
		{"none", []NVPair{{Name: "pcmk_host_check", Value: "none"}}, true, true},
		{"dynamic", []NVPair{{Name: "pcmk_host_check", Value: "dynamic-list"}, {Name: "pcmk_host_map", Value: "alpha:1"}}, false, false},
		{"static, empty", []NVPair{{Name: "pcmk_host_check", Value: "static-list"}}, false, true},
	}
	for _, test := range tests {
		d, err := ParseFenceDevice(test.params)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if can, known := d.Fences("ALPHA"); can != test.can || known != test.known {
			t.Errorf("%s: can %v, known %v", test.name, can, known)
		}
	}
}

func TestFenceDeviceErrors(t *testing.T) {
	for name, value := range map[string]string{
		"pcmk_host_map":       "alpha",
		"pcmk_host_check":     "sometimes",
		"pcmk_hostlist":       "alpha",
		"pcmk_reboot_retries": "-1",
		"pcmk_reboot_speed":   "1",
		"pcmk_delay_max":      "soon",
		"pcmk_delay_base":     "alpha:soon",
		"pcmk_action_limit":   "x",
	} {
		_, err := ParseFenceDevice([]NVPair{{Name: name, Value: value}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: error %v", name, value, err)
		}
	}
}

func TestFenceList(t *testing.T) {
	plugs := ParseFenceList("1,alpha\n2,\n\nthis is chatter\nvm7\n")
	want := []PlugName{{"alpha", "1"}, {"", "2"}, {"", "vm7"}}
	if !slices.Equal(plugs, want) {
		t.Fatalf("got %v, want %v", plugs, want)
	}
	d, err := ParseFenceDevice([]NVPair{{Name: "pcmk_host_check", Value: "dynamic-list"}, {Name: "pcmk_host_map", Value: "beta:2;gamma:9"}})
	if err != nil {
		t.Fatal(err)
	}
	for node, can := range map[string]bool{"alpha": true, "beta": true, "gamma": false, "VM7": true, "delta": false} {
		if d.Lists(plugs, node) != can {
			t.Errorf("%s: %v", node, !can)
		}
	}
}

func TestCheckParameters(t *testing.T) {
	ip := Builtin("ip")
	if err := ip.Check(NVPair{Name: "adress", Value: "x"}); err == nil || !strings.Contains(err.Error(), `"address"`) {
		t.Errorf("misspelt name: %v", err)
	}
	if err := ip.Check(NVPair{Name: "announce_interval", Value: "often"}); err == nil {
		t.Error("bad duration passes")
	}
	if err := ip.Check(NVPair{Name: "announce_interval", Value: "500ms"}); err != nil {
		t.Error(err)
	}
	if err := Builtin("web").Check(NVPair{Name: "port", Value: "http"}); err == nil {
		t.Error("bad port passes")
	}
	if missing := ip.Missing([]NVPair{{Name: "link", Value: "eth0"}}); !slices.Equal(missing, []string{"address"}) {
		t.Errorf("missing %v", missing)
	}
	if Builtin("nonsense") != nil || !slices.Equal(BuiltinTypes(), []string{"ip", "process", "web"}) {
		t.Error("the table of built-in agents is wrong")
	}
}

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"20": 20 * time.Second, "20s": 20 * time.Second, " 2m": 2 * time.Minute, "1d": 24 * time.Hour, "100ms": 100 * time.Millisecond,
		"5min": 5 * time.Minute, "30sec": 30 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "1.5s": 1500 * time.Millisecond,
	} {
		if got, err := ParseSeconds(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "soon", "9999999999999999", "99999999999d"} {
		if got, err := ParseSeconds(text); err == nil {
			t.Errorf("%q passes as %v", text, got)
		}
	}
}
