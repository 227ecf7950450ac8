package metadata

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"linuxha/internal/cluster"
)

var agent = cluster.Agent{Class: "ocf", Provider: "test", Type: "thing"}

const sample = `chatter before the document
<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="thing" version="0.1">
<version>1.0</version>
<longdesc lang="de">Lang</longdesc><longdesc lang="en">
Long text.
</longdesc>
<shortdesc lang="en">Short</shortdesc>
<parameters>
<parameter name="state" unique="1" required="1"><longdesc lang="en">Where</longdesc><content type="string" default="/run/x"/></parameter>
<parameter name="mode"><content type="select" default="a"><option value="a"/><option value="b"/></content></parameter>
<parameter name="old" unique="0"><deprecated><replaced-with name="mode"/></deprecated><content type="boolean"/></parameter>
<parameter name="state"><content type="integer"/></parameter>
</parameters>
<actions>
<action name="start" timeout="20s"/>
<action name="monitor" timeout="20" interval="10s" depth="0" role="Master"/>
<action name="monitor" timeout="soon" interval="11"  role="Slave"/>
<action name="reload" timeout="1m"/>
</actions>
<special tag="x">y</special>
</resource-agent>`

func TestParse(t *testing.T) {
	m, err := Parse(agent, []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if m.Short != "Short" || m.Long != "Long text." || m.Version != "1.0" || m.Special["x"] != "y" {
		t.Errorf("head: %+v", m)
	}
	if len(m.Parameters) != 3 || len(m.Actions) != 4 {
		t.Fatalf("%d parameters, %d actions", len(m.Parameters), len(m.Actions))
	}
	state, mode, old := m.Parameters[0], m.Parameters[1], m.Parameters[2]
	if !state.Unique || !state.Required || state.Reloadable || state.Default != "/run/x" || state.Long != "Where" {
		t.Errorf("state: %+v", state)
	}
	if !mode.Reloadable || len(mode.Options) != 2 || mode.Type != "select" {
		t.Errorf("mode: %+v", mode)
	}
	if !old.Deprecated || old.ReplacedBy != "mode" {
		t.Errorf("old: %+v", old)
	}
	if a := m.Actions[1]; a.Interval != 10*time.Second || a.Timeout != 20*time.Second || a.Role != "Promoted" {
		t.Errorf("monitor: %+v", a)
	}
	if a := m.Actions[2]; a.Timeout != 0 || a.Role != "Unpromoted" {
		t.Errorf("monitor: %+v", a)
	}
}

func TestParseErrors(t *testing.T) {
	for name, text := range map[string]string{
		"empty":  "",
		"no xml": "usage: thing start|stop",
		"cut":    sample[:400],
	} {
		if _, err := Parse(agent, []byte(text)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := Parse(agent, make([]byte, MaxSize+1)); err == nil {
		t.Error("a document beyond the bound passes")
	}
}

// TestInstalledFenceAgents reads the metadata of a few real fence agents.
func TestInstalledFenceAgents(t *testing.T) {
	for _, name := range []string{"fence_dummy", "fence_scsi", "fence_ipmilan"} {
		path := filepath.Join("/usr/sbin", name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not installed (Debian package fence-agents)", name)
		}
		out, err := exec.Command(path, "-o", "metadata").Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := Parse(cluster.Agent{Class: "stonith", Type: name}, out)
		if err != nil {
			t.Fatal(err)
		}
		if m.Action("off") == nil || m.Parameter("action") == nil || m.Short == "" {
			t.Errorf("%s: %+v", name, m)
		}
		if on := m.Action("on"); name == "fence_scsi" && (on == nil || !on.Automatic) {
			t.Errorf("fence_scsi unfences at join, got %+v", on)
		}
		if name == "fence_ipmilan" && m.Parameter("plug") == nil {
			t.Error("fence_ipmilan has no plug")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`<resource-agent name="fence_x"><parameters><parameter name="plug" unique="0" required="1"><content type="string"/></parameter></parameters><actions><action name="on" automatic="1" on_target="1"/></actions></resource-agent>`))
	f.Add([]byte("<resource-agent><longdesc>&nbsp;&#x0;</longdesc></resource-agent>"))
	f.Add([]byte("<resource-agent><parameters><parameter name=\"\xff\"/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(agent, data)
		if (m == nil) == (err == nil) {
			t.Fatalf("both or none: %v, %v", m, err)
		}
		if m == nil {
			return
		}
		seen := make(map[string]bool)
		for _, p := range m.Parameters {
			if p.Name == "" || seen[p.Name] {
				t.Errorf("parameter %q is empty or repeated", p.Name)
			}
			seen[p.Name] = true
		}
		for _, a := range m.Actions {
			if a.Interval < 0 || a.Timeout < 0 {
				t.Errorf("action %q has negative times", a.Name)
			}
		}
	})
}
