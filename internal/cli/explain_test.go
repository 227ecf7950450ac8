package cli

import (
	"bytes"
	"testing"

	"linuxha/internal/api"
	"linuxha/internal/scheduler"
)

// TestExplain: what runs, and what is stopped because somebody said so.
func TestExplain(t *testing.T) {
	s, local, now := exampleState(t)
	plan, err := scheduler.Schedule(s.SchedulerConfig(), s.Status(now), now, scheduler.Options{Scores: true, Reasons: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, id := range []string{"site", "spare"} {
		r, err := findResource(api.Derive(s, local, nil, now), id)
		if err != nil {
			t.Fatal(err)
		}
		printReasons(&out, style{}, r, reasonsOf(r, plan))
		out.WriteString("\n")
	}
	golden(t, "explain.txt", out.String())
}
