package pacemaker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linuxha/internal/cluster"
)

// sharedDir finds the directory with the recorded cases beside the repository.
func sharedDir(t testing.TB) string {
	if dir := os.Getenv("HA_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	shared := filepath.Join(dir, "..", "shared")
	if _, err := os.Stat(filepath.Join(shared, "pacemaker-scheduler")); err != nil {
		t.Skip("recorded cases are not here: set HA_SHARED to the directory that has pacemaker-scheduler")
	}
	return shared
}

func caseFiles(t testing.TB) []string {
	files, err := filepath.Glob(filepath.Join(sharedDir(t), "pacemaker-scheduler", "xml", "*.xml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded cases: %v", err)
	}
	return files
}

func TestRecordedCasesImport(t *testing.T) {
	strict := 0
	for _, file := range caseFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(string(data), Options{Lenient: true})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if len(c.Warnings) == 0 {
			strict++
		}
		for _, w := range c.Warnings {
			t.Logf("%s:%v", filepath.Base(file), w)
		}
	}
	t.Logf("%d without any warning", strict)
}

func TestFixtures(t *testing.T) {
	data, err := os.ReadFile("testdata/everything.xml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(string(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.Config
	check := func(what string, got, want any) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	check("origin", cfg.Origin, cluster.OriginCIB)
	check("name", cfg.Name, "demo")
	check("options", pairs(cfg.Options[0]), "cluster-name=demo fencing-enabled=true stop-removed-resources=false no-quorum-policy=fence")
	check("nodes", []string{cfg.Nodes[0].Name, cfg.Nodes[1].Name, string(cfg.Nodes[1].Kind)}, []string{"alpha", "far", "remote"})
	check("utilization", pairs(cfg.Nodes[0].Utilization[0]), "cpu=4")

	ip := cfg.Resources[0].Children[0]
	check("agent", ip.Agent.String(), "ocf:heartbeat:IPaddr2")
	check("operation", ip.Operations[0], cluster.Operation{ID: "ip-m", Name: "monitor", Interval: "10s", Attrs: []cluster.NVPair{
		{Name: "timeout", Value: "20s"}, {Name: "role", Value: "Promoted"}, {Name: "on-fail", Value: "restart"}}})
	check("operations by reference", cfg.Resources[0].Children[1].OpsRef, "ip")
	check("old clone", cfg.Resources[1].LegacyPromotable, true)
	check("old meta", pairs(cfg.Resources[1].Meta[0]), "promoted-max=2 promoted-node-max=1 target-role=Unpromoted")
	b := cfg.Resources[3].Bundle
	check("bundle", []string{b.Engine, b.Image, b.Replicas, b.PromotedMax, *b.Options, b.ControlPort, b.Ports[0].Port, b.Storage[0].Target},
		[]string{"podman", "img", "3", "1", "", "9999", "80", "/srv"})
	check("template", cfg.Templates[0].ID, "tmpl")
	check("tag", cfg.Tags[0], cluster.Tag{ID: "net", References: []string{"ip", "ip2"}})

	check("location rule", *cfg.Locations[1].Rules[0].Conditions[0].Attribute,
		cluster.AttrExpr{ID: "l2-e", Attribute: "#uname", Operation: "eq", Value: "alpha"})
	check("lifetime", len(cfg.Locations[2].Rules[0].Conditions), 2)
	check("date", cfg.ResourceDefaults[0].Rule.Conditions[0].Date.Spec, map[string]string{"hours": "9-16"})
	check("colocation", cfg.Colocations[0].WithRole, "Promoted")
	check("order set", cfg.Orders[1].Sets[0].Resources, []string{"web", "ip"})
	check("ticket", cfg.TicketRules[0].LossPolicy, "fence")
	check("level", cfg.FencingLevels[0], cluster.FencingLevel{ID: "fl", Target: "alpha", Index: 1, Devices: []string{"dev", "dev2"}})
	check("alert", cfg.Alerts[0].Select, []string{"nodes", "attributes"})
	check("acl", cfg.ACLTargets[0].Roles, []string{"reader"})

	s := c.Status
	check("quorum", []any{s.Quorate, s.QuorumPanic, s.Coordinator, s.ExecutionDate.Unix()}, []any{true, true, "1", int64(1500000000)})
	check("node state", s.Nodes[0].Join, "member")
	check("transient", pairs(s.Nodes[0].Attributes[0]), "probe_complete=true")
	check("history", s.Nodes[0].History[0].Operations[0].Operation, "start")
	check("call id", s.Nodes[0].History[0].Operations[0].CallID, 12)
	check("no call id", s.Nodes[0].History[0].Operations[1].CallID, -1)
	check("ticket state", s.Tickets[0], cluster.TicketStatus{ID: "site", Granted: "true", LastGranted: "17"})
}

func pairs(set cluster.AttrSet) string {
	var out []string
	for _, p := range set.Pairs {
		out = append(out, p.Name+"="+p.Value)
	}
	return strings.Join(out, " ")
}

// cibWith wraps configuration elements.
func cibWith(configuration string) string {
	return "<cib>\n<configuration>\n" + configuration + "\n</configuration>\n<status/></cib>"
}

func TestFaults(t *testing.T) {
	dummy := `<resources><primitive id="a" class="ocf" provider="x" type="Dummy"/></resources>`
	tests := []struct{ name, xml, want string }{
		{"empty", "", "1:1: no XML element found"},
		{"unclosed", "<cib>\n <configuration>", `2:2: element <configuration> is never closed`},
		{"crossed", "<cib><a>\n</cib></a>", "2:1: end tag </cib> where <a> of line 1, column 6 is open"},
		{"two roots", "<cib/><cib/>", "1:7: element <cib> after the end of the document"},
		{"text", "<cib>hello</cib>", "1:6: unexpected text between elements"},
		{"doctype", "<!DOCTYPE cib><cib/>", "1:1: markup declarations (DOCTYPE, CDATA) are not accepted"},
		{"entity", `<cib a="&boo;"/>`, `1:9: unknown reference after "&" (write &amp; for the character itself)`},
		{"twice", `<cib a="1" a="2"/>`, "1:12: attribute a is given twice"},
		{"encoding", `<?xml version="1.0" encoding="latin1"?><cib/>`, `1:1: encoding "latin1" is not supported; convert the file to UTF-8`},
		{"not utf-8", "<cib a=\"\xff\"/>", "1:9: text is not valid UTF-8"},
		{"other document", "<html/>", "1:1: the document is <html>, not <cib>"},
		{"no id", cibWith(`<resources><primitive class="ocf" type="x"/></resources>`), "3:12: <primitive> without id"},
		{"unknown element", cibWith(`<resources><service id="x"/></resources>`), "3:12: unknown element <service> in <resources>"},
		{"unknown attribute", cibWith(`<nodes><node id="1" uname="n" color="red"/></nodes>`), "3:31: unknown attribute color of <node>"},
		{"duplicate id", cibWith(dummy + "\n" + dummy), `4:12: id "a" of <primitive> is already used`},
		{"dangling resource", cibWith(dummy + "\n" + `<constraints><rsc_order id="o" first="a" then="b"/></constraints>`),
			`4:42: constraint o refers to resource, template or tag "b", which does not exist`},
		{"wrong kind", cibWith(dummy + "\n" + `<constraints><rsc_order id="o" first="a" then="o"/></constraints>`),
			`4:42: constraint o refers to "o", which is not a resource, template or tag`},
		{"dangling node", cibWith(dummy + "\n" + `<constraints><rsc_location id="l" rsc="a" node="n" score="1"/></constraints>`),
			`4:43: constraint l refers to node "n", which does not exist`},
		{"dangling template", cibWith(`<resources><primitive id="a" template="t"/></resources>`),
			`3:30: primitive a refers to template "t", which does not exist`},
		{"dangling block", cibWith(`<rsc_defaults><meta_attributes id-ref="m"/></rsc_defaults>`),
			`3:15: <meta_attributes> refers to attribute block "m", which does not exist`},
		{"score", cibWith(dummy + "\n" + `<constraints><rsc_colocation id="c" rsc="a" with-rsc="a" score="much"/></constraints>`),
			`4:58: score is "much"; it can be a whole number, INFINITY or -INFINITY`},
		{"word", cibWith(dummy + "\n" + `<constraints><rsc_order id="c" first="a" then="a" kind="Never"/></constraints>`),
			`4:51: kind is "Never"; it can be Optional, Mandatory, Serialize`},
		{"instance", cibWith(`<resources><clone id="c"><primitive id="a" class="lsb" type="x"/></clone></resources>` + "\n" +
			`<constraints><rsc_order id="o" first="c:0" then="a:1"/></constraints>`), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.xml, Options{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestLenientLeavesOutWhatItCannotUse(t *testing.T) {
	c, err := Parse(cibWith(`<resources><service id="x"/><primitive id="a" class="lsb" type="x" odd="1"/></resources>`), Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 2 || len(c.Config.Resources) != 1 {
		t.Errorf("warnings %v, resources %v", c.Warnings, c.Config.Resources)
	}
}

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile(filepath.Join(sharedDir(b), "pacemaker-scheduler", "xml", "params-6.xml"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(string(data), Options{Lenient: true}); err != nil {
			b.Fatal(err)
		}
	}
}
