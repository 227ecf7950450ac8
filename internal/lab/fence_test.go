package lab

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// powerControl answers like a lab's supervisor would, and notes what was asked.
func powerControl(t *testing.T, answer func(request) reply) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "power")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var r request
			if err := readLine(bufio.NewReader(conn), &r); err == nil {
				_ = writeLine(conn, answer(r))
			}
			conn.Close()
		}
	}()
	return socket
}

func TestFenceAgentInterface(t *testing.T) {
	on := map[string]bool{"host1": true, "host2": false}
	socket := powerControl(t, func(r request) reply {
		state, known := on[r.Host]
		switch {
		case r.Op == opList:
			return reply{Hosts: []string{"host1", "host2"}}
		case !known:
			return reply{Error: "no host " + r.Host}
		case r.Op == opPowerStatus:
			return reply{On: state}
		case r.Op == opPowerOff || r.Op == opReboot || r.Op == opPowerOn:
			return reply{}
		}
		return reply{Error: "unexpected " + r.Op}
	})
	tests := []struct {
		name, stdin string
		args        []string
		code        int
		out         string
	}{
		{"status on", "action=status\nplug=host1\n", nil, 0, "ON"},
		{"status off", "action=status\nplug=host2\n", nil, 2, "OFF"},
		{"off", "action=off\nplug=host1\n", nil, 0, ""},
		{"off again", "action=off\nplug=host2\n", nil, 0, ""},
		{"port for plug", "action=on\nport=host1\n", nil, 0, ""},
		{"nodename for plug", "action=on\nnodename=host1\n", nil, 0, ""},
		{"plug before nodename", "nodename=stranger\nplug=host1\naction=off\n", nil, 0, ""},
		{"reboot is the standard", "plug=host1\n", nil, 0, ""},
		{"comments, unknown keys, the last wins", "# action=off\nx=y\n\naction=off\naction=status\nplug=host1\n", nil, 0, "ON"},
		{"monitor", "action=monitor\n", nil, 0, ""},
		{"list", "action=list\n", nil, 0, "host1,\nhost2,\n"},
		{"unknown host", "action=off\nplug=stranger\n", nil, 1, ""},
		{"no host", "action=off\n", nil, 2, ""},
		{"unknown action", "action=explode\nplug=host1\n", nil, 2, ""},
		{"bad delay", "action=off\nplug=host1\ndelay=-1\n", nil, 2, ""},
		{"arguments", "", []string{"--action", "status", "--plug=host1"}, 0, "ON"},
		{"short arguments", "", []string{"-o", "status", "-n", "host2"}, 2, "OFF"},
		{"bad argument", "", []string{"status"}, 2, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stdin, args := "socket="+socket+"\n"+test.stdin, test.args
			if len(args) > 0 {
				args = append(args, "--socket="+socket)
			}
			var stdout, stderr bytes.Buffer
			code := fence(args, strings.NewReader(stdin), &stdout, &stderr)
			if code != test.code || !strings.Contains(stdout.String(), test.out) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, &stdout, &stderr)
			}
			if (code == fenceFailed || code == fenceBadArgs && test.out == "") && stderr.Len() == 0 {
				t.Error("failed without a word")
			}
		})
	}
}

func TestFenceWithoutPowerControlFails(t *testing.T) {
	for _, action := range []string{"off", "reboot", "status", "monitor", "list"} {
		var stdout, stderr bytes.Buffer
		stdin := "action=" + action + "\nplug=host1\nsocket=" + filepath.Join(t.TempDir(), "none") + "\n"
		if code := fence(nil, strings.NewReader(stdin), &stdout, &stderr); code != fenceFailed {
			t.Errorf("%s: exit code %d", action, code)
		}
	}
}

func TestFenceMetadata(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := fence(nil, strings.NewReader("action=metadata\n"), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var metadata fenceMetadata
	if err := xml.Unmarshal(stdout.Bytes(), &metadata); err != nil {
		t.Fatal(err)
	}
	if metadata.Name != "fence_lab" || len(metadata.Parameters) == 0 || len(metadata.Actions) == 0 {
		t.Errorf("metadata %+v", metadata)
	}
}

func FuzzFenceOptions(f *testing.F) {
	f.Add("action=off\nplug=host1\n")
	f.Add("# comment\n=x\na==b\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		options, err := fenceOptions(nil, strings.NewReader(text))
		if err != nil {
			return
		}
		for name, value := range options {
			if strings.ContainsAny(name+value, "\n") {
				t.Errorf("option %q=%q spans lines", name, value)
			}
		}
	})
}
