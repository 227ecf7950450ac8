package fence

import (
	"strings"
	"testing"

	"linuxha/internal/cluster"
)

// FuzzInput: whatever the parameters hold, each line of the input is one of
// theirs, and the action is ours.
func FuzzInput(f *testing.F) {
	f.Add("ip", "10.0.0.1", "beta")
	f.Add("ip", "x\naction=on", "beta")
	f.Add("a=b", "c", "be\nta")
	f.Add("#x", "", "")
	f.Add("action", "on", "beta")
	f.Fuzz(func(t *testing.T, name, value, target string) {
		device, err := cluster.ParseFenceDevice(nil)
		if err != nil {
			t.Fatal(err)
		}
		input, err := Input(device, nil, "off", target, []cluster.NVPair{{Name: name, Value: value}})
		if err != nil {
			return
		}
		actions := 0
		for line := range strings.Lines(string(input)) {
			key, _, ok := strings.Cut(line, "=")
			if !ok || !strings.HasSuffix(line, "\n") || strings.HasPrefix(line, "#") {
				t.Errorf("line %q", line)
			}
			if key == "action" {
				actions++
			}
		}
		if actions != 1 || !strings.HasPrefix(string(input), "action=off\n") {
			t.Errorf("input %q", input)
		}
	})
}

func TestScrub(t *testing.T) {
	configured := []cluster.NVPair{{Name: "login", Value: "admin"}, {Name: "passwd", Value: "hunter22"}, {Name: "ssh_file", File: "/x"}, {Name: "passwd2", Value: "ab"}}
	resolved := []cluster.NVPair{{Name: "login", Value: "admin"}, {Name: "passwd", Value: "hunter22"}, {Name: "ssh_file", Value: "keykey"}, {Name: "passwd2", Value: "ab"}}
	got := Scrub("admin hunter22 keykey about", Secrets(configured, resolved))
	if got != "admin ******** ******** about" {
		t.Errorf("got %q", got)
	}
}
