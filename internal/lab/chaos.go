package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linuxha/internal/api"
)

// ChaosOptions say how a chaos run goes.
type ChaosOptions struct {
	Seed      uint64
	For       time.Duration // of throwing faults
	Detection string
	// Plant makes a fault in the service itself, to show that the checks see it:
	// "double-owner" or "lost-write".
	Plant string
	// Calm: no faults are thrown.
	Calm bool
}

// ChaosReport is what came of a chaos run. It is clean if Lost and Violations are
// empty and Unrecovered is "".
type ChaosReport struct {
	Nodes        int            `json:"nodes"`
	SetUp        string         `json:"set_up"` // what fences, and whether there is a witness
	Detection    string         `json:"detection"`
	Seed         uint64         `json:"seed"`
	Minutes      float64        `json:"minutes"`
	Faults       map[string]int `json:"faults"`
	FaultsTotal  int            `json:"faults_total"`
	Migrations   int            `json:"migrations"`   // of the guest that came to an end
	Acknowledged int            `json:"acknowledged"` // writes
	Lost         []string       `json:"lost"`         // acknowledged and not in the ledger
	Violations   []Violation    `json:"violations"`
	Samples      int            `json:"samples"`           // of ownership
	SlowestMS    float64        `json:"slowest_sample_ms"` // longest time between two of them
	Unrecovered  string         `json:"unrecovered,omitempty"`

	Availability float64 `json:"availability"`     // part of the time without an outage, 0..1
	Outages      int     `json:"outages"`          // gaps of more than outageGap between two acknowledgements
	LongestMS    float64 `json:"longest_ms"`       // outage
	LongestAt    float64 `json:"longest_at"`       // seconds after the first fault, when it began
	Rate         float64 `json:"rate"`             // acknowledged writes a second outside outages
	RecoveryMS   float64 `json:"longest_recovery"` // from the end of a fault to every node being back
}

// Clean tells whether nothing went wrong.
func (r *ChaosReport) Clean() bool {
	return len(r.Lost) == 0 && len(r.Violations) == 0 && r.Unrecovered == ""
}

// outageGap is how long nothing is acknowledged before it counts as an outage.
const outageGap = 250 * time.Millisecond

// recoveryTime bounds how long everything may take to be well after a fault.
const recoveryTime = 90 * time.Second

// chaosConfig is what the cluster runs meanwhile: the service, and a guest that
// migrates.
func (l *Lab) chaosConfig(detection string) string {
	return l.BaseConfig(detection) + ServiceConfig(LedgerServer) + guestConfig()
}

// Chaos throws faults at a formed cluster while a client writes through a service
// that it protects and a guest migrates, and checks that there never are two owners, that no
// acknowledged write is lost, and that all recovers. tell is told of each fault.
func (l *Lab) Chaos(ctx context.Context, o ChaosOptions, tell func(string)) (*ChaosReport, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go l.watchHosts(ctx)
	if err := l.Apply(ctx, l.chaosConfig(o.Detection)); err != nil {
		return nil, err
	}
	well := func(s *api.Status) bool {
		return l.AllOnline(s) && ServedBy(s) != "" && PlaceOf(s, guestResource) != ""
	}
	if _, err := l.Await(ctx, recoveryTime, "the service and the guest run", well); err != nil {
		return nil, err
	}
	owners := watchOwnership(ctx, l.SharedDir())
	writer, err := l.StartWriter(ctx)
	if err != nil {
		return nil, err
	}
	c := &chaos{
		lab: l, rand: rand.New(rand.NewPCG(o.Seed, 0xc4a05)), tell: tell, detection: o.Detection,
		report: &ChaosReport{Nodes: l.Spec.Nodes, SetUp: l.Spec.setUp(), Detection: o.Detection, Seed: o.Seed, Faults: map[string]int{}, Lost: []string{}},
	}
	begin := time.Now()
	if o.Plant == "double-owner" {
		if err := c.plantOwner(ctx); err != nil {
			return nil, err
		}
	}
	for time.Since(begin) < o.For && ctx.Err() == nil && c.report.Unrecovered == "" {
		if o.Calm {
			_ = pause(ctx, 100*time.Millisecond) // ctx is looked at by the loop
		} else {
			c.round(ctx)
		}
		from := time.Now()
		if err := c.lab.mend(); err != nil {
			return nil, err
		}
		// A node that has just been reached again may show for a moment what was before:
		// the client has to be served, too.
		served := writer.acknowledged()
		wellAndServed := func(s *api.Status) bool { return well(s) && writer.acknowledged() > served }
		if _, err := l.await(ctx, recoveryTime, 200*time.Millisecond, "all is well", wellAndServed); err != nil {
			if ctx.Err() != nil {
				break
			}
			c.report.Unrecovered = err.Error()
		}
		c.report.RecoveryMS = max(c.report.RecoveryMS, float64(time.Since(from).Microseconds())/1000)
	}
	took := time.Since(begin)
	lines, times := writer.Stop()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if o.Plant == "lost-write" && len(lines) > 0 {
		if err := c.plantLoss(lines[len(lines)/2]); err != nil {
			return nil, err
		}
	}
	r := c.report
	r.Minutes = took.Minutes()
	r.Acknowledged = len(lines)
	if r.Lost, err = l.Lost(lines); err != nil {
		return nil, err
	}
	if r.Migrations, err = l.migrations(); err != nil {
		return nil, err
	}
	var slowest time.Duration
	r.Violations, r.Samples, slowest = owners.found()
	r.SlowestMS = float64(slowest.Microseconds()) / 1000
	r.availability(begin, took, times)
	return r, nil
}

// availability works out outages from the times of acknowledgements.
func (r *ChaosReport) availability(begin time.Time, took time.Duration, times []time.Time) {
	var out time.Duration
	last := begin
	for _, t := range append(times, begin.Add(took)) {
		if gap := t.Sub(last); gap > outageGap {
			out += gap
			r.Outages++
			if ms := float64(gap.Microseconds()) / 1000; ms > r.LongestMS {
				r.LongestMS, r.LongestAt = ms, last.Sub(begin).Seconds()
			}
		}
		last = t
	}
	r.Availability = 1 - out.Seconds()/took.Seconds()
	r.Rate = float64(len(times)) / (took - out).Seconds()
}

// migrations counts the guest's migrations that came to an end.
func (l *Lab) migrations() (int, error) {
	text, err := os.ReadFile(filepath.Join(l.SharedDir(), migrationsFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count migrations: %w", err)
	}
	return strings.Count(string(text), "\n"), nil
}
