package scheduler_test

import (
	"strings"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
)

// situation is a three-node cluster with two resources and some constraints.
func situation(constraints, meta, attributes, history string) string {
	node := func(id, name string) string {
		lrm := ""
		if name == "n2" {
			lrm = history
		}
		return `<node_state id="` + id + `" uname="` + name + `" in_ccm="true" crmd="online" join="member" expected="member">` + lrm + `</node_state>`
	}
	return `<cib validate-with="pacemaker-3.9" have-quorum="1"><configuration><crm_config>
<cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
<nodes><node id="1" uname="n1">` + attributes + `</node><node id="2" uname="n2"/><node id="3" uname="n3"/></nodes>
<resources>
<primitive id="db" class="ocf" provider="pacemaker" type="Dummy"/>
<primitive id="web" class="ocf" provider="pacemaker" type="Dummy">` + meta + `</primitive>
</resources><constraints>` + constraints + `</constraints></configuration>
<status>` + node("1", "n1") + node("2", "n2") + node("3", "n3") + `</status></cib>`
}

func decide(t *testing.T, cib string) map[string]scheduler.Reason {
	t.Helper()
	in, err := pacemaker.Parse(cib, pacemaker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	plan, err := scheduler.Schedule(&in.Config, &in.Status, now, scheduler.Options{Reasons: true})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]scheduler.Reason{}
	for _, r := range plan.Reasons {
		out[r.Instance] = r
	}
	return out
}

// runningWeb is the history of web, which runs on n2.
const runningWeb = `<lrm id="2"><lrm_resources><lrm_resource id="web" class="ocf" provider="pacemaker" type="Dummy">
<lrm_rsc_op id="web_last_0" operation_key="web_start_0" operation="start" call-id="3" rc-code="0" op-status="0" interval="0"
 transition-key="1:1:0:a" transition-magic="0:0;1:1:0:a" op-digest="f2317cad3d54cec5d7d7aa7d0bf35cf8"/></lrm_resource></lrm_resources></lrm>`

// TestReasonsDecide takes away what a reason names first, and sees the resource
// go elsewhere.
func TestReasonsDecide(t *testing.T) {
	const prefersN1 = `<rsc_location id="prefer-n1" rsc="web" node="n1" score="50"/>`
	for _, c := range []struct {
		name, with, without string // the situation with and without the cause
		cause, node         string
	}{
		{"preference",
			situation(`<rsc_location id="prefer-n3" rsc="web" node="n3" score="10"/>`, "", "", ""),
			situation("", "", "", ""), "prefer-n3", "n3"},
		{"ban",
			situation(prefersN1+`<rsc_location id="not-on-n1" rsc="web" node="n1" score="-INFINITY"/>`, "", "", ""),
			situation(prefersN1, "", "", ""), "not-on-n1", ""},
		{"colocation",
			situation(prefersN1+`<rsc_location id="db-n3" rsc="db" node="n3" score="INFINITY"/><rsc_colocation id="with-db" rsc="web" with-rsc="db" score="INFINITY"/>`, "", "", ""),
			situation(prefersN1+`<rsc_location id="db-n3" rsc="db" node="n3" score="INFINITY"/>`, "", "", ""), "with-db", "n3"},
		{"separation",
			situation(prefersN1+`<rsc_location id="db-n1" rsc="db" node="n1" score="INFINITY"/><rsc_colocation id="apart" rsc="web" with-rsc="db" score="-INFINITY"/>`, "", "", ""),
			situation(prefersN1+`<rsc_location id="db-n1" rsc="db" node="n1" score="INFINITY"/>`, "", "", ""), "apart", ""},
		{"stickiness",
			situation(prefersN1, `<meta_attributes id="m"><nvpair id="m1" name="resource-stickiness" value="100"/></meta_attributes>`, "", runningWeb),
			situation(prefersN1, "", "", runningWeb), "stickiness", "n2"},
		{"standby",
			situation(prefersN1, "", `<instance_attributes id="a"><nvpair id="a1" name="standby" value="on"/></instance_attributes>`, ""),
			situation(prefersN1, "", "", ""), "standby", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			with, without := decide(t, c.with)["web"], decide(t, c.without)["web"]
			if len(with.Because) == 0 || with.Because[0].Constraint != c.cause {
				t.Fatalf("reasons %+v do not begin with %s", with, c.cause)
			}
			if c.node != "" && with.Node != c.node {
				t.Errorf("on %s, want %s", with.Node, c.node)
			}
			if with.Node == without.Node {
				t.Errorf("still on %s without %s", with.Node, c.cause)
			}
		})
	}
}

// TestReasonsWithoutPlace says why a resource runs nowhere.
func TestReasonsWithoutPlace(t *testing.T) {
	bans := ""
	for _, n := range []string{"n1", "n2", "n3"} {
		bans += `<rsc_location id="no-` + n + `" rsc="web" node="` + n + `" score="-INFINITY"/>`
	}
	web := decide(t, situation(bans, "", "", ""))["web"]
	if web.Node != "" || web.Summary != "cannot run anywhere: no-n1 forbids it on n1, no-n2 forbids it on n2, no-n3 forbids it on n3" || len(web.Because) != 3 {
		t.Errorf("%+v", web)
	}
	stopped := decide(t, situation("", `<meta_attributes id="m"><nvpair id="m1" name="target-role" value="Stopped"/></meta_attributes>`, "", ""))["web"]
	if !strings.Contains(stopped.Summary, "target role") {
		t.Errorf("%+v", stopped)
	}
	removed := decide(t, situation("", "", "", strings.ReplaceAll(runningWeb, "web", "gone")))["gone"]
	if removed.Node != "" || removed.Summary != "stopped: it is not configured any more" {
		t.Errorf("%+v", removed)
	}
}

// TestReasonsDoNotRepeat: what two constraints say in the same words is one reason.
func TestReasonsDoNotRepeat(t *testing.T) {
	web := decide(t, situation(`<rsc_ticket id="t1" rsc="web" ticket="site" loss-policy="stop"/><rsc_ticket id="t2" rsc="web" ticket="site" loss-policy="stop"/>`+
		`<rsc_location id="prefer-n1" rsc="web" node="n1" score="50"/>`, "", "", ""))["web"]
	seen := map[string]bool{}
	for _, f := range web.Because {
		if seen[f.Node+" "+f.Constraint] {
			t.Errorf("%q is said twice", f.Text)
		}
		seen[f.Node+" "+f.Constraint] = true
	}
	if !seen[" ticket site"] || !seen["n1 prefer-n1"] || len(seen) != 2 {
		t.Errorf("reasons %+v", web.Because)
	}
}
