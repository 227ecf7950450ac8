package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

var update = flag.Bool("update", false, "record the present agreement in testdata/agreement.json")

// casesDir finds the recorded problems of Pacemaker's regression suite, which lie
// beside the repository, and skips the test where they do not.
func casesDir(t testing.TB) string {
	t.Helper()
	shared := os.Getenv("HA_SHARED")
	if shared == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
		}
		shared = filepath.Join(dir, "..", "shared")
	}
	dir := filepath.Join(shared, "pacemaker-scheduler")
	if _, err := os.Stat(filepath.Join(dir, "cases.json")); err != nil {
		t.Skip("the recorded cases are not here; set HA_SHARED to the directory that has pacemaker-scheduler")
	}
	return dir
}

type recordedCase struct {
	Name string `json:"name"`
	Time string `json:"time"`
	Tier int    `json:"tier"`
}

func readCases(t testing.TB, dir string) []recordedCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []recordedCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func decide(dir string, c recordedCase) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, "xml", c.Name+".xml"))
	if err != nil {
		return nil, err
	}
	now, err := time.Parse(time.RFC3339, c.Time)
	if err != nil {
		return nil, err
	}
	cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = rehearsal.WriteJudge(&out, &cib.Config, &cib.Status, now)
	return out.Bytes(), err
}

// buildJudge builds the program that compares decisions with the recorded ones.
func buildJudge(t *testing.T, dir string) string {
	t.Helper()
	judge := filepath.Join(t.TempDir(), "judge")
	build := exec.Command("go", "build", "-o", judge, ".")
	build.Dir = filepath.Join(dir, "judge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the judge: %v\n%s", err, out)
	}
	return judge
}

// TestAgreementWithPacemaker decides every recorded case and has the judge that
// comes with them compare. The number of cases that agree, by level, must not
// be lower than what testdata/agreement.json records; -update records more.
func TestAgreementWithPacemaker(t *testing.T) {
	dir := casesDir(t)
	judge := buildJudge(t, dir)
	decided := t.TempDir()
	for _, c := range readCases(t, dir) {
		out, err := decide(dir, c)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(decided, c.Name+".json"), out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The judge's exit status tells whether all pass; the counts tell more.
	report, _ := exec.Command(judge, "-data", dir, "-from", decided, "-list").CombinedOutput()
	got, err := readReport(string(report))
	if err != nil {
		t.Fatalf("%v in the judge's report:\n%s", err, report)
	}
	file := filepath.Join("testdata", "agreement.json")
	if *update {
		raw, _ := json.MarshalIndent(got, "", "  ")
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	lower := false
	for _, level := range slices.Sorted(maps.Keys(want)) {
		switch {
		case got[level] < want[level]:
			lower = true
			t.Errorf("%s: %d cases agree, %d did", level, got[level], want[level])
		case got[level] > want[level]:
			t.Logf("%s: %d cases agree, %d did: record it with -update", level, got[level], want[level])
		}
	}
	if lower {
		t.Logf("%s", report)
	}
}

// readReport takes the counts of all cases by level out of the judge's table.
func readReport(report string) (map[string]int, error) {
	columns := []string{"cases", "PASS", "L1", "L2", "L2p", "L3", "L1n", "L2c", "L2i", "L3x", "S", "P"}
	line := regexp.MustCompile(`(?m)^all .*$`).FindString(report)
	fields := strings.Fields(strings.ReplaceAll(line, "|", " "))
	if len(fields) < len(columns)+1 {
		return nil, fmt.Errorf("no total")
	}
	counts := map[string]int{}
	for i, name := range columns {
		text, _, _ := strings.Cut(fields[i+1], "/")
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		counts[name] = n
	}
	return counts, nil
}

// TestDecisionsAreRepeatable: the same problem gives the same bytes.
func TestDecisionsAreRepeatable(t *testing.T) {
	dir := casesDir(t)
	for _, c := range readCases(t, dir) {
		first, err := decide(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decide(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Errorf("%s: two runs differ", c.Name)
		}
	}
}

// BenchmarkSuite reads and decides all recorded cases in one process.
func BenchmarkSuite(b *testing.B) {
	dir := casesDir(b)
	cases := readCases(b, dir)
	for b.Loop() {
		for _, c := range cases {
			if _, err := decide(dir, c); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(cases)), "µs/case")
}
