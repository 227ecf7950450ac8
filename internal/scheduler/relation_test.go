package scheduler

import (
	"testing"

	"linuxha/internal/cluster"
)

// pair makes a run with two primitives and one action of each.
func pair(firstTask, thenTask string) (rn *run, first, then *action) {
	rn = &run{plan: &Plan{}, actionMap: map[actionKey]*action{}, quorate: true,
		byID: map[string]*resource{}, inHistory: map[string]*resource{}}
	n := &node{name: "n1", online: true}
	rn.nodes = []*node{n}
	for _, id := range []string{"a", "b"} {
		r := &resource{id: id, kind: cluster.Primitive, managed: true, unique: true, role: roleStopped}
		rn.addResource(r)
		rn.resources = append(rn.resources, r)
	}
	first = rn.newAction(rn.all[0], firstTask, 0, n, true)
	then = rn.newAction(rn.all[1], thenTask, 0, n, true)
	return rn, first, then
}

func TestRelationEffects(t *testing.T) {
	yes := actionFlags{optional: true, runnable: true}
	required := actionFlags{runnable: true}
	unrunnable := actionFlags{optional: true}
	stuck := actionFlags{}
	migratable := actionFlags{runnable: true, migratable: true}
	tests := []struct {
		name                string
		kind                relKind
		first, then         actionFlags
		wantFirst, wantThen actionFlags
	}{
		{"seq changes nothing", relSeq, required, yes, required, yes},
		{"imply requires", relImply, required, yes, required, required},
		{"imply of something optional", relImply, yes, yes, yes, yes},
		{"imply of a migration", relImply, migratable, yes, migratable, yes},
		{"block", relBlock, unrunnable, required, unrunnable, stuck},
		{"block by something runnable", relBlock, yes, required, yes, required},
		{"imply-back requires no primitive", relImplyBack, yes, required, yes, required},
		{"imply-back ends migration", relImplyBack, migratable, required, required, required},
		{"restart pulls the stop", relRestart, yes, required, required, required},
		{"restart blocked by the stop", relRestart, unrunnable, required, stuck, stuck},
		{"asymmetric block", relAsym, unrunnable, yes, unrunnable, stuck},
		{"cancel", relCancel, required, required, yes, required},
		{"migration blocked", relMigrBlock, migratable, required, actionFlags{migratable: true}, required},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rn, first, then := pair(taskStart, taskStart)
			first.actionFlags, then.actionFlags = tt.first, tt.then
			rn.relate(first, then, tt.kind)
			rn.propagate(then)
			if first.actionFlags != tt.wantFirst {
				t.Errorf("first is %+v, want %+v", first.actionFlags, tt.wantFirst)
			}
			if then.actionFlags != tt.wantThen {
				t.Errorf("then is %+v, want %+v", then.actionFlags, tt.wantThen)
			}
		})
	}
}

// TestMissingFirst: what is ordered after the start of something that will not
// start must not start either, but what is down may stop.
func TestMissingFirst(t *testing.T) {
	rn, _, then := pair(taskMonitor, taskStart)
	then.optional = false
	rn.order(of(rn.all[0], taskStart), of(rn.all[1], taskStart), relSeq|relImply|relBlock)
	rn.order(of(rn.all[0], taskStop), of(rn.all[1], taskStart), relSeq|relImply|relBlock)
	rn.evaluateOrders()
	if then.runnable {
		t.Error("the start is runnable though what comes first is not started")
	}
	if rn.all[0].latest(taskStop, nil) != nil {
		t.Error("a stop was made up for something that is stopped")
	}
}

func TestMinimum(t *testing.T) {
	for _, tt := range []struct {
		runnable, need int
		want           bool
	}{{0, 1, false}, {1, 1, true}, {1, 2, false}, {2, 2, true}} {
		rn, _, then := pair(taskMonitor, taskStart)
		then.optional = false
		point := rn.globalPoint("some")
		point.needsAny, point.minimum = true, tt.need
		for i := range 3 {
			r := &resource{id: "c", kind: cluster.Primitive, managed: true, unique: true}
			rn.addResource(r)
			start := rn.newAction(r, taskStart, 0, rn.nodes[0], false)
			start.runnable = i < tt.runnable
			rn.relate(start, point, relMin|relShowThen)
		}
		rn.relate(point, then, relSeq|relBlock)
		rn.evaluateOrders()
		if then.runnable != tt.want {
			t.Errorf("with %d of %d needed, runnable is %t", tt.runnable, tt.need, then.runnable)
		}
	}
}

func TestRelateOnce(t *testing.T) {
	rn, first, then := pair(taskStart, taskStart)
	if !rn.relate(first, then, relSeq|relImply) || rn.relate(first, then, relSeq) || !rn.relate(first, then, relBlock) {
		t.Error("a relation that repeats a kind is not told apart")
	}
	if len(then.before) != 2 || len(first.after) != 2 {
		t.Errorf("%d relations before, %d after, want 2", len(then.before), len(first.after))
	}
}
