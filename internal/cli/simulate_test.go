package cli

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// simulate runs the command and returns what it prints to stdout.
func simulate(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newSimulate()
	var out, warnings bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&warnings)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--at", "2026-07-01T12:00:00Z"}, args...))
	err := cmd.Execute()
	return out.String(), err
}

const shop = "testdata/simulate/shop.xml"

func TestSimulateForPeople(t *testing.T) {
	tests := []struct {
		name string
		args []string
	}{
		{"start", []string{"--steps", shop}},
		{"scores", []string{"--scores", shop}},
		{"node lost", []string{"--fail", "beta", "--steps", shop}},
		{"failure", []string{"--op", "ip_start_0@beta=0", "--op", "web_start_0@beta=0", "--op", "web_monitor_10s@beta=7", shop}},
		{"start fails", []string{"--op-fail", "ip_start_0@beta=1", "--steps", shop}},
		{"configuration", []string{"testdata/simulate/small.hcl"}},
		{"saved", []string{"--fail", "beta", "testdata/simulate/saved.json"}},
		{"renumbered", []string{"testdata/simulate/renumbered.xml"}}, // what starts is found as the first instance
		{"saved with configuration", []string{"--status", "testdata/simulate/saved.json", "testdata/simulate/small.hcl"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := simulate(t, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("simulate", strings.ReplaceAll(tt.name, " ", "_")+".txt"), got)
		})
	}
}

func TestSimulateForPrograms(t *testing.T) {
	text, err := simulate(t, "--json", shop)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Moves []struct{ Instance, To, What string }
		After struct {
			Active []struct{ Instance, Node, Role string }
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	promoted := ""
	for _, a := range got.After.Active {
		if a.Role == "Promoted" {
			promoted += a.Node + " "
		}
	}
	if promoted != "alpha " {
		t.Errorf("promoted on %q, want alpha", promoted)
	}
	for _, m := range got.Moves {
		if m.Instance == "web" && (m.What != "start" || m.To != "beta") {
			t.Errorf("web: %+v", m)
		}
	}
}

func TestSimulateDraws(t *testing.T) {
	svg, err := simulate(t, "--svg", shop)
	if err != nil {
		t.Fatal(err)
	}
	texts := 0
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "text" {
			texts++
		}
	}
	dot, err := simulate(t, "--dot", shop)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(dot, "[label="); n == 0 || n != texts {
		t.Errorf("%d boxes in DOT, %d in SVG", n, texts)
	}
	if !strings.Contains(dot, `label="start web on beta"`) || !strings.Contains(dot, " -> ") {
		t.Errorf("DOT lacks actions or order:\n%s", dot)
	}
}

func TestSimulateRefusesBadInput(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.xml")
	if err := os.WriteFile(broken, []byte("<cib>\n  <configuration>\n</cib>"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"testdata/simulate/none.xml"}, "no such file"},
		{[]string{broken}, "3:1: end tag </cib> where <configuration> of line 2, column 3 is open"},
		{[]string{"--fail", "delta", shop}, "--fail: the status knows no node delta"},
		{[]string{"--op", "web", shop}, `--op: "web" is not RESOURCE_OPERATION_INTERVAL@NODE=RC`},
		{[]string{"--op", "mail_start_0@beta=1", shop}, "no resource mail is configured"},
		{[]string{"--format", "yaml", shop}, `--format can be text or judge, not "yaml"`},
		{[]string{"--at", "noon", shop}, `--at "noon" is no time`},
		{[]string{"--save", "x.json", shop}, "--save writes this cluster's situation"},
		{[]string{broken[:len(broken)-4]}, "no such file"},
		{[]string{"--status", shop, "testdata/simulate/small.hcl"}, "read situation from"},
		{[]string{"--status", "x.json", shop}, "--status goes with a configuration"},
	}
	for _, tt := range tests {
		_, err := simulate(t, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.args, err, tt.want)
			continue
		}
		if e, ok := errors.AsType[*ExitError](err); !ok || e.Code != ExitUsage {
			t.Errorf("%v: exit code of %v is not %d", tt.args, err, ExitUsage)
		}
	}
}
