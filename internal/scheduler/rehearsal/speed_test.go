package rehearsal_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
)

var (
	program = flag.String("ha", "", "the ha binary, to be started once a case by BenchmarkBesideReference")
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
