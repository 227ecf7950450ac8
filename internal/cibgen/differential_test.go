package cibgen

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
)

var (
	cases       = flag.Int("cases", 12, "random documents to compare with crm_simulate")
	firstSeed   = flag.Uint64("seed", 1, "seed of the first one")
	maxNodes    = flag.Int("nodes", 16, "most cluster nodes")
	maxRes      = flag.Int("resources", 60, "most primitives, about")
	keep        = flag.String("keep", "", "directory for documents on which the schedulers differ, made small")
	tries       = flag.Int("tries", 400, "most attempts at making one document smaller")
	update      = flag.Bool("update", false, "record what we decide on the agreed documents")
	documents   = flag.String("documents", "", "pattern of files to compare on, for TestDocuments")
	showAborted = flag.Bool("aborted", false, "say for which seeds crm_simulate gave up, and how")
	recorded    = flag.String("answers", "", "file that keeps crm_simulate's answers from one run to the next")
	table       = flag.Bool("features", false, "print how often each feature occurred")
)

// moment is when the documents are scheduled: after everything in them.
var moment = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// TestAgainstReference compares decisions on random documents with those of
// crm_simulate.
func TestAgainstReference(t *testing.T) {
	program, err := exec.LookPath("crm_simulate")
	if err != nil {
		t.Skip("crm_simulate is not installed")
	}
	sim := Simulator{Program: program, Dir: t.TempDir()}
	fast := sim
	fast.Unchecked = true
	reference := openAnswers(t, *recorded)
	counts := map[string]int{}
	compared, aborted, classified := 0, 0, 0
	var differing []uint64
	known := map[string][]uint64{} // seeds by class
	for seed := *firstSeed; seed < *firstSeed+uint64(*cases); seed++ {
		c := Generate(seed, Limits{*maxNodes, *maxRes})
		for f := range c.Features {
			counts[f]++
		}
		var result Comparison
		data := c.Document.Bytes()
		want, facts, err := reference.of(t, fast, data)
		if err == nil {
			result, err = against(c.Document, data, want, facts)
		}
		switch {
		case errors.Is(err, ErrAborted):
			aborted++
			if *showAborted {
				t.Logf("seed %d: %v", seed, err)
			}
			continue
		case err != nil:
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		compared++
		if len(result.Lines) == 0 {
			continue
		}
		if class := ClassOf(result); class != "" {
			known[class] = append(known[class], seed)
			classified++
			continue
		}
		differing = append(differing, seed)
		if *keep != "" {
			keepSmall(t, sim, seed, result)
		}
	}
	t.Logf("%d documents compared, %d differ without explanation, %d in known ways; crm_simulate gave up on %d more",
		compared, len(differing), classified, aborted)
	for _, class := range Classes {
		if seeds := known[class.Name]; len(seeds) > 0 {
			t.Logf("%7d  %s: %v", len(seeds), class.Name, seeds)
		}
	}
	if len(differing) > 0 {
		t.Logf("differing seeds: %v", differing)
	}
	if *table {
		t.Log("features:\n" + countTable(counts))
	}
	if allowed := compared / 200; len(differing)+classified > allowed {
		t.Errorf("%d of %d documents differ; at most %d may", len(differing)+classified, compared, allowed)
	}
}

// TestKnownDifferences keeps one small document for each way in which the old
// crm_simulate is known to differ; docs/DIFFERENCES.md argues each. One that does
// not differ any more has lost its place there.
func TestKnownDifferences(t *testing.T) {
	program, err := exec.LookPath("crm_simulate")
	if err != nil {
		t.Skip("crm_simulate is not installed")
	}
	files, err := filepath.Glob("testdata/differences/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal("no documents:", err)
	}
	sim := Simulator{Program: program, Dir: t.TempDir()}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".xml"), func(t *testing.T) {
			result, err := compareFile(sim, file)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Lines) == 0 {
				t.Error("the decisions agree")
			}
			name := strings.TrimSuffix(filepath.Base(file), ".xml")
			for _, class := range Classes {
				if class.Name == name && !class.Is(result) {
					t.Error("is not told apart")
				}
			}
			t.Log(strings.Join(result.Lines, "\n"))
		})
	}
}

