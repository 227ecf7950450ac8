package sim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSeeds runs 500 seeds of ten minutes. HA_SIM_SEEDS, HA_SIM_FIRST and
// HA_SIM_MINUTES change that.
func TestSeeds(t *testing.T) {
	seeds, first, minutes := 500, uint64(1), 10.0
	if testing.Short() {
		seeds, minutes = 10, 2
	}
	if n, err := strconv.Atoi(os.Getenv("HA_SIM_SEEDS")); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HA_SIM_FIRST"), 10, 64); err == nil {
		first = n
	}
	if n, err := strconv.ParseFloat(os.Getenv("HA_SIM_MINUTES"), 64); err == nil {
		minutes = n
	}
	s := Many(first, seeds, Options{Length: time.Duration(minutes * float64(time.Minute))}, nil)
	t.Logf("%d seeds, %v simulated in %v, %d events, recovery %+v", s.Seeds, s.Simulated, s.Took, s.Events, s.Recovery)
	for _, r := range s.Failures {
		t.Errorf("seed %d: %v (see it: ha sim --seed %d --minutes %v --trace)", r.Shape.Seed, r.Breaches[0], r.Shape.Seed, minutes)
	}
	if rare := s.Rare(); s.Seeds >= 200 && minutes >= 10 && len(rare) > 0 {
		t.Errorf("the worlds are not hostile enough: less than once in 20 seeds: %q", rare)
	}
	if s.Stats["write acknowledged"] == 0 || s.Stats["operation start"] == 0 || s.Stats["fence device called"] == 0 {
		t.Errorf("hardly anything happened: %v", s.Stats)
	}
}

// TestDeterminism: two runs of one seed, in separate processes with one and with
// two processors, give the same Ready, byte for byte, at every step of every core.
func TestDeterminism(t *testing.T) {
	const seed = 3
	if os.Getenv("HA_SIM_READIES") != "" {
		sum, count := readies(seed)
		fmt.Printf("READIES %x %d\n", sum, count)
		return
	}
	var lines []string
	for _, procs := range []string{"1", "2"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDeterminism$", "-test.count=1")
		cmd.Env = append(os.Environ(), "HA_SIM_READIES=1", "GOMAXPROCS="+procs)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("GOMAXPROCS=%s: %v\n%s", procs, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "READIES ") {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) != 2 || lines[0] != lines[1] {
		t.Fatalf("the runs differ: %q", lines)
	}
	t.Log(lines[0])
}

// readies condenses every Ready of a run.
func readies(seed uint64) (sum []byte, count int) {
	var h hash.Hash = sha256.New()
	Run(seed, Options{Length: time.Minute, Readies: func(data []byte) {
		h.Write(data)
		count++
	}})
	return h.Sum(nil), count
}

// TestTraceIsTheSame: a run that is watched goes as one that is not.
func TestTraceIsTheSame(t *testing.T) {
	var trace bytes.Buffer
	watched := Run(5, Options{Length: time.Minute, Trace: &trace})
	alone := Run(5, Options{Length: time.Minute})
	if watched.Events != alone.Events || trace.Len() == 0 {
		t.Fatalf("%d events watched, %d alone, %d bytes of trace", watched.Events, alone.Events, trace.Len())
	}
}

// BenchmarkRun tells what a simulated minute costs. With -cpuprofile it shows why.
func BenchmarkRun(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	simulated, events := time.Duration(0), 0
	for seed := uint64(1); b.Loop(); seed++ {
		r := Run(seed, Options{Length: 10 * time.Minute})
		simulated += r.Simulated
		events += r.Events
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/simulated.Minutes(), "ms/simulated-minute")
	b.ReportMetric(float64(events)/simulated.Minutes(), "events/simulated-minute")
}
