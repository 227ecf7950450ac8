package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linuxha/internal/api"
)

// MinRuns is the least number of runs that a measurement is made of.
const MinRuns = 7

// Measurement is what was measured of one thing.
type Measurement struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Samples []float64 `json:"samples"` // in the order of the runs
	Median  float64   `json:"median"`
	P90     float64   `json:"p90"`
	Max     float64   `json:"max"`
	Goal    float64   `json:"goal,omitempty"` // for the median; 0: none
}

// newMeasurement is of times in milliseconds.
func newMeasurement(name string, goal time.Duration, samples []float64) Measurement {
	sorted := slices.Sorted(slices.Values(samples))
	rank := func(share float64) float64 { // nearest rank
		return sorted[min(len(sorted)-1, max(0, int(math.Ceil(share*float64(len(sorted))))-1))]
	}
	return Measurement{
		Name: name, Unit: "ms", Samples: samples, Goal: float64(goal.Microseconds()) / 1000,
		Median: rank(0.5), P90: rank(0.9), Max: sorted[len(sorted)-1],
	}
}

// Bench is a whole measurement of failover on this machine.
type Bench struct {
	Filesystem   string        `json:"filesystem"` // that the nodes' state is on
	Load         string        `json:"load"`       // of the machine before, over 1, 5 and 15 minutes
	Measurements []Measurement `json:"measurements"`
}

