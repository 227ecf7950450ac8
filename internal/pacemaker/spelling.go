package pacemaker

import (
	"math"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// spelling turns a pair as some schema or release spelled it into its modern
// form.
type spelling func(cluster.NVPair) cluster.NVPair

// optionNames are cluster options by their former names (SEMANTICS 4); a "_"
// that stands for "-" is handled apart.
var optionNames = map[string]string{
	"stonith-enabled":           "fencing-enabled",
	"stonith-action":            "fencing-action",
	"stonith-timeout":           "fencing-timeout",
	"stonith-max-attempts":      "fencing-max-attempts",
	"stonith-watchdog-timeout":  "fencing-watchdog-timeout",
	"fence-reaction":            "fencing-reaction",
	"stop-orphan-resources":     "stop-removed-resources",
	"stop-orphan-actions":       "cancel-removed-actions",
	"crmd-finalization-timeout": "join-finalization-timeout",
	"crmd-integration-timeout":  "join-integration-timeout",
	"crmd-transition-delay":     "transition-delay",
}

func optionSpelling(p cluster.NVPair) cluster.NVPair {
	if modern, ok := optionNames[p.Name]; ok {
		p.Name = modern
	}
	switch {
	case p.Name == "fencing-action" && p.Value == "poweroff":
		p.Value = "off"
	case p.Name == "no-quorum-policy" && strings.EqualFold(p.Value, "suicide"):
		p.Value = "fence"
	}
	return p
}

func metaSpelling(p cluster.NVPair) cluster.NVPair {
	switch p.Name {
	case "master-max":
		p.Name = "promoted-max"
	case "master-node-max":
		p.Name = "promoted-node-max"
	}
	if p.Name == "target-role" {
		p.Value = modernRole(p.Value)
	}
	return p
}

func operationSpelling(p cluster.NVPair) cluster.NVPair {
	switch p.Name {
	case "role":
		p.Value = modernRole(p.Value)
	case "on_fail":
		p.Name = "on-fail"
	}
	return p
}

// modernRole also repairs the case, in which all releases compare without.
func modernRole(s string) string {
	switch strings.ToLower(s) {
	case "master", "promoted":
		return "Promoted"
	case "slave", "unpromoted":
		return "Unpromoted"
	case "started":
		return "Started"
	case "stopped":
		return "Stopped"
	}
	return s
}

func (r *reader) role(a attr) string {
	role := modernRole(a.value)
	switch role {
	case "Promoted", "Unpromoted", "Started", "Stopped":
	default:
		r.fault(a.pos, "%s is %q; it can be Stopped, Started, Unpromoted or Promoted", a.name, a.value)
	}
	return role
}

// infinity is the score that stands for INFINITY.
const infinity = 1_000_000

// score reads a score (SEMANTICS 1); 0 if it is none.
func (r *reader) score(a attr) int {
	switch a.value {
	case "INFINITY", "+INFINITY":
		return infinity
	case "-INFINITY":
		return -infinity
	case "red", "yellow", "green":
		return 0
	}
	n, ok := integer(a.value)
	if !ok {
		r.fault(a.pos, "%s is %q; it can be a whole number, INFINITY or -INFINITY", a.name, a.value)
	}
	return int(max(-infinity, min(infinity, n)))
}

// integer reads the number at the beginning of s, after blanks; what follows
// the digits is ignored, as in Pacemaker. It saturates.
func integer(s string) (int64, bool) {
	s = strings.TrimLeft(s, " \t\r\n\f\v")
	end := 0
	if end < len(s) && (s[end] == '-' || s[end] == '+') {
		end++
	}
	digits := end
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == digits {
		return 0, false
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil {
		if s[0] == '-' {
			return math.MinInt64, true
		}
		return math.MaxInt64, true
	}
	return n, true
}
