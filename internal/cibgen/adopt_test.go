package cibgen

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

// TestAdoptedRandom: what random configurations become in our language is accepted,
// is printed the same again, and is decided as they are.
func TestAdoptedRandom(t *testing.T) {
	for seed := range uint64(150) {
		c := Generate(seed, Limits{8, 30})
		if c.Features["monitors-alike"] {
			continue // a person has to choose between them
		}
		cib, err := pacemaker.Parse(string(c.Document.Bytes()), pacemaker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, remarks := config.Adopt(&cib.Config, "c")
		adopted, err := config.Parse(config.Source{Name: "adopted.hcl", Text: text})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		if d := cmp.Diff(string(text), string(config.Format(adopted))); d != "" {
			t.Errorf("seed %d is printed in another way:\n%s", seed, d)
		}
		for i := range adopted.Nodes { // the status knows nodes by their ids
			adopted.Nodes[i].ID = cib.Config.Nodes[i].ID
		}
		if len(adopted.FenceDevices()) == 0 {
			adopted.Origin = cluster.OriginCIB // what that means differs on purpose
		}
		var want, got bytes.Buffer
		if err := rehearsal.WriteJudge(&want, &cib.Config, &cib.Status, moment); err != nil {
			t.Fatal(err)
		}
		if err := rehearsal.WriteJudge(&got, adopted, &cib.Status, moment); err != nil {
			t.Fatal(err)
		}
		if want.String() != got.String() {
			t.Errorf("seed %d, with remarks %v:\n%s", seed, remarks, cmp.Diff(want.String(), got.String()))
		}
	}
}
