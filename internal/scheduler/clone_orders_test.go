package scheduler

import "testing"

func TestCloneOrders(t *testing.T) {
	group := `<group id="gr"><primitive id="p" class="ocf" provider="pacemaker" type="Dummy"/></group>`
	device := `<primitive id="f" class="stonith" type="fence_scsi"><meta_attributes id="f-m"><nvpair id="f-p" name="provides" value="unfencing"/></meta_attributes></primitive>`
	running := lrm("p", "ocf", "pacemaker:Dummy", entry("p", "start", 0, 1, 0, 0, `op-digest="`+emptyDigest+`"`))
	off := lrm("f", "stonith", "fence_scsi", entry("f", "monitor", 0, 2, 7, 7, ""))
	changed := `<nvpair id="u" name="#node-unfenced" value="1700000000"/><nvpair id="d" name="#digests-all" value="f:stonith:fence_scsi:0,"/>`
	testOrders(t, []orderCase{
		{
			name:       "all members that unfencing restarts stop before any starts",
			resources:  `<clone id="cl">` + group + `</clone>` + device,
			options:    `<nvpair id="o1" name="stonith-enabled" value="true"/>`,
			history:    map[string]string{"n1": running + off, "n2": running + off},
			attributes: map[string]string{"n1": changed, "n2": changed},
			before:     "stop p:0 n1", after: "start p:1 n2", ordered: true,
		},
	})
}
