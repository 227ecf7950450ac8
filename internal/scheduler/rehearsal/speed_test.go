package rehearsal_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
)

var (
	program = flag.String("ha", "", "the ha binary, to be started for each case by BenchmarkBesideReference and BenchmarkProcesses")
	files   = flag.String("cibs", "", "a directory with further CIB files for BenchmarkBesideReference")
)

// BenchmarkBesideReference schedules the same CIBs with crm_simulate and with
// ours, side by side, and prints processor times; run it with -benchtime 1x.
func BenchmarkBesideReference(t *testing.B) {
	reference, err := exec.LookPath("crm_simulate")
	if err != nil {
		t.Skip("crm_simulate is not installed")
	}
	dir := casesDir(t)
	var theirs, ours, started, slowest time.Duration
	suite := readCases(t, dir)
	for _, c := range suite {
		name := filepath.Join(dir, "xml", c.Name+".xml")
		theirs += childTime(reference, "--xml-file", name, "--simulate", "--quiet")
		now, err := time.Parse(time.RFC3339, c.Time)
		if err != nil {
			t.Fatal(err)
		}
		ours += scheduleFile(t, name, now)
		if *program != "" {
			took := childTime(*program, "simulate", "--format", "judge", "--at", c.Time, name)
			started += took
			slowest = max(slowest, took)
		}
	}
	t.Logf("%d recorded cases: crm_simulate %v, ours in one process %v: %.0f times faster", len(suite), theirs, ours, float64(theirs)/float64(ours))
	if *program != "" {
		t.Logf("ha started once a case: %v on average, %v at most", started/time.Duration(len(suite)), slowest)
	}
	t.ReportMetric(float64(theirs)/float64(ours), "times-faster")
	if *files == "" {
		return
	}
	large, err := filepath.Glob(filepath.Join(*files, "*.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range large {
		slow := childTime(reference, "--xml-file", name, "--simulate", "--quiet")
		fast := scheduleFile(t, name, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
		t.Logf("%s: crm_simulate %v, ours with parsing %v: %.0f times faster", filepath.Base(name), slow, fast, float64(slow)/float64(fast))
	}
}

// BenchmarkProcesses starts ha for every recorded case as often as -benchtime says
// (20x), and prints what a process takes, by the clock and of processors.
func BenchmarkProcesses(b *testing.B) {
	if *program == "" {
		b.Skip("name the program by -ha")
	}
	dir := casesDir(b)
	var all []processTimes
	for _, c := range readCases(b, dir) {
		p := processTimes{name: c.Name}
		for range b.N {
			cmd := exec.Command(*program, "simulate", "--format", "judge", "--at", c.Time, filepath.Join(dir, "xml", c.Name+".xml"))
			began := time.Now()
			if err := cmd.Run(); err != nil {
				b.Fatalf("%s: %v", c.Name, err)
			}
			p.clock = append(p.clock, time.Since(began))
			p.processor = append(p.processor, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
		slices.Sort(p.clock)
		slices.Sort(p.processor)
		all = append(all, p)
	}
	const limit, figure = 15 * time.Millisecond, 10 * time.Microsecond
	var sum, bestSum, processorSum time.Duration
	over, bestOver := 0, 0
	for _, p := range all {
		sum += p.median()
		bestSum += p.clock[0]
		processorSum += p.processor[0]
		if p.median() >= limit {
			over++
		}
		if p.clock[0] >= limit {
			bestOver++
		}
	}
	n := time.Duration(len(all))
	b.Logf("%d cases, %d times each: best %v, median %v, processor (best) %v on average; %v or more: %d by the best, %d by the median",
		n, b.N, (bestSum / n).Round(figure), (sum / n).Round(figure), (processorSum / n).Round(figure), limit, bestOver, over)
	slices.SortFunc(all, func(p, q processTimes) int { return cmp.Compare(q.median(), p.median()) })
	for _, p := range all[:min(len(all), 5)] {
		b.Logf("%s: best %v, median %v, processor (best) %v", p.name, p.clock[0].Round(figure), p.median().Round(figure), p.processor[0].Round(figure))
	}
}

// processTimes are what the runs of one case took, sorted.
type processTimes struct {
	name             string
	clock, processor []time.Duration
}

func (p *processTimes) median() time.Duration { return p.clock[len(p.clock)/2] }

// childTime runs a program and returns the processor time it took, whether it
// succeeded or not.
func childTime(name string, args ...string) time.Duration {
	cmd := exec.Command(name, args...)
	_ = cmd.Run() // crm_simulate aborts on some cases at the end, after scheduling
	if cmd.ProcessState == nil {
		return 0
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// scheduleFile returns the processor time for reading and scheduling a CIB.
func scheduleFile(t testing.TB, name string, now time.Time) time.Duration {
	t.Helper()
	before := ownTime()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cib, err := pacemaker.Parse(string(data), pacemaker.Options{Lenient: true})
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	if _, err := scheduler.Schedule(&cib.Config, &cib.Status, now, scheduler.Options{}); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return ownTime() - before
}

func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
