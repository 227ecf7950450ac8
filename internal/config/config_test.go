package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"linuxha/internal/cluster"
)

func parseText(t testing.TB, name, text string) *cluster.Config {
	t.Helper()
	cfg, err := Parse(Source{Name: name, Text: []byte(text)})
	if err != nil {
		t.Fatalf("parse %s: %v", name, err)
	}
	return cfg
}

// What is printed reads back as the same configuration, and prints the same.
func TestRoundTrip(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "site.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := parseText(t, "site.hcl", string(text))
	printed := Format(cfg)
	again := parseText(t, "printed.hcl", string(printed))
	if d := cmp.Diff(cfg, again); d != "" {
		t.Errorf("the printed form means something else:\n%s\n%s", d, printed)
	}
	if d := cmp.Diff(string(printed), string(Format(again))); d != "" {
		t.Errorf("not canonical:\n%s", d)
	}
	if changes := Diff(cfg, again); len(changes) != 0 {
		t.Errorf("differences: %+v", changes)
	}
	if d := cmp.Diff(string(hclwrite.Format(printed)), string(printed)); d != "" {
		t.Errorf("the library would lay it out otherwise:\n%s", d)
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "plain", `a "b" \c`, "a\n\r\tb", "${x} $${y} %{z} $ %%{ {", "é e\u0301 漢 \u200b \x00 \U000e0001", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.TrimSpace(string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()))
		if got := quote(s); got != want {
			t.Errorf("%q is quoted as %s, by the library as %s", s, got, want)
		}
	})
}

func TestModel(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "site.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := parseText(t, "site.hcl", string(text))
	var ids []string
	for _, r := range cfg.Resources {
		ids = append(ids, r.ID)
	}
	if d := cmp.Diff([]string{"power", "strip", "site", "pg-ha", "box"}, ids); d != "" {
		t.Errorf("top-level resources: %s", d)
	}
	power := cfg.Resources[0]
	want := []cluster.NVPair{
		{Name: "ip", Value: "10.0.9.1"}, {Name: "password", File: "/etc/ha/ipmi"},
		{Name: "pcmk_delay_base", Value: "5s"}, {Name: "pcmk_host_map", Value: "alpha:1;beta:2"},
	}
	if d := cmp.Diff(want, power.Params[0].Pairs); d != "" {
		t.Errorf("fence device: %s", d)
	}
	if d := cmp.Diff([]cluster.NVPair{{Name: "batch-limit", Value: "30"}, {Name: "fencing-enabled", Value: "true"}, {Name: "no-quorum-policy", Value: "freeze"}},
		sorted(cfg.Options[0].Pairs)); d != "" {
		t.Errorf("options: %s", d)
	}
}

func sorted(pairs []cluster.NVPair) []cluster.NVPair {
	out := append([]cluster.NVPair(nil), pairs...)
	sortPairs(out)
	return out
}

// Demoting may come before promoting the same resource elsewhere.
func TestOrderOfOneResource(t *testing.T) {
	parseText(t, "t.hcl", "resource \"x\" {\n agent = \"lsb:x\"\n}\norder \"o\" {\n first = \"x\"\n first_action = \"demote\"\n then = \"x\"\n then_action = \"promote\"\n}")
}

