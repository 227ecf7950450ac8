package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/pacemaker"
)

// orderCase is a small cluster and what must, or must not, wait for what in its plan,
// directly or not; crm_simulate orders these the same.
type orderCase struct {
	name, resources, constraints string
	options                      string            // nvpairs
	history                      map[string]string // by node: lrm_resource elements
	attributes                   map[string]string // by node: transient ones, nvpairs
	before, after                string
	ordered                      bool
}

// entry is a result in a history, as XML.
func entry(rsc, task string, interval, call, rc, expected int, more string) string {
	status := 0
	if call < 0 {
		status = -1
	}
	return fmt.Sprintf(`<lrm_rsc_op id="%[1]s_%[2]s_%[3]d" operation_key="%[1]s_%[2]s_%[3]d" operation="%[2]s" interval="%[3]d" crm_feature_set="3.16.1" `+
		`transition-key="1:1:%[6]d:u" transition-magic="%[7]d:%[5]d;1:1:%[6]d:u" call-id="%[4]d" rc-code="%[5]d" op-status="%[7]d" last-rc-change="1700000000" %[8]s/>`,
		rsc, task, interval, call, rc, expected, status, more)
}

func lrm(id, class, agent string, entries ...string) string {
	provider, kind, ok := strings.Cut(agent, ":")
	if !ok {
		provider, kind = "", agent
	} else {
		provider = `provider="` + provider + `" `
	}
	return fmt.Sprintf(`<lrm_resource id="%s" class="%s" %stype="%s">%s</lrm_resource>`, id, class, provider, kind, strings.Join(entries, ""))
}

const emptyDigest = "f2317cad3d54cec5d7d7aa7d0bf35cf8" // of no parameters

func TestProbeOrders(t *testing.T) {
	dummy := func(id string) string {
		return `<primitive id="` + id + `" class="ocf" provider="pacemaker" type="Dummy"><operations><op id="` + id + `-m" name="monitor" interval="10s"/></operations></primitive>`
	}
	fine := `op-digest="` + emptyDigest + `"`
	noFencing := `<nvpair id="o1" name="stonith-enabled" value="false"/>`
	testOrders(t, []orderCase{
		{
			name:      "what is only monitored behind a probe may stop",
			resources: `<primitive id="c" class="ocf" provider="pacemaker" type="Dummy"><meta_attributes id="c-m"><nvpair id="c-r" name="remote-node" value="g"/></meta_attributes></primitive>` + dummy("a"),
			constraints: `<rsc_location id="l" rsc="a" node="g" score="-INFINITY"/>` +
				`<rsc_location id="l1" rsc="c" node="n1" score="100"/>`,
			options: noFencing,
			history: map[string]string{
				"n1": lrm("c", "ocf", "pacemaker:Dummy", entry("c", "start", 0, 1, 0, 0, fine)) +
					lrm("g", "ocf", "pacemaker:remote", entry("g", "start", 0, 2, 0, 0, ""), entry("g", "monitor", 30000, 3, 0, 0, "")),
				"n2": lrm("c", "ocf", "pacemaker:Dummy", entry("c", "monitor", 0, 1, 7, 7, fine)),
				"g":  lrm("a", "ocf", "pacemaker:Dummy", entry("a", "start", 0, 1, 0, 0, fine), entry("a", "monitor", 10000, 2, 0, 0, "")),
			},
			before: "probe g n2", after: "stop a g", ordered: false,
		},
		{
			name:        "a pending start of what is to stop is a start",
			resources:   `<clone id="cl">` + dummy("i") + `</clone><primitive id="p" class="ocf" provider="pacemaker" type="Dummy"><meta_attributes id="p-m"><nvpair id="p-r" name="multiple-active" value="stop_only"/></meta_attributes></primitive>`,
			constraints: `<rsc_order id="o" first="cl" then="p"/>`,
			options:     noFencing,
			history: map[string]string{
				"n1": lrm("p", "ocf", "pacemaker:Dummy", entry("p", "start", 0, 1, 0, 0, fine)),
				"n2": lrm("p", "ocf", "pacemaker:Dummy", entry("p", "start", 0, -1, 193, 0, fine)) +
					lrm("i", "ocf", "pacemaker:Dummy", entry("i", "monitor", 0, 1, 7, 7, fine)),
			},
			before: "probe i:0 n1", after: "stop p n1", ordered: true,
		},
		{
			name: "an unfencing device in a clone starts when it has been looked for itself",
			resources: `<clone id="cl"><meta_attributes id="cl-m"><nvpair id="cl-u" name="globally-unique" value="true"/></meta_attributes>` +
				`<primitive id="f" class="stonith" type="fence_scsi"><meta_attributes id="f-m"><nvpair id="f-p" name="provides" value="unfencing"/></meta_attributes></primitive></clone>`,
			options:    `<nvpair id="o1" name="stonith-enabled" value="true"/>`,
			attributes: map[string]string{"n1": `<nvpair id="u1" name="#node-unfenced" value="1700000000"/>`},
			before:     "probe f:0 n2", after: "start f:1 n2", ordered: false,
		},
		{
			name:      "a container restarts when others have been looked for",
			resources: `<bundle id="b"><docker image="x" replicas="2"/></bundle>`,
			options:   noFencing,
			history: map[string]string{
				"n1": lrm("b-docker-0", "ocf", "heartbeat:docker", entry("b-docker-0", "start", 0, 1, 0, 0, `op-digest="0"`)) +
					lrm("b-docker-1", "ocf", "heartbeat:docker", entry("b-docker-1", "monitor", 0, 2, 7, 7, "")),
			},
			before: "probe b-docker-1 n2", after: "stop b-docker-0 n1", ordered: true,
		},
	})
}

