package pacemaker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/core/fencing"
	"linuxha/internal/pacemaker"
)

// fencingCIB has devices and levels as administrators of Pacemaker write them.
const fencingCIB = `<cib crm_feature_set="3.19.0" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0">
<configuration><crm_config><cluster_property_set id="o">
  <nvpair id="o1" name="stonith-timeout" value="90s"/><nvpair id="o2" name="stonith-action" value="off"/><nvpair id="o3" name="priority-fencing-delay" value="5s"/>
</cluster_property_set></crm_config>
<nodes>
  <node id="1" uname="alpha"><instance_attributes id="n1"><nvpair id="n1r" name="rack" value="left"/></instance_attributes></node>
  <node id="2" uname="beta"/><node id="3" uname="gamma1"/>
</nodes>
<resources>
  <primitive id="ipmi" class="stonith" type="fence_ipmilan">
    <instance_attributes id="i">
      <nvpair id="i1" name="ip" value="10.0.9.1"/>
      <nvpair id="i2" name="pcmk_host_map" value="alpha:1;beta:2,3"/>
      <nvpair id="i3" name="pcmk_host_list" value="alpha beta"/>
      <nvpair id="i4" name="pcmk_host_check" value="static-list"/>
      <nvpair id="i5" name="pcmk_delay_base" value="alpha:1s;beta:2s"/>
      <nvpair id="i6" name="pcmk_delay_max" value="4s"/>
      <nvpair id="i7" name="pcmk_reboot_action" value="off"/>
      <nvpair id="i8" name="pcmk_off_timeout" value="33s"/>
      <nvpair id="i9" name="pcmk_off_retries" value="5"/>
      <nvpair id="i10" name="pcmk_action_limit" value="-1"/>
      <nvpair id="i11" name="pcmk_monitor_action" value="status"/>
      <nvpair id="i12" name="pcmk_host_argument" value="uuid"/>
    </instance_attributes>
    <operations><op id="im" name="monitor" interval="60s"/></operations>
  </primitive>
  <primitive id="vm" class="stonith" type="fence_virsh">
    <instance_attributes id="v"><nvpair id="v1" name="pcmk_host_check" value="dynamic-list"/></instance_attributes>
    <meta_attributes id="vm-m"><nvpair id="vm-m1" name="provides" value="unfencing"/></meta_attributes>
  </primitive>
</resources>
<constraints/>
<fencing-topology>
  <fencing-level id="l1" target="alpha" index="1" devices="vm,ipmi"/>
  <fencing-level id="l2" target="alpha" index="2" devices="ipmi"/>
  <fencing-level id="l3" target-pattern="^gamma.*" index="1" devices="vm"/>
  <fencing-level id="l4" target-attribute="rack" target-value="right" index="1" devices="ipmi"/>
</fencing-topology>
</configuration><status/></cib>`

// TestFencingOfACIB: what a CIB says of fencing is what the core then does, also
// after a way through the configuration language.
func TestFencingOfACIB(t *testing.T) {
	cib, err := pacemaker.Parse(fencingCIB, pacemaker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(config.Format(&cib.Config))
	again, err := config.Parse(config.Source{Name: "printed.hcl", Text: []byte(text)})
	if err != nil {
		t.Fatalf("what was printed cannot be read: %v\n%s", err, text)
	}
	for name, c := range map[string]*cluster.Config{"imported": &cib.Config, "through HCL": again} {
		s := &cluster.State{Config: *c}
		if d := cmp.Diff([]string{
			"alpha off: vm off 1m30s 2x limit 1, ipmi off 33s 5x limit -1 | ipmi off 33s 5x limit -1",
			"beta off: ipmi off 33s 5x limit -1 | vm off 1m30s 2x limit 1",
			"gamma1 off: vm off 1m30s 2x limit 1",
		}, []string{routes(s, "alpha"), routes(s, "beta"), routes(s, "gamma1")}); d != "" {
			t.Errorf("%s: routes (-want +got)\n%s", name, d)
		}
		base, extra := fencing.Delay(s, fencing.Routes(s, "beta", "off"), "beta")
		if base != 2*time.Second || extra != 2*time.Second {
			t.Errorf("%s: delay of beta %v and up to %v", name, base, extra)
		}
		_, params := c.FenceParams(c.FindResource("ipmi"))
		device, err := cluster.ParseFenceDevice(params)
		if err != nil {
			t.Fatal(err)
		}
		if device.Plug("beta") != "2,3" || device.Alias("reboot") != "off" || device.Alias("monitor") != "status" || device.Argument != "uuid" {
			t.Errorf("%s: device %+v", name, device)
		}
		if ending := fencing.EndingBoot(fencing.Routes(s, "gamma1", "off")); len(ending) != 0 {
			t.Errorf("%s: a device that provides unfencing cuts power: %v", name, ending)
		}
		if action := c.Option("fencing-action", "stonith-action"); action != "off" {
			t.Errorf("%s: action %q", name, action)
		}
		if delay := c.Option("priority-fencing-delay"); delay != "5s" {
			t.Errorf("%s: priority delay %q", name, delay)
		}
	}
}

func routes(s *cluster.State, target string) string {
	var ways []string
	for _, r := range fencing.Routes(s, target, "off") {
		var steps []string
		for _, x := range r.Steps {
			steps = append(steps, fmt.Sprintf("%s %s %v %dx limit %d", x.Call.Device, x.Call.Action, x.Call.Timeout, x.Attempts, x.Limit))
		}
		ways = append(ways, strings.Join(steps, ", "))
	}
	return target + " off: " + strings.Join(slices.Clone(ways), " | ")
}
