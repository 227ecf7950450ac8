package differential

import (
	"sort"
)

// Difference lists the lines that only one side has: "-" the reference alone,
// "+" ours alone.
type Difference struct {
	State   []string
	Actions []string
	Probes  []string
}

// Same tells whether both sides agree on the state and on the actions (the
// judge's L1 and L2).
func (d *Difference) Same() bool { return len(d.State)+len(d.Actions) == 0 }

// Compare lists how ours differs from the reference.
func Compare(reference, ours *Outcome) *Difference {
	d := &Difference{Actions: lines(reference.Actions, ours.Actions), Probes: lines(reference.Probes, ours.Probes)}
	if ours.State != nil {
		d.State = lines(reference.State, ours.State)
	}
	return d
}

func lines(reference, ours map[string]int) []string {
	var out []string
	for l, n := range reference {
		for range n - ours[l] {
			out = append(out, "- "+l)
		}
	}
	for l, n := range ours {
		for range n - reference[l] {
			out = append(out, "+ "+l)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := out[i][2:], out[j][2:]; a != b {
			return a < b
		}
		return out[i] < out[j]
	})
	return out
}