// testOrders checks each case against its plan.
func testOrders(t *testing.T, cases []orderCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc, err := pacemaker.Parse(c.document(), pacemaker.Options{})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := Schedule(&doc.Config, &doc.Status, time.Unix(1_782_864_000, 0), Options{})
			if err != nil {
				t.Fatal(err)
			}
			first, then := find(plan, c.before), find(plan, c.after)
			if first == nil || then == nil {
				t.Fatalf("no %q or no %q in the plan %s", c.before, c.after, names(plan))
			}
			if got := waits(plan, then, first.ID); got != c.ordered {
				t.Errorf("%s waits for %s: %v, want %v", c.after, c.before, got, c.ordered)
			}
		})
	}
}

func (c *orderCase) document() string {
	var status strings.Builder
	for _, n := range []string{"n1", "n2", "g"} {
		if n == "g" && c.history[n] == "" {
			continue
		}
		state := `in_ccm="true" crmd="online" join="member" expected="member"`
		if n == "g" {
			state = `remote_node="true"`
		}
		fmt.Fprintf(&status, `<node_state id="%[1]s" uname="%[1]s" %[2]s><transient_attributes id="%[1]s"><instance_attributes id="t-%[1]s">%[4]s</instance_attributes></transient_attributes><lrm id="%[1]s"><lrm_resources>%[3]s</lrm_resources></lrm></node_state>`,
			n, state, c.history[n], c.attributes[n])
	}
	return `<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.7" have-quorum="1"><configuration><crm_config><cluster_property_set id="options">` + c.options +
		`</cluster_property_set></crm_config><nodes><node id="n1" uname="n1"/><node id="n2" uname="n2"/></nodes><resources>` + c.resources +
		`</resources><constraints>` + c.constraints + `</constraints></configuration><status>` + status.String() + `</status></cib>`
}

// nameOf names an action.
func nameOf(a *cluster.Action) string {
	return fmt.Sprintf("%s %s %s", a.Kind, a.Instance, a.Node)
}

func find(plan *Plan, name string) *cluster.Action {
	for i := range plan.Actions {
		if nameOf(&plan.Actions[i]) == name {
			return &plan.Actions[i]
		}
	}
	return nil
}

func names(plan *Plan) (all []string) {
	for i := range plan.Actions {
		all = append(all, nameOf(&plan.Actions[i]))
	}
	return all
}

// waits tells whether a comes after the action with the id, directly or not.
func waits(plan *Plan, a *cluster.Action, id int) bool {
	seen := map[int]bool{}
	var from func(a *cluster.Action) bool
	from = func(a *cluster.Action) bool {
		for _, before := range a.After {
			if before == id || !seen[before] && from(&plan.Actions[before-1]) {
				return true
			}
			seen[before] = true
		}
		return false
	}
	return from(a)
}
