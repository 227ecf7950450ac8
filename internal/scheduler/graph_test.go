package scheduler

import (
	"slices"
	"testing"

	"linuxha/internal/cluster"
)

// TestNothingWaitsForGood writes a graph in which something requires what is not in
// it. That is left out, and what requires it in turn; what is merely later is not.
func TestNothingWaitsForGood(t *testing.T) {
	rn := newRun(&cluster.Config{}, &cluster.Status{}, moment, Options{})
	names := []string{"blocked", "requires it", "requires that", "later", "optional", "after optional"}
	var points []*action
	for _, name := range names {
		a := rn.globalPoint(name)
		a.optional = false
		points = append(points, a)
	}
	points[0].runnable, points[4].optional = false, true
	// The one that is left out last comes first, so that one look is not enough.
	rn.relate(points[2], points[3], relSeq)
	rn.relate(points[1], points[2], relBlock)
	rn.relate(points[0], points[1], relImply|relBlock)
	rn.relate(points[0], points[3], relSeq)
	rn.relate(points[4], points[5], relBlock)
	slices.Reverse(rn.actions)
	rn.writeGraph()
	var got []string
	for _, a := range rn.plan.Actions {
		got = append(got, a.Detail)
		if len(a.After) > 0 {
			t.Errorf("%s waits for %v", a.Detail, a.After)
		}
	}
	if want := []string{"after optional", "later"}; !slices.Equal(got, want) {
		t.Errorf("in the graph: %v, want %v", got, want)
	}
}
