package rehearsal_test

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

// mindsLeftOut are the recorded cases that turn on what is left out, and said to be.
var mindsLeftOut = map[string]string{
	"intervals":    `a time-out of "bad", which Pacemaker takes for 0`,
	"value-source": "a rule that compares with a meta-attribute of the administrator's own",
}

// TestAdoptedConfigurationsDecideTheSame: what a recorded case's configuration
// becomes in our language, read from its text, has the same plan, outcome and
// scores with the recorded status as the case itself.
func TestAdoptedConfigurationsDecideTheSame(t *testing.T) {
	dir := casesDir(t)
	const least = 439 // a ratchet: the others have agents that are paths, or a monitor twice
	same, toMend := 0, 0
	for _, c := range readCases(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, "xml", c.Name+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
		if err != nil {
			t.Fatal(err)
		}
		text, remarks := config.Adopt(&cib.Config, cmp.Or(cib.Config.Name, "c"))
		adopted, err := config.Parse(config.Source{Name: c.Name, Text: text})
		if mend := slices.ContainsFunc(remarks, func(r config.Remark) bool { return r.Kind == config.ToMend }); mend != (err != nil) {
			t.Errorf("%s: the remarks are %v, and reading the text says: %v", c.Name, remarks, err)
			continue
		} else if mend {
			t.Log(c.Name, remarks)
			toMend++
			continue
		}
		for i := range adopted.Nodes { // the recorded status knows nodes by their ids
			adopted.Nodes[i].ID = cib.Config.Nodes[i].ID
		}
		cib.Status.Nodes = slices.DeleteFunc(cib.Status.Nodes, func(s cluster.NodeStatus) bool { // with us all that there is counts
			return !s.Remote && !slices.ContainsFunc(cib.Config.Nodes, func(n cluster.Node) bool { return n.Name == s.Name })
		})
		if slices.ContainsFunc(remarks, func(r config.Remark) bool {
			return r.Kind == config.Differs && strings.HasPrefix(r.Text, "fencing is on")
		}) {
			adopted.Origin = cluster.OriginCIB // that difference is meant
		}
		now, err := time.Parse(time.RFC3339, c.Time)
		if err != nil {
			t.Fatal(err)
		}
		cib.Status.HaveWatchdog = cluster.IsTrue(cib.Config.Option("have-watchdog"))
		want, got := decisions(t, &cib.Config, cib, now), decisions(t, adopted, cib, now)
		if why := mindsLeftOut[c.Name]; why != "" {
			if want == got {
				t.Errorf("%s: decides the same in spite of %s", c.Name, why)
			}
			continue
		}
		if want != got {
			t.Errorf("%s: with remarks %v (-recorded +adopted):\n%s", c.Name, remarks, gocmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
			continue
		}
		same++
	}
	t.Logf("%d decide the same, %d are to be mended first", same, toMend)
	if same < least {
		t.Errorf("%d decide the same; it were %d", same, least)
	}
}

func decisions(t *testing.T, cfg *cluster.Config, cib *pacemaker.CIB, now time.Time) string {
	t.Helper()
	var out bytes.Buffer
	if err := rehearsal.WriteJudge(&out, cfg, &cib.Status, now); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
