package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

// TestReplicasAreKnownBeforeOneRestarts: both containers of a bundle restart, with
// one allowed on a host. No container starts before the other is known not to be
// there, so neither it nor its content is stopped for that before it is known
// (SEMANTICS 18, 29). crm_simulate orders the same.
func TestReplicasAreKnownBeforeOneRestarts(t *testing.T) {
	data, err := os.ReadFile("testdata/bundle-restart.xml")
	if err != nil {
		t.Fatal(err)
	}
	cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := rehearsal.WriteJudge(&out, &cib.Config, &cib.Status, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	var plan struct {
		Actions []struct {
			ID                   int
			Task, Resource, Node string
		}
		Order [][2]int
	}
	if err := json.Unmarshal(out.Bytes(), &plan); err != nil {
		t.Fatal(err)
	}
	before := map[[2]string]bool{}
	name := map[int]string{}
	for _, a := range plan.Actions {
		name[a.ID] = fmt.Sprint(a.Task, " ", a.Resource, " ", a.Node)
	}
	for _, o := range plan.Order {
		before[[2]string{name[o[0]], name[o[1]]}] = true
	}
	for _, node := range []string{"n2", "n3"} {
		for _, stop := range []string{"stop B-docker-1 n2", "stop B-1 n2", "stop i B-1"} {
			if probe := "probe B-docker-0 " + node; !before[[2]string{probe, stop}] {
				t.Errorf("%q does not come before %q", probe, stop)
			}
		}
		if before[[2]string{"probe B-docker-0 " + node, "stop B-docker-0 n1"}] {
			t.Error("a container's own restart waits for its probe on", node)
		}
	}
}
