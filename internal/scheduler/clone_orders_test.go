package scheduler

import "testing"

func TestCloneOrders(t *testing.T) {
	group := `<group id="gr"><primitive id="p" class="ocf" provider="pacemaker" type="Dummy"/></group>`
	device := `<primitive id="f" class="stonith" type="fence_scsi"><meta_attributes id="f-m"><nvpair id="f-p" name="provides" value="unfencing"/></meta_attributes></primitive>`
	running := func(id string) string {
		return lrm(id, "ocf", "pacemaker:Dummy", entry(id, "start", 0, 1, 0, 0, `op-digest="`+emptyDigest+`"`))
	}
	off := lrm("f", "stonith", "fence_scsi", entry("f", "monitor", 0, 2, 7, 7, ""))
	changed := `<nvpair id="u" name="#node-unfenced" value="1700000000"/><nvpair id="d" name="#digests-all" value="f:stonith:fence_scsi:0,"/>`
	testOrders(t, []orderCase{
		{
			name:       "all members that unfencing restarts stop before any starts",
			resources:  `<clone id="cl">` + group + `</clone>` + device,
			options:    `<nvpair id="o1" name="stonith-enabled" value="true"/>`,
			history:    map[string]string{"n1": running("p") + off, "n2": running("p") + off},
			attributes: map[string]string{"n1": changed, "n2": changed},
			before:     "stop p:0 n1", after: "start p:1 n2", ordered: true,
		},
		{
			name: "an instance that goes for good does not wait until the next one's members are looked for",
			resources: `<clone id="cl"><group id="gr"><primitive id="p" class="ocf" provider="pacemaker" type="Dummy"/>` +
				`<primitive id="q" class="ocf" provider="pacemaker" type="Dummy"/></group></clone>`,
			constraints: `<rsc_location id="l" rsc="cl" node="n1" score="-INFINITY"/>`,
			options:     `<nvpair id="o1" name="stonith-enabled" value="false"/>`,
			history: map[string]string{
				"n1": running("p") + running("q"),
				"n2": lrm("p", "ocf", "pacemaker:Dummy", entry("p", "monitor", 0, 3, 7, 7, "")),
			},
			before: "probe q:1 n2", after: "stop q:0 n1", ordered: false,
		},
	})
}
