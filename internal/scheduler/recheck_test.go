package scheduler_test

import (
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
)

// TestRecheck schedules again at the moment that the plan names, and sees the
// decision change there and not a second before.
func TestRecheck(t *testing.T) {
	const failed = `<transient_attributes id="2"><instance_attributes id="fa">
<nvpair id="f1" name="fail-count-web#monitor_10000" value="1"/><nvpair id="f2" name="last-failure-web#monitor_10000" value="1782860000"/>
</instance_attributes></transient_attributes>`
	for _, c := range []struct {
		name, cib string
		want      time.Time
	}{
		{"a rule ends",
			situation(`<rsc_location id="until" rsc="web"><rule id="r" score="10" boolean-op="and">
<expression id="e" attribute="#uname" operation="eq" value="n3"/>
<date_expression id="d" operation="lt" end="2026-07-02 12:00:00Z"/></rule></rsc_location>`, "", "", ""),
			time.Date(2026, 7, 2, 12, 0, 0, 0, time.UTC)},
		{"a failure expires",
			situation(`<rsc_location id="prefer-n2" rsc="web" node="n2" score="10"/>`,
				`<meta_attributes id="m"><nvpair id="m1" name="failure-timeout" value="2h"/><nvpair id="m2" name="migration-threshold" value="1"/></meta_attributes>`, "", failed),
			time.Unix(1782860000+2*3600+1, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := pacemaker.Parse(c.cib, pacemaker.Options{Lenient: true})
			if err != nil {
				t.Fatal(err)
			}
			placeAt := func(now time.Time) (string, time.Time) {
				plan, err := scheduler.Schedule(&in.Config, &in.Status, now, scheduler.Options{})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range plan.Placements {
					if p.Instance == "web" {
						return p.Node, plan.Recheck
					}
				}
				return "", plan.Recheck
			}
			before, recheck := placeAt(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
			if !recheck.Equal(c.want) {
				t.Fatalf("recheck at %v, want %v", recheck.UTC(), c.want.UTC())
			}
			if just, _ := placeAt(recheck.Add(-time.Second)); just != before {
				t.Errorf("moved from %s to %s a second too early", before, just)
			}
			if after, _ := placeAt(recheck); after == before {
				t.Errorf("still on %s at %v", after, recheck)
			}
		})
	}
}
