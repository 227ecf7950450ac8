package pacemaker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"linuxha/internal/cluster"
)

// What is written reads back as the same model, but for ids that were made.
func TestWriteReadsBack(t *testing.T) {
	made := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".ID" || name == ".Key" || name == ".Extra" || name == ".Alerts" || name == ".ACLRoles" || name == ".ACLTargets"
	}, cmp.Ignore())
	for _, path := range caseFiles(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".xml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, err := Parse(string(data), Options{Lenient: true})
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(string(Format(&first.Config, &first.Status)), Options{Lenient: true})
			if err != nil {
				t.Fatalf("what was written is refused: %v", err)
			}
			if d := cmp.Diff(first.Config, again.Config, made, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(cluster.Config{})); d != "" {
				t.Errorf("configuration:\n%s", d)
			}
			if d := cmp.Diff(first.Status, again.Status, made, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("status:\n%s", d)
			}
		})
	}
}
