package differential

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"testing"
)

var (
	count = flag.Int("problems", 40, "how many random problems to compare")
	first = flag.Uint64("seed", 1, "seed of the first")
	// Lowered as agreement grows, never raised.
	allowed = flag.Int("allowed", 50, "percentage of problems that may differ")
	keep    = flag.String("keep", "", "directory for what differs, shrunk")
)

// differs compares one problem; nil if either side could not answer.
func differs(t *testing.T, dir string, p *Problem) *Difference {
	ref, err := Reference(context.Background(), dir, p)
	if err != nil {
		return nil
	}
	ours, err := Ours(p)
	if err != nil {
		return nil
	}
	return Compare(ref, ours)
}

func TestAgreement(t *testing.T) {
	if _, err := exec.LookPath("crm_simulate"); err != nil {
		t.Skip("crm_simulate is not installed (Debian: pacemaker-cli-utils)")
	}
	dir := t.TempDir()
	features := map[string]int{}
	aborted, differ, probes := 0, 0, 0
	for i := range *count {
		seed := *first + uint64(i)
		p := Generate(seed)
		for f, n := range p.Features {
			if n > 0 {
				features[f]++
			}
		}
		ref, err := Reference(context.Background(), dir, p)
		if err != nil {
			aborted++
			if testing.Verbose() {
				t.Logf("seed %d: %v", seed, err)
			}
			continue
		}
		ours, err := Ours(p)
		if err != nil {
			differ++
			t.Logf("seed %d: %v", seed, err)
			continue
		}
		d := Compare(ref, ours)
		if len(d.Probes) > 0 {
			probes++
		}
		if !d.Same() {
			differ++
			t.Logf("seed %d: state %q actions %q", seed, d.State, d.Actions)
			if *keep != "" {
				small := Shrink(p, func(p *Problem) bool { d := differs(t, dir, p); return d != nil && !d.Same() })
				d := differs(t, dir, small)
				t.Logf("seed %d: shrunk: state %q actions %q", seed, d.State, d.Actions)
				if err := os.WriteFile(filepath.Join(*keep, fmt.Sprintf("seed-%d.xml", seed)), small.CIB(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var names []string
	for f := range features {
		names = append(names, f)
	}
	sort.Slice(names, func(i, j int) bool { return features[names[i]] > features[names[j]] })
	for _, f := range names {
		t.Logf("%6d  %s", features[f], f)
	}
	if most := *allowed * (*count - aborted) / 100; differ > most {
		t.Errorf("%d of %d problems differ, at most %d may", differ, *count-aborted, most)
	}
	t.Logf("%d problems, %d differ, %d with other probes, crm_simulate aborted on %d", *count, differ, probes, aborted)
}