func TestJSONForm(t *testing.T) {
	cfg := parseText(t, "c.hcl.json", `{
		"cluster": {"web": {"no_quorum": "stop"}},
		"resource": {"ip": {"agent": "ha:ip", "params": {"address": "10.0.0.1/24"}, "op": {"monitor": {"interval": "5s"}}}},
		"location": {"l": {"resource": "ip", "node": "a", "score": "infinity"}}}`)
	if cfg.Name != "web" || len(cfg.Resources) != 1 || cfg.Locations[0].Score != "INFINITY" {
		t.Errorf("read %+v", cfg)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown block":        {`resorce "x" {}`, `1:1: Unsupported block type; Blocks of type "resorce" are not expected here. Did you mean "resource"?`},
		"unknown attribute":    {"resource \"x\" {\n  agnt = \"ha:ip\"\n}", `2:3`},
		"unknown option":       {`cluster "a" { no_qorum = "stop" }`, `Did you mean "no_quorum"?`},
		"unknown meta":         {"resource \"x\" {\n agent = \"ha:ip\"\n meta = { priorty = 1 }\n}", `3:11: resource x: there is no "priorty" here; did you mean "priority"?`},
		"bad value":            {"resource \"x\" {\n agent = \"ha:ip\"\n meta = { is_managed = \"perhaps\" }\n}", `"perhaps" is not true or false`},
		"bad agent":            {`resource "x" { agent = "nginx" }`, `is not an agent such as`},
		"dangling member":      {`group "g" { members = ["vpi"] }` + "\nresource \"vip\" {\n agent = \"ha:ip\"\n}", `group "g" names "vpi", which is not defined; did you mean "vip"?`},
		"two owners":           {"resource \"a\" {\n agent = \"ha:ip\"\n}\ngroup \"g\" { members = [\"a\"] }\ngroup \"h\" { members = [\"a\"] }", `already part of "g"`},
		"dangling constraint":  {`location "l" {` + "\n resource = \"x\"\n node = \"a\"\n score = 1\n}", `2:2: location l: resource "x" is not defined`},
		"repeated operation":   {"resource \"x\" {\n agent = \"ha:ip\"\n op \"monitor\" { interval = \"10s\" }\n op \"monitor\" { interval = \"10000ms\" }\n}", `is there twice`},
		"repeated, ISO form":   {"resource \"x\" {\n agent = \"ha:ip\"\n op \"monitor\" { interval = \"1m\" }\n op \"monitor\" { interval = \"PT1M\" }\n}", `is there twice`},
		"verb as a name":       {`node "standby" {}`, `"standby" is a word of the command line`},
		"bad host name":        {`node "3rd floor" {}`, `"3rd floor" cannot be a name`},
		"before itself":        {"resource \"x\" {\n agent = \"lsb:x\"\n}\norder \"o\" {\n first = \"x\"\n then = \"x\"\n}", `"x" cannot come before itself`},
		"same name twice":      {"resource \"x\" {\n agent = \"ha:ip\"\n}\nresource \"x\" {\n agent = \"ha:ip\"\n}", `already defined at t.hcl:1`},
		"group in a group":     {"resource \"x\" {\n agent = \"ha:ip\"\n}\ngroup \"g\" { members = [\"x\"] }\ngroup \"h\" { members = [\"g\"] }", `group "h" cannot hold the group "g"`},
		"bad detection":        {`cluster "a" { detection = "quick" }`, `no detection preset "quick"`},
		"impossible detection": {`cluster "a" { detection = { interval = "100ms", dead_time = "100ms" } }`, `cannot work`},
		"file elsewhere":       {`node "a" { attributes = { x = file("/x") } }`, `agent's parameter only`},
		"bad rule":             {"resource \"x\" {\n agent = \"ha:ip\"\n}\nlocation \"l\" {\n resource = \"x\"\n score = 1\n rule = \"attr.x is 3\"\n}", `"is" is not eq, ne, lt`},
		"deep nesting":         {`cluster "a" { x = ` + strings.Repeat("[", 5000), `nested deeper`},
		"missing parameter":    {"resource \"x\" {\n agent = \"ha:ip\"\n}", `1:1: resource x: parameter address is missing`},
		"unknown parameter":    {"resource \"x\" {\n agent = \"ha:ip\"\n params = { adress = \"10.0.0.1/24\" }\n}", `did you mean "address"?`},
		"bad score":            {"resource \"x\" {\n agent = \"ha:ip\"\n}\nlocation \"l\" {\n resource = \"x\"\n node = \"a\"\n score = 1.5\n}", `"1.5" is not a score`},
		"fence parameter":      {"fence_device \"p\" {\n agent = \"fence_ipmilan\"\n params = { pcmk_of_timeout = \"9s\" }\n}", `fence_device p: pcmk_of_timeout: is not known; the parameters that begin with pcmk_ are the cluster's own; did you mean "pcmk_off_timeout"?`},
		"fence host check":     {"fence_device \"p\" {\n agent = \"fence_ipmilan\"\n params = { pcmk_host_check = \"always\" }\n}", `"always" is none of static-list, dynamic-list, status, none`},
		"fence action limit":   {"fence_device \"p\" {\n agent = \"fence_ipmilan\"\n params = { pcmk_action_limit = 0 }\n}", `"0" is neither 1 or more nor -1`},
		"fences nobody":        {"fence_device \"p\" {\n agent = \"fence_ipmilan\"\n params = { pcmk_host_check = \"static-list\" }\n}", `it fences nobody`},
		"unknown device":       {`fencing_level "a" {` + "\n level = 1\n devices = [\"pwr\"]\n}", `fence device "pwr" is not defined`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(Source{Name: "t.hcl", Text: []byte(c.text)})
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			for _, e := range Errors(err) {
				if e.File != "t.hcl" || e.Line == 0 {
					t.Errorf("error without a place: %+v", e)
				}
			}
		})
	}
}

