package api

import (
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
)

// A cluster that relies on watchdogs says when that is in vain.
func TestWatchdogWarnings(t *testing.T) {
	member := func(name string, timeout time.Duration) cluster.Member {
		return cluster.Member{Name: name, Voter: true, State: cluster.NodeOnline, WatchdogTimeout: timeout}
	}
	for _, tt := range []struct {
		name    string
		members []cluster.Member
		want    string
	}{
		{"all is well", []cluster.Member{member("a", time.Second), member("b", time.Second), member("c", time.Second)}, ""},
		{"one is not armed", []cluster.Member{member("a", time.Second), member("b", 0), member("c", time.Second)}, "no-watchdog"},
		{"two voters", []cluster.Member{member("a", time.Second), member("b", time.Second)}, "watchdog-pair"},
	} {
		s := &cluster.State{Config: cluster.Config{Watchdog: &cluster.Watchdog{Device: "/dev/watchdog", Timeout: time.Second}}, Members: tt.members}
		var codes []string
		for _, w := range warnings(s, &Status{Quorate: true}) {
			codes = append(codes, w.Code)
		}
		if got := strings.Join(codes, " "); got != tt.want {
			t.Errorf("%s: warned of %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Nobody must believe that an alert will be sent, or that access is limited.
func TestUnactedWarnings(t *testing.T) {
	s := &cluster.State{Config: cluster.Config{
		Alerts: []cluster.Alert{{ID: "mail"}, {ID: "pager"}}, ACLRoles: []cluster.ACLRole{{ID: "reader"}},
	}}
	var got []string
	for _, w := range warnings(s, &Status{Quorate: true}) {
		if w.Code == "not-acted-on" && w.Severity == "warning" && w.Hint != "" {
			got = append(got, w.Text)
		}
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "alert mail, alert pager: no alert will be sent: ") || !strings.HasPrefix(got[1], "role reader: nobody's access is limited: ") {
		t.Errorf("warned of %q", got)
	}
}
