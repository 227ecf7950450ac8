package scheduler

import "testing"

func TestScoreAdd(t *testing.T) {
	for _, c := range []struct{ a, b, want score }{
		{1, 2, 3},
		{infinity, -infinity, -infinity},
		{-infinity, infinity, -infinity},
		{infinity, -5, infinity},
		{-infinity, 5, -infinity},
		{999_999, 5, infinity},
		{-999_999, -5, -infinity},
	} {
		if got := c.a.add(c.b); got != c.want {
			t.Errorf("%v + %v = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestScoreScale(t *testing.T) {
	for _, c := range []struct {
		factor float32
		s      score
		want   score
	}{
		{1, 100, 100},
		{0.5, 5, 3}, // half away from zero
		{0.5, -5, -3},
		{0.000001, 100, 1}, // never to zero
		{-0.000001, 100, -1},
		{0.000001, 0, 0},
		{1, -infinity, -infinity},
	} {
		if got := c.s.scale(c.factor); got != c.want {
			t.Errorf("%v × %v = %v, want %v", c.factor, c.s, got, c.want)
		}
	}
}

func TestParseScore(t *testing.T) {
	for _, c := range []struct {
		text string
		want score
	}{
		{"100", 100},
		{"  -7", -7},
		{"10.7", 10},
		{"INFINITY", infinity},
		{"+INFINITY", infinity},
		{"-INFINITY", -infinity},
		{"infinity", 42}, // exact case only
		{"", 42},
		{"x", 42},
		{"99999999999999999999", infinity},
		{"-99999999999999999999", -infinity},
	} {
		if got := parseScore(c.text, 42); got != c.want {
			t.Errorf("parseScore(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestNaturalOrder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		less bool
	}{
		{"node2", "node10", true},
		{"node10", "node2", false},
		{"A", "b", true},
		{"node", "node1", true},
		{"node01", "node1", false},
		{"node1", "node1", false},
	} {
		if got := naturalLess(c.a, c.b); got != c.less {
			t.Errorf("naturalLess(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

// TestBanStartsFromNode: in an opt-in cluster, what is unmanaged and active where
// nothing may start is not wanted there, as in crm_simulate's scores.
func TestBanStartsFromNode(t *testing.T) {
	leaving, staying := &node{index: 0, score: -infinity}, &node{index: 1}
	r := &resource{allowed: scoreVector{absent, absent}}
	rn := &run{nodes: []*node{leaving, staying}}
	rn.ban(r, leaving, infinity, "unmanaged")
	rn.ban(r, staying, infinity, "unmanaged")
	if r.allowed[0] != -infinity || r.allowed[1] != infinity {
		t.Errorf("scores %v", r.allowed)
	}
}