// TestWarnings: what is accepted and not acted on is named with its place, and what
// does what it says is not.
func TestWarnings(t *testing.T) {
	text := `cluster "web" {
  enable_acl           = true
  stonith_max_attempts = 3
  batch_limit          = 4
}
node "far" { kind = "remote" }
node "near" {}
resource "web" {
  agent = "systemd:nginx"
  op "monitor" {
    interval    = "10s"
    start_delay = "5s"
  }
}
resource "guest" {
  agent = "ocf:heartbeat:VirtualDomain"
  meta  = { remote_node = "inner" }
}
template "link" { agent = "ocf:pacemaker:remote" }
bundle "box" {
  engine = "podman"
  image  = "httpd"
}
alert "mail" { path = "/usr/local/bin/mail" }
role "reader" {
  allow "read" { xpath = "/cib" }
}
user "joe" { roles = ["reader"] }
user_group "staff" { roles = ["reader"] }
`
	_, warnings, err := Check(Source{Name: "t.hcl", Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Error())
	}
	want := []string{
		"t.hcl:2:3: cluster web: nobody's access is limited",
		"t.hcl:3:3: cluster web: fencing_max_attempts has no effect: ",
		"t.hcl:6:14: node far: there will be no node behind this connection",
		"t.hcl:12:5: resource web: start_delay has no effect: ",
		"t.hcl:17:3: resource guest: there will be no node behind this connection",
		"t.hcl:19:19: template link: there will be no node behind this connection",
		"t.hcl:20:1: bundle box: nothing of this bundle will be started",
		"t.hcl:24:1: alert mail: no alert will be sent",
		"t.hcl:25:1: role reader: nobody's access is limited",
		"t.hcl:28:1: user joe: nobody's access is limited",
		"t.hcl:29:1: user_group staff: nobody's access is limited",
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("warnings:\n%s\nwant, each the beginning of one:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// Nothing that a person writes by the HOWTO is warned of.
	howto := `cluster "web" { detection = "normal" }
node "w" { witness = true }
resource "vip" {
  agent  = "ha:ip"
  params = { address = "10.0.1.100/24" }
}`
	if _, warnings, err := Check(Source{Name: "t.hcl", Text: []byte(howto)}); err != nil || len(warnings) > 0 {
		t.Errorf("%v %v", warnings, err)
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]string{
		"10": "10", "10s": "10s", "150ms": "150ms", "1h30m": "5400s", "5min": "5min", "P1D": "P1D", "PT1H30M": "PT1H30M", "1.5s": "1500ms",
		"": "error", "10d": "error", "PT": "error", "P1S": "error", "-5s": "error", "5 s": "error",
	} {
		got, err := canonicalDuration(in)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	old := parseText(t, "old.hcl", "cluster \"c\" {}\nresource \"a\" {\n agent = \"lsb:ip\"\n}\nresource \"b\" {\n agent = \"lsb:ip\"\n}\n")
	new := parseText(t, "new.hcl", "cluster \"c\" {}\nresource \"c\" {\n agent = \"lsb:ip\"\n}\nresource \"a\" {\n agent = \"lsb:web\"\n}\n")
	var got []string
	for _, c := range Diff(old, new) {
		got = append(got, c.What+" "+c.Kind+" "+c.Name)
	}
	if d := cmp.Diff([]string{"added resource c", "changed resource a", "removed resource b"}, got); d != "" {
		t.Error(d)
	}
}

// FuzzParse: no input crashes the reader, and what it accepts goes round.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "site.hcl"))
	if err != nil {
		f.Fatal(err)
	}
	for _, o := range Objects(parseText(f, "site.hcl", string(text))) {
		f.Add(o.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := Parse(Source{Name: "fuzz.hcl", Text: []byte(text)})
		if err != nil {
			return
		}
		again, err := Parse(Source{Name: "again.hcl", Text: Format(cfg)})
		if err != nil {
			t.Fatalf("the printed form is refused: %v\n%s", err, Format(cfg))
		}
		if a, b := canonicalJSON(t, cfg), canonicalJSON(t, again); a != b {
			t.Fatalf("the printed form means something else:\n%s\n%s\n%s", Format(cfg), a, b)
		}
		if want := hclwrite.Format(Format(cfg)); !bytes.Equal(want, Format(cfg)) {
			t.Fatalf("printed\n%s\nwhich the library would lay out\n%s", Format(cfg), want)
		}
	})
}

func canonicalJSON(t *testing.T, cfg *cluster.Config) string {
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func FuzzRule(f *testing.F) {
	for _, s := range []string{
		"attr.cpu lt 4", "node eq alpha or node eq beta and defined attr.x", `(attr.a eq "b c") and not_defined attr.d`,
		`date in "2026-01-01" to "2026-02-01"`, "date in 2026-01-01 for months=1", "date spec hours=9-16", "resource ocf::Dummy and op monitor interval=5s",
		"attr.v gte version 1.2", "attr.v eq param.limit", "date gt 2026", "date lt 2026", "date in to 2027",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		printed := FormatRule(r)
		again, err := ParseRule(printed)
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", text, printed, err)
		}
		if d := cmp.Diff(r, again); d != "" {
			t.Fatalf("%q prints as %q, which means something else:\n%s", text, printed, d)
		}
	})
}

// TestHowtoExamples: what the HOWTO shows is accepted as it stands.
func TestHowtoExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "HOWTO.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 2 {
		t.Fatalf("%d examples found", len(examples))
	}
	for _, e := range examples {
		if _, err := Parse(Source{Name: "HOWTO.md", Text: []byte(e[1])}); err != nil {
			t.Errorf("%v\n%s", err, e[1])
		}
	}
}
