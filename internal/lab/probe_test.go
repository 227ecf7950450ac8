package lab

import (
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name      string
		successes []time.Duration
		end       time.Duration
		want      time.Duration
		began     time.Duration
	}{
		{"steady", []time.Duration{1 * ms, 6 * ms, 11 * ms}, 12 * ms, 5 * ms, 1 * ms},
		{"one outage", []time.Duration{1 * ms, 6 * ms, 306 * ms, 311 * ms}, 312 * ms, 300 * ms, 6 * ms},
		{"answers out of order", []time.Duration{1 * ms, 30 * ms, 10 * ms, 35 * ms}, 36 * ms, 29 * ms, 1 * ms},
		{"never back", []time.Duration{1 * ms, 6 * ms}, 1000 * ms, 994 * ms, 6 * ms},
		{"never there", nil, 1000 * ms, 1000 * ms, 0},
		{"attempts under way at the end are no outage", []time.Duration{1 * ms, 6 * ms}, 40 * ms, 5 * ms, 1 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var g gaps
			for _, at := range test.successes {
				g.success(at)
			}
			got := g.result(test.end)
			if got.Gap() != test.want || time.Duration(got.GapBegan*float64(time.Second)) != test.began {
				t.Errorf("gap %v from %vs, want %v from %v", got.Gap(), got.GapBegan, test.want, test.began)
			}
		})
	}
}