// RunBench measures in labs of that name, each thing so many times, with the
// leader and another node in turn. tell gets each measurement when it is done.
func RunBench(ctx context.Context, name, binary string, runs int, say func(string), tell func(Measurement)) (b Bench, err error) {
	if runs < MinRuns {
		return b, fmt.Errorf("%d runs: want at least %d", runs, MinRuns)
	}
	record := func(m Measurement) {
		b.Measurements = append(b.Measurements, m)
		tell(m)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		b.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	spec := Spec{Name: name, Nodes: 3, Links: 2, Temporary: true}

	say("forming clusters")
	var starts, syncs []float64
	for range runs {
		took, err := timeToService(ctx, spec, binary, func(l *Lab) error {
			b.Filesystem = filesystem(l.Dir())
			if syncs == nil {
				var err error
				syncs, err = measureSync(l.Dir())
				return err
			}
			return nil
		})
		if err != nil {
			return b, fmt.Errorf("form a cluster: %w", err)
		}
		starts = append(starts, took)
	}
	record(newMeasurement("write and fsync of 4 KiB", 0, syncs))
	record(newMeasurement("nothing to a running service, 3 nodes", 3*time.Second, starts))

	for _, preset := range []struct {
		detection string
		goal      time.Duration
	}{{"normal", 1200 * time.Millisecond}, {"fast", 300 * time.Millisecond}} {
		if err := benchCluster(ctx, spec, binary, runs, preset.detection, preset.goal, say, record); err != nil {
			return b, err
		}
	}
	return b, nil
}

// timeToService measures from nothing to an answering service, in milliseconds.
func timeToService(ctx context.Context, spec Spec, binary string, look func(*Lab) error) (ms float64, err error) {
	begun := time.Now()
	l, err := Up(ctx, spec, binary)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if err := l.formWithService(ctx, "normal"); err != nil {
		return 0, err
	}
	p, err := l.StartProbe(ctx, Client, ServiceTarget, ProbeHTTP, 0)
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	if err := p.awaitAnswers(ctx, 1); err != nil {
		return 0, err
	}
	ms = float64(time.Since(begun).Microseconds()) / 1000
	return ms, look(l)
}

// formWithService forms the cluster and has it start an address and a server
// under ha:process.
func (l *Lab) formWithService(ctx context.Context, detection string) error {
	if err := l.Form(ctx, detection); err != nil {
		return err
	}
	return l.Apply(ctx, l.BaseConfig(detection)+ServiceConfig(ProcessServer))
}

func benchCluster(ctx context.Context, spec Spec, binary string, runs int, detection string, goal time.Duration, say func(string), record func(Measurement)) (err error) {
	say("measuring with detection " + detection)
	l, err := Up(ctx, spec, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if err := l.formWithService(ctx, detection); err != nil {
		return err
	}
	if err := l.measureCost(ctx, detection, record); err != nil {
		return err
	}
	series := []struct {
		name string
		goal time.Duration
		act  func(active string) error
		done func(*api.Status, string) bool
	}{
		{"host crash, fenced, served again", goal, l.Crash, moved},
		{"all links of a host cut", 0, func(active string) error { return l.Cut(Cut{Host: active, Direction: Both}) }, moved},
		{"server process killed", 60 * time.Millisecond, func(active string) error { return l.killServer(ctx, active) },
			func(s *api.Status, _ string) bool { return ServedBy(s) != "" }},
		{"planned move", 100 * time.Millisecond, func(active string) error {
			_, err := l.ha(ctx, active, "resource", "move", serviceGroup)
			return err
		}, moved},
	}
	for _, s := range series {
		var samples []float64
		for run := range runs {
			onLeader := run%2 == 0
			if err := l.placeService(ctx, onLeader); err != nil {
				return fmt.Errorf("%s, run %d: %w", s.name, run+1, err)
			}
			o, err := l.measure(ctx, s.act, s.done)
			if err != nil {
				return fmt.Errorf("%s, run %d: %w", s.name, run+1, err)
			}
			if o.Leader != onLeader {
				return fmt.Errorf("%s, run %d: the leader moved meanwhile", s.name, run+1)
			}
			if err := l.Heal(""); err != nil {
				return err
			}
			samples = append(samples, o.OutageMS)
		}
		record(newMeasurement(detection+": "+s.name, s.goal, samples))
	}
	return nil
}

// costTime is how long the cost of a cluster at rest is measured.
const costTime = 10 * time.Second

// measureCost records what a node at rest costs: processor time of all of the
// host's processes, the service's among them, and memory of the daemon.
func (l *Lab) measureCost(ctx context.Context, detection string, record func(Measurement)) error {
	if _, err := l.Await(ctx, serviceTimeout, "every node is online and the service runs", func(s *api.Status) bool {
		return l.AllOnline(s) && ServedBy(s) != ""
	}); err != nil {
		return err
	}
	used := func() (all []float64, err error) { // seconds of processor time of each node
		for _, node := range l.Nodes() {
			text, _, err := l.Output(ctx, node, "cat", "/sys/fs/cgroup/cpu.stat")
			if err != nil {
				return nil, err
			}
			var microseconds float64
			if _, err := fmt.Sscanf(text, "usage_usec %g", &microseconds); err != nil {
				return nil, fmt.Errorf("read the processor time of %s: %w", node, err)
			}
			all = append(all, microseconds/1e6)
		}
		return all, nil
	}
	if _, err := os.Stat(l.dir.cgroupFile()); err == nil {
		before, err := used()
		begun := time.Now()
		if err != nil {
			return err
		}
		if err := pause(ctx, costTime); err != nil {
			return err
		}
		after, err := used()
		if err != nil {
			return err
		}
		for i := range after {
			after[i] = (after[i] - before[i]) / time.Since(begun).Seconds() * 100
		}
		m := newMeasurement(detection+": processor time of a node at rest", 0, after)
		m.Unit = "% of a core"
		record(m)
	}
	var memory []float64
	for _, node := range l.Nodes() {
		text, _, err := l.Output(ctx, node, "sh", "-c",
			`for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = ha ] && grep -q daemon $p/cmdline && grep ^Pss: $p/smaps_rollup; done 2>/dev/null; :`)
		var kilobytes float64
		if _, scanErr := fmt.Sscanf(strings.TrimSpace(text), "Pss: %g kB", &kilobytes); err != nil || scanErr != nil {
			return fmt.Errorf("read the memory of the daemon on %s: %w", node, errors.Join(err, scanErr))
		}
		memory = append(memory, kilobytes/1024)
	}
	m := newMeasurement(detection+": memory (PSS) of the daemon", 0, memory)
	m.Unit = "MiB"
	record(m)
	return nil
}

// placeService has the service run on the leader, or on another node.
func (l *Lab) placeService(ctx context.Context, onLeader bool) error {
	wanted := func(s *api.Status) bool { return (ServedBy(s) == s.Leader) == onLeader }
	status, err := l.Await(ctx, serviceTimeout, "every node is online and the service runs", func(s *api.Status) bool {
		return l.AllOnline(s) && ServedBy(s) != ""
	})
	if err != nil || wanted(status) {
		return err
	}
	to := status.Leader
	if !onLeader {
		for _, node := range l.Nodes() {
			if node != status.Leader {
				to = node
			}
		}
	}
	if _, err := l.ha(ctx, to, "resource", "move", serviceGroup, to); err != nil {
		return err
	}
	_, err = l.Await(ctx, serviceTimeout, "the service runs on "+to, func(s *api.Status) bool { return ServedBy(s) == to })
	return err
}

// measureSync times small synced writes in a directory, in milliseconds.
func measureSync(dir string) (samples []float64, err error) {
	file, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return nil, fmt.Errorf("measure fsync: %w", err)
	}
	defer file.Close()
	for range 101 {
		begun := time.Now()
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return nil, fmt.Errorf("measure fsync: %w", err)
		}
		if err := file.Sync(); err != nil {
			return nil, fmt.Errorf("measure fsync: %w", err)
		}
		samples = append(samples, float64(time.Since(begun).Microseconds())/1000)
	}
	return samples, nil
}
