package scheduler

import (
	"math"
	"testing"
	"time"

	"linuxha/internal/cluster"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "20": 20_000, "20s": 20_000, "1.9s": 1000, "5min": 300_000, " 3 m ": 180_000, "2h": 7_200_000,
		"1500ms": 1500, "2000us": 2, "PT1M30S": 90_000, "P1D": 86_400_000, "7d": 0, "soon": 0, "-5": 0, "10 SEC": 10_000,
	} {
		if got := parseDuration(text); got != want {
			t.Errorf("%q: %d ms, want %d", text, got, want)
		}
	}
	for text, want := range map[string]int64{
		"": 20_000, "bad": 20_000, "-5": 20_000, "1d": 20_000, "P1D": 20_000, "0": 0, "100us": 0, "1.9s": 1000, "30 s": 30_000,
		"2147483647ms": math.MaxInt32, "2147483648ms": 20_000,
	} {
		if got := parseTimeout(text); got != want {
			t.Errorf("timeout %q: %d ms, want %d", text, got, want)
		}
	}
	for ms, want := range map[int64]int64{0: 0, 1: 1, 499: 1, 1499: 1, 1500: 2} {
		if got := seconds(ms); got != want {
			t.Errorf("%d ms: %d s, want %d", ms, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2005-01-02":                "2005-01-02T00:00:00Z",
		"2005-001":                  "2005-01-01T00:00:00Z",
		"2005-W01-1":                "2005-01-03T00:00:00Z",
		"2005-1-2":                  "2005-01-02T00:00:00Z",
		"2005-07":                   "2005-01-07T00:00:00Z",
		"2005-366":                  "",
		"2005":                      "",
		"2005-W01":                  "",
		"2005-01-02 12:30":          "2005-01-02T12:30:00Z",
		"2005-01-02T12:30:15+02:00": "2005-01-02T10:30:15Z",
		"20050102T123015Z":          "2005-01-02T12:30:15Z",
		"2005-01-02 12:30:15 -01":   "2005-01-02T13:30:15Z",
		"12:30":                     "",
		"tomorrow":                  "",
		"2005-W60-1":                "",
	} {
		got := ""
		if at, ok := parseTime(text); ok {
			got = at.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestDateConditions(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC) // a Wednesday
	tests := []struct {
		name    string
		x       cluster.DateExpr
		holds   bool
		recheck string // when time alone may change the outcome
	}{
		{"range", cluster.DateExpr{Operation: "in_range", Start: "2026-07-01", End: "2026-07-02"}, true, "2026-07-02T00:00:01Z"},
		{"not yet", cluster.DateExpr{Operation: "in_range", Start: "2026-07-01 13:00"}, false, "2026-07-01T13:00:00Z"},
		{"end is inside", cluster.DateExpr{Operation: "in_range", End: "2026-07-01 12:30"}, true, "2026-07-01T12:30:01Z"},
		{"duration", cluster.DateExpr{Operation: "in_range", Start: "2026-06-30", Duration: map[string]string{"days": "1"}}, false, ""},
		{"months end", cluster.DateExpr{Operation: "in_range", Start: "2026-05-31 12:31", Duration: map[string]string{"months": "1"}}, false, ""},
		{"day of the year", cluster.DateExpr{Operation: "in_range", Start: "2024-06-30 12:30", Duration: map[string]string{"years": "2"}}, true, "2026-07-01T12:30:01Z"},
		{"gt", cluster.DateExpr{Operation: "gt", Start: "2026-07-01 12:30"}, false, "2026-07-01T12:30:01Z"},
		{"lt", cluster.DateExpr{Operation: "lt", End: "2026-07-01 12:30"}, false, ""},
		{"hours", cluster.DateExpr{Operation: "date_spec", Spec: map[string]string{"hours": "9-16", "weekdays": "1-5"}}, true, "2026-07-01T13:00:00Z"},
		{"weekend", cluster.DateExpr{Operation: "date_spec", Spec: map[string]string{"weekdays": "6-"}}, false, "2026-07-02T00:00:00Z"},
		{"week", cluster.DateExpr{Operation: "date_spec", Spec: map[string]string{"weeks": "27", "months": "-7", "yeardays": "182"}}, true, "2026-07-02T00:00:00Z"},
		{"nothing", cluster.DateExpr{Operation: "in_range"}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rn := &run{now: now}
			if got := rn.dateHolds(&tt.x); got != tt.holds {
				t.Errorf("holds: %v, want %v", got, tt.holds)
			}
			recheck := ""
			if !rn.recheck.IsZero() {
				recheck = rn.recheck.Format(time.RFC3339)
			}
			if recheck != tt.recheck {
				t.Errorf("recheck at %q, want %q", recheck, tt.recheck)
			}
		})
	}
}

func TestAttributeConditions(t *testing.T) {
	rn := &run{}
	n := &node{name: "alpha", id: "1", attrs: map[string]string{"load": "7", "rack": "A", "version": "1.10", "empty": ""}}
	tests := []struct {
		attribute, operation, kind, value string
		want                              bool
	}{
		{"rack", "defined", "", "", true},
		{"empty", "defined", "", "", true},
		{"site", "not_defined", "", "", true},
		{"rack", "eq", "", "a", true},
		{"site", "ne", "", "x", true},
		{"site", "eq", "", "x", false},
		{"site", "lt", "", "x", false},
		{"load", "lt", "", "10", true},
		{"load", "lt", "string", "10", false},
		{"load", "gte", "number", "6.5", true},
		{"load", "gt", "", "6.5", true},
		{"version", "eq", "version", "1.10.0", true},
		{"version", "gt", "version", "1.9", true},
		{"version", "gt", "number", "1.9", false},
		{"rack", "lt", "integer", "b", true}, // no number: compared as text
		{"#uname", "eq", "", "ALPHA", true},
		{"#kind", "eq", "", "cluster", true},
		{"#is_dc", "eq", "", "false", true},
	}
	for _, tt := range tests {
		x := &cluster.AttrExpr{Attribute: tt.attribute, Operation: tt.operation, Type: tt.kind, Value: tt.value}
		if got := rn.attributeHolds(x, ruleContext{node: n}); got != tt.want {
			t.Errorf("%s %s %s %q: %v", tt.attribute, tt.operation, tt.kind, tt.value, got)
		}
	}
	if rn.attributeHolds(&cluster.AttrExpr{Attribute: "rack", Operation: "defined"}, ruleContext{}) {
		t.Error("without a node every attribute is unset")
	}
}

// Among blocks of one score the last one wins, the higher score before; a rule
// that fails takes its block away, and #default takes a value back.
func TestAttributeBlocks(t *testing.T) {
	pair := func(name, value string) cluster.NVPair { return cluster.NVPair{Name: name, Value: value} }
	never := &cluster.Rule{Conditions: []cluster.Condition{{Attribute: &cluster.AttrExpr{Attribute: "x", Operation: "defined"}}}}
	rn := &run{config: &cluster.Config{ResourceDefaults: []cluster.AttrSet{{ID: "shared", Pairs: []cluster.NVPair{{ID: "p", Name: "f", Value: "shared"}}}}}}
	got := map[string]string{}
	rn.attributes([]cluster.AttrSet{
		{Pairs: []cluster.NVPair{pair("a", "first"), pair("b", "first")}},
		{Score: 5, Pairs: []cluster.NVPair{pair("b", "high")}},
		{Pairs: []cluster.NVPair{pair("a", "last"), pair("c", "x")}},
		{Score: 9, Rule: never, Pairs: []cluster.NVPair{pair("a", "never")}},
		{Score: -1, Pairs: []cluster.NVPair{pair("c", "#default"), {Ref: "p", Name: "g"}}},
		{Ref: "shared"},
	}, ruleContext{}, got)
	want := map[string]string{"a": "last", "b": "high", "f": "shared", "g": "shared"}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
