//go:build !mutants

package sim

import (
	"os"
	"os/exec"
	"testing"
)

// TestQuickMutants: some deliberate breaks of safety rules, built in by their tag,
// are found within a few seeds. All are in mutants_test.go.
func TestQuickMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the tests anew")
	}
	gocmd, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not in PATH: it is needed to build with the tag mutants")
	}
	cmd := exec.Command(gocmd, "test", "-tags", "mutants", "-count=1", "-run", "^TestMutants$", ".")
	cmd.Env = append(os.Environ(), "HA_SIM_QUICK=1", "HA_SIM_SEEDS=60")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