// TestDocuments compares decisions on the documents that -documents names, such
// as those that an earlier run kept, and with -keep makes them smaller.
func TestDocuments(t *testing.T) {
	if *documents == "" {
		return // nothing was asked for
	}
	program, err := exec.LookPath("crm_simulate")
	if err != nil {
		t.Skip("crm_simulate is not installed")
	}
	files, err := filepath.Glob(*documents)
	if err != nil {
		t.Fatal(err)
	}
	sim := Simulator{Program: program, Dir: t.TempDir()}
	for _, file := range files {
		result, err := compareFile(sim, file)
		class := ClassOf(result)
		switch {
		case err != nil:
			t.Errorf("%s: %v", file, err)
		case len(result.Lines) == 0:
			t.Log(file, "agrees")
		case class != "":
			t.Log(file, class)
		default:
			t.Errorf("%s:\n%s", file, strings.Join(result.Lines, "\n"))
		}
		if err == nil && len(result.Lines) > 0 && *keep != "" {
			seed, _ := strconv.ParseUint(strings.TrimSuffix(filepath.Base(file), ".xml"), 10, 64) // or 0
			keepSmall(t, sim, seed, result)
		}
	}
}

// compareFile lets both schedulers decide on the document in a file.
func compareFile(sim Simulator, file string) (Comparison, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Comparison{}, err
	}
	document, err := Parse(data)
	if err != nil {
		return Comparison{}, fmt.Errorf("read %s: %w", file, err)
	}
	return compare(sim, document)
}

// compare lets both schedulers decide on one document.
func compare(sim Simulator, document *Element) (Comparison, error) {
	data := document.Bytes()
	want, facts, err := sim.Run(data, moment)
	if err != nil {
		return Comparison{}, err
	}
	return against(document, data, want, facts)
}

// against compares our decision on a document with the reference's.
func against(document *Element, data []byte, want Outcome, facts Facts) (Comparison, error) {
	got, err := safely(data, facts)
	if err != nil {
		return Comparison{}, err
	}
	got.State = withoutAccidents(got)
	lines := Difference(want.Actions, got.Actions)
	for _, line := range Difference(want.State, got.State) {
		lines = append(lines, "state "+line)
	}
	return Comparison{document, facts, want, lines}, nil
}

// safely turns a panic of ours into an error that names the place.
func safely(data []byte, facts Facts) (out Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return Ours(data, moment, facts)
}

// keepSmall reduces a document on which the schedulers differ and keeps it with
// the difference as a comment. What it keeps refers to nothing that is gone, and
// differs in nothing that the original does not, within the original's class, if any.
func keepSmall(t *testing.T, sim Simulator, seed uint64, original Comparison) {
	fast := sim
	fast.Unchecked = true
	small := Shrink(original.Document, *tries, func(e *Element) bool {
		if _, err := pacemaker.Parse(string(e.Bytes()), pacemaker.Options{}); err != nil {
			return false
		}
		fails := func(sim Simulator) bool {
			result, err := compare(sim, e)
			return err == nil && len(result.Lines) > 0 && ClassOf(result) == ClassOf(original) &&
				!slices.ContainsFunc(result.Lines, func(line string) bool { return !slices.Contains(original.Lines, line) })
		}
		return fails(fast) && fails(sim)
	})
	result, err := compare(sim, small)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("<!-- seed %d\n%s\n-->\n%s", seed, strings.ReplaceAll(strings.Join(result.Lines, "\n"), "--", "- -"), small.Bytes())
	if err := os.WriteFile(filepath.Join(*keep, fmt.Sprintf("%06d.xml", seed)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func countTable(counts map[string]int) string {
	var names []string
	for f := range counts {
		names = append(names, f)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, f := range names {
		fmt.Fprintf(&b, "%7d  %s\n", counts[f], f)
	}
	return b.String()
}
