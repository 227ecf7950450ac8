package rehearsal_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"linuxha/internal/cibgen"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
	"linuxha/internal/scheduler/rehearsal"
)

// TestObserverSharesWhatIsTheSame: what has placed resources, and so changed them, is
// used again to read the status afterwards; that must see what a new reading sees.
func TestObserverSharesWhatIsTheSame(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for seed := range uint64(400) {
		document := cibgen.Generate(seed, cibgen.Limits{Nodes: 8, Resources: 25}).Document.Bytes()
		cib, err := pacemaker.Parse(string(document), pacemaker.Options{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		plan, observer, err := scheduler.Decide(&cib.Config, &cib.Status, now, scheduler.Options{})
		if err != nil {
			t.Fatal(err)
		}
		after := rehearsal.Run(&cib.Status, plan, now, nil).Status
		shared, fresh := observer.Observe(after), scheduler.Observe(&cib.Config, after, now)
		if !reflect.DeepEqual(shared, fresh) {
			t.Errorf("seed %d: the observer sees\n%s\na new reading\n%s", seed, describe(shared), describe(fresh))
		}
	}
}

func describe(o *scheduler.Observation) (text string) {
	for _, n := range o.Nodes {
		text += fmt.Sprintf("%+v\n", n)
	}
	for _, a := range o.Active {
		text += fmt.Sprintf("%+v\n", a)
	}
	return text
}
