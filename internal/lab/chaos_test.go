package lab_test

import (
	"context"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// The guest that migrates while chaos is thrown really moves live.
func TestChaosGuestMigrates(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 1})
	ctx := context.Background()
	must(t, l.Form(ctx, "normal"))
	moved := make(chan error, 1)
	go func() {
		_, err := l.Await(ctx, patience, "the guest runs", func(s *api.Status) bool { return lab.PlaceOf(s, "guest") != "" })
		if err == nil {
			_, _, err = l.Output(ctx, "host1", "ha", "resource", "move", "guest")
		}
		moved <- err
	}()
	report, err := l.Chaos(ctx, lab.ChaosOptions{Seed: 1, For: 8 * time.Second, Detection: "normal", Calm: true}, func(string) {})
	must(t, err)
	must(t, <-moved)
	if report.Migrations != 1 || !report.Clean() {
		t.Errorf("after a move: %+v", report)
	}
}

// The checks of a chaos run see what they are there for: a second owner started
// behind the cluster's back, and a line taken out of the ledger.
func TestChaosSeesWhatIsPlanted(t *testing.T) {
	for _, plant := range []string{"", "double-owner", "lost-write"} {
		t.Run("plant "+plant, func(t *testing.T) {
			l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 1})
			ctx := context.Background()
			if err := l.Form(ctx, "normal"); err != nil {
				t.Fatal(err)
			}
			// No faults: this is about the checks.
			report, err := l.Chaos(ctx, lab.ChaosOptions{Seed: 1, For: 2 * time.Second, Detection: "normal", Plant: plant, Calm: true}, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if report.Acknowledged == 0 {
				t.Error("no write was acknowledged")
			}
			if saw := len(report.Violations) > 0; saw != (plant == "double-owner") {
				t.Errorf("violations: %+v", report.Violations)
			}
			if saw := len(report.Lost) > 0; saw != (plant == "lost-write") {
				t.Errorf("lost: %v", report.Lost)
			}
			if report.Unrecovered != "" {
				t.Errorf("unrecovered: %s", report.Unrecovered)
			}
		})
	}
}
