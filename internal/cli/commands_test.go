package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

func TestMain(m *testing.M) { os.Exit(labtest.Run(m)) }

// host runs the command line on a lab host.
type host struct {
	t   *testing.T
	lab *lab.Lab
	on  string
}

// try returns the exit code and both outputs.
func (h *host) try(args ...string) (code int, stdout, stderr string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stdout, stderr, err := h.lab.Output(ctx, h.on, append([]string{"ha"}, args...)...)
	if exit, ok := errors.AsType[*lab.ExitError](err); ok {
		return exit.Code, stdout, stderr
	}
	if err != nil {
		h.t.Fatalf("ha %s: %v", strings.Join(args, " "), err)
	}
	return 0, stdout, stderr
}

// run expects success.
func (h *host) run(args ...string) string {
	h.t.Helper()
	code, stdout, stderr := h.try(args...)
	if code != 0 {
		h.t.Fatalf("ha %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// json expects success and JSON, one value or one a line.
func (h *host) json(args ...string) {
	h.t.Helper()
	out := h.run(append(args, "--json")...)
	d := json.NewDecoder(strings.NewReader(out))
	values := 0
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			h.t.Errorf("ha %s --json: %v\n%s", strings.Join(args, " "), err, out)
			return
		}
		values++
	}
	if values == 0 {
		h.t.Errorf("ha %s --json prints nothing", strings.Join(args, " "))
	}
}

func (h *host) write(path, text string) {
	h.t.Helper()
	name := strings.TrimPrefix(path, "/tmp/")
	if err := os.WriteFile(h.lab.HostDir(h.on, "tmp", name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) await(what string, done func(*api.Status) bool) {
	h.t.Helper()
	if _, err := h.lab.Await(context.Background(), 2*time.Minute, what, done); err != nil {
		h.t.Fatal(err)
	}
}

// Every command of an administrator on a cluster of three, as text and as JSON.
func TestCommandsOnACluster(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 2})
	ctx := context.Background()
	if err := l.Form(ctx, "normal"); err != nil {
		t.Fatal(err)
	}
	h := &host{t, l, "host1"}

	config := l.BaseConfig("normal") + lab.ServiceConfig(lab.WebServer)
	h.write("/tmp/site.hcl", config)
	if out := h.run("plan", "/tmp/site.hcl"); !strings.Contains(out, "+ group site") || !strings.Contains(out, "start") {
		t.Errorf("plan says\n%s", out)
	}
	if code, _, stderr := h.try("apply", "/tmp/site.hcl"); code != 2 || !strings.Contains(stderr, "--yes") {
		t.Errorf("apply without a terminal: exit code %d, %s", code, stderr)
	}
	h.run("apply", "--yes", "/tmp/site.hcl")
	h.await("the site runs", func(s *api.Status) bool { return l.AllOnline(s) && lab.ServedBy(s) != "" })

	// What is printed applies back without a change.
	shown := h.run("config", "show")
	h.write("/tmp/shown.hcl", shown)
	if out := h.run("apply", "--yes", "/tmp/shown.hcl"); !strings.Contains(out, "no change of the configuration") {
		t.Errorf("the running configuration does not apply back without a change:\n%s", out)
	}

	// Bad input: what, where, what to do; nothing changed.
	h.write("/tmp/bad.hcl", strings.Replace(config, "members", "mebmers", 1))
	if code, _, stderr := h.try("apply", "--yes", "/tmp/bad.hcl"); code != 2 || !strings.Contains(stderr, "bad.hcl:") || !strings.Contains(stderr, `"members"`) {
		t.Errorf("apply of a bad file: exit code %d, %s", code, stderr)
	}
	if again := h.run("config", "show"); again != shown {
		t.Errorf("a refused configuration changed something:\n%s", again)
	}

	// What is accepted and not acted on is said wherever somebody may look.
	h.write("/tmp/alert.hcl", "alert \"mail\" { path = \"/bin/true\" }\n"+config)
	const where, noAlert = "/tmp/alert.hcl:1:1: alert mail: ", "no alert will be sent"
	for _, args := range [][]string{{"config", "check"}, {"plan"}, {"apply", "--yes"}} {
		code, stdout, stderr := h.try(append(args, "/tmp/alert.hcl")...)
		if code != 0 || !strings.Contains(stderr, where+noAlert) {
			t.Errorf("ha %s of an alert: exit code %d, %s%s", args[0], code, stdout, stderr)
		}
		var said struct {
			Warnings []struct{ File, Summary string }
		}
		if err := json.Unmarshal([]byte(h.run(append(args, "--json", "/tmp/alert.hcl")...)), &said); err != nil || len(said.Warnings) != 1 ||
			said.Warnings[0].File != "/tmp/alert.hcl" || !strings.Contains(said.Warnings[0].Summary, noAlert) {
			t.Errorf("ha %s --json of an alert: %v, %+v", args[0], err, said)
		}
	}
	if out := h.run("status"); !strings.Contains(out, noAlert) {
		t.Errorf("the status does not say that no alert will be sent:\n%s", out)
	}
	h.run("apply", "--yes", "/tmp/site.hcl")
	if out := h.run("status"); strings.Contains(out, noAlert) {
		t.Errorf("the status speaks of an alert that is gone:\n%s", out)
	}

	// A site runs where its ticket is granted, and only there.
	h.write("/tmp/ticket.hcl", config+"ticket \"here\" {\n ticket = \"west\"\n resource = \"site\"\n loss_policy = \"stop\"\n}\n")
	h.run("apply", "--yes", "/tmp/ticket.hcl")
	h.await("the site is stopped for want of its ticket", func(s *api.Status) bool { return lab.ServedBy(s) == "" })
	if code, _, stderr := h.try("ticket", "grant", "west"); code != 2 || !strings.Contains(stderr, "--yes") {
		t.Errorf("a ticket granted without a question: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := h.try("ticket", "grant", "--yes", "east"); code != 2 || !strings.Contains(stderr, "there are west") {
		t.Errorf("an unknown ticket: exit code %d, %s", code, stderr)
	}
	h.run("ticket", "grant", "--yes", "west")
	h.await("the site runs with its ticket", func(s *api.Status) bool { return lab.ServedBy(s) != "" })
	h.json("ticket", "list")
	h.run("ticket", "standby", "west")
	h.await("the site is stopped by its ticket's standby", func(s *api.Status) bool { return lab.ServedBy(s) == "" })
	h.run("ticket", "activate", "west")
	h.await("the site runs again", func(s *api.Status) bool { return lab.ServedBy(s) != "" })
	h.run("apply", "--yes", "/tmp/site.hcl")

	// A move is done once and leaves nothing behind.
	place := func() string {
		s, err := l.ClusterStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return lab.ServedBy(s)
	}
	from := place()
	h.run("resource", "move", "site")
	if to := place(); to == from || to == "" {
		t.Errorf("the site moved from %q to %q", from, to)
	}
	h.run("resource", "move", "site", "host1")
	if to := place(); to != "host1" {
		t.Errorf("the site is on %q, not on host1", to)
	}
	if again := h.run("config", "show"); again != shown {
		t.Errorf("a move left something behind:\n%s", again)
	}

	h.run("resource", "restart", "site")
	h.run("node", "standby", "host1")
	h.await("host1 is empty and the site runs", func(s *api.Status) bool { return lab.ServedBy(s) != "" && lab.ServedBy(s) != "host1" })
	h.run("node", "online", "host1")
	h.run("resource", "cleanup")
	if again := h.run("config", "show"); again != shown {
		t.Errorf("standby and online left something behind:\n%s", again)
	}
	if code, _, stderr := h.try("resource", "move", "stie"); code != 2 || !strings.Contains(stderr, `did you mean "site"?`) {
		t.Errorf("move of an unknown resource: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := h.try("fence", "confirm", "host2", "--yes"); code == 0 {
		t.Errorf("a node that is heard was confirmed off: %s", stderr)
	}

	for _, args := range [][]string{
		{"status"}, {"events"}, {"config", "show"}, {"plan", "/tmp/site.hcl"}, {"apply", "--yes", "/tmp/site.hcl"}, {"explain", "site"},
		{"resource", "move", "site"}, {"resource", "restart", "site-web"}, {"resource", "cleanup", "site-web"}, {"node", "standby", "host2"},
		{"node", "online", "host2"}, {"fence", "history"}, {"version"}, {"config", "check", "/tmp/site.hcl"},
	} {
		h.json(args...)
	}

	h.run("fence", "host3", "--yes")
	h.await("host3 is back", func(s *api.Status) bool { return l.AllOnline(s) && lab.ServedBy(s) != "" })
	if out := h.run("fence", "history"); !strings.Contains(out, "host3") || !strings.Contains(out, "ok") {
		t.Errorf("fence history:\n%s", out)
	}

	t.Run("import", func(t *testing.T) { importOnACluster(t, h) })
}

// A Pacemaker configuration runs here, with the OCF agents that it names.
func importOnACluster(t *testing.T, h *host) {
	if _, err := os.Stat("/usr/lib/ocf/resource.d/heartbeat/Dummy"); err != nil {
		t.Skip("OCF agents are not installed (Debian package resource-agents)")
	}
	cib, err := os.ReadFile("testdata/import/lab.xml")
	if err != nil {
		t.Fatal(err)
	}
	h.write("/tmp/cib.xml", string(cib))
	now, err := h.lab.ClusterStatus(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text := h.run("import", "--name", now.Cluster, "/tmp/cib.xml")
	h.write("/tmp/imported.hcl", text)
	h.run("apply", "--yes", "/tmp/imported.hcl")
	h.await("the group runs where it likes to, the clone everywhere", func(s *api.Status) bool {
		on := map[string][]string{}
		for _, top := range s.Resources {
			for _, r := range top.Members {
				for _, at := range r.On {
					on[r.ID] = append(on[r.ID], at.Node)
				}
			}
		}
		return slices.Equal(on["vip"], []string{"host2"}) && slices.Equal(on["app"], []string{"host2"}) && len(on["probe"]) == 3
	})
	if out := h.run("plan", "/tmp/imported.hcl"); !strings.Contains(out, "no change of the configuration") {
		t.Errorf("what was imported and applied is changed by itself:\n%s", out)
	}

	// Another address in place of a running one: the old one goes.
	h.write("/tmp/imported.hcl", strings.Replace(text, "10.77.1.100", "10.77.1.101", 1))
	h.run("apply", "--yes", "/tmp/imported.hcl")
	h.await("only the new address is there", func(*api.Status) bool {
		out, _, err := h.lab.Output(context.Background(), "host2", "ip", "-o", "address")
		return err == nil && strings.Contains(out, "10.77.1.101/") && !strings.Contains(out, "10.77.1.100/")
	})
}

// status --watch goes on and shows changes; events --follow likewise.
func TestFollowing(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := l.Form(ctx, "normal"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status", "--watch"}, {"events", "--follow"}} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = l.Run(watching, lab.Command{Host: "host1", Args: append([]string{"ha"}, args...), Stdout: writer}) // ended by stop
			writer.Close()
		}()
		h := &host{t, l, "host1"}
		h.run("node", "maintenance", "host1")
		reader.SetReadDeadline(time.Now().Add(time.Minute))
		var seen bytes.Buffer
		buffer := make([]byte, 4096)
		for !strings.Contains(seen.String(), "maintenance") && !strings.Contains(seen.String(), "configuration changed") {
			n, err := reader.Read(buffer)
			if err != nil {
				t.Errorf("ha %s: %v after\n%s", strings.Join(args, " "), err, seen.String())
				break
			}
			seen.Write(buffer[:n])
		}
		h.run("node", "ready", "host1")
		stop()
		<-ended
		reader.Close()
	}
}
