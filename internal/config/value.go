package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"linuxha/internal/cluster"
)

// canonical checks a value against its spec and returns the form that the model
// keeps. The error says what would be right.
func (s spec) canonical(value string) (string, error) {
	if s.values != nil {
		for _, v := range s.values {
			if strings.EqualFold(v, value) || strings.EqualFold(scored(v), value) {
				return v, nil
			}
		}
		return "", fmt.Errorf("%q is not one of %s", value, strings.ToLower(strings.Join(s.values, ", ")))
	}
	switch s.kind {
	case boolean:
		switch strings.ToLower(value) {
		case "true", "on", "yes", "y", "1":
			return "true", nil
		case "false", "off", "no", "n", "0":
			return "false", nil
		}
		return "", fmt.Errorf("%q is not true or false", value)
	case integer:
		if _, err := strconv.Atoi(value); err != nil {
			return "", fmt.Errorf("%q is not a whole number", value)
		}
		return value, nil
	case score:
		return canonicalScore(value)
	case duration:
		return canonicalDuration(value)
	case percent:
		if n, err := strconv.Atoi(strings.TrimSuffix(value, "%")); err != nil || n < 0 {
			return "", fmt.Errorf("%q is not a percentage such as \"80%%\"", value)
		}
	}
	return value, nil
}

// canonicalScore accepts integers and the spellings of infinity.
func canonicalScore(value string) (string, error) {
	switch strings.ToUpper(value) {
	case "INFINITY", "+INFINITY":
		return "INFINITY", nil
	case "-INFINITY":
		return "-INFINITY", nil
	}
	if _, err := strconv.Atoi(value); err != nil {
		return "", fmt.Errorf("%q is not a score: a whole number, infinity or -infinity", value)
	}
	return value, nil
}

// canonicalDuration keeps what Pacemaker reads ("10s", "5min", "P1D") and turns
// Go's compound form ("1h30m") into seconds or milliseconds.
func canonicalDuration(value string) (string, error) {
	wrong := fmt.Errorf("%q is not a duration such as \"150ms\", \"5s\" or \"1h30m\"", value)
	if strings.HasPrefix(value, "P") {
		return value, checkISODuration(value)
	}
	digits := strings.TrimLeftFunc(value, unicode.IsDigit)
	if len(digits) < len(value) {
		switch strings.ToLower(digits) {
		case "", "s", "sec", "ms", "msec", "us", "usec", "m", "min", "h", "hr":
			return value, nil
		}
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return "", wrong
	}
	return durationText(d), nil
}

// checkISODuration checks the form PnYnMnWnDTnHnMnS, with at least one part.
func checkISODuration(value string) error {
	rest, units, digits, parts := value[1:], "YMWD", "", 0
	for _, c := range rest {
		switch {
		case c == 'T' && digits == "" && units != "HMS" && !strings.HasSuffix("HMS", units):
			units = "HMS"
		case '0' <= c && c <= '9' && len(digits) < 10:
			digits += string(c)
		case digits != "" && strings.ContainsRune(units, c):
			units, digits, parts = units[strings.IndexRune(units, c)+1:], "", parts+1
		default:
			return fmt.Errorf("%q is not an ISO 8601 duration such as \"PT5M\"", value)
		}
	}
	if digits != "" || parts == 0 {
		return fmt.Errorf("%q is not an ISO 8601 duration such as \"PT5M\"", value)
	}
	return nil
}

// isoMilliseconds adds the parts of an ISO 8601 duration, counting 365 days a year
// and 30 a month.
func isoMilliseconds(value string) (ms int64) {
	units := map[rune]int64{'Y': 365 * 86400, 'M': 30 * 86400, 'W': 7 * 86400, 'D': 86400, 'H': 3600, 'S': 1}
	n := int64(0)
	for _, c := range value[1:] {
		switch {
		case c == 'T':
			units['M'] = 60
		case '0' <= c && c <= '9':
			n = n*10 + int64(c-'0')
		default:
			ms, n = ms+n*units[c]*1000, 0
		}
	}
	return ms
}

// durationText prints a duration in a form that Pacemaker reads too.
func durationText(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d%time.Millisecond == 0:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	default:
		return strconv.FormatInt(int64(d/time.Microsecond), 10) + "us"
	}
}

// Milliseconds reads a duration in Pacemaker's text form, or as ISO 8601 has it; ok
// is false where it is none.
func Milliseconds(value string) (ms int64, ok bool) {
	if strings.HasPrefix(value, "P") {
		return isoMilliseconds(value), checkISODuration(value) == nil
	}
	digits := strings.TrimLeftFunc(value, unicode.IsDigit)
	n, err := strconv.ParseInt(value[:len(value)-len(digits)], 10, 64)
	if err != nil {
		return 0, false
	}
	switch unit := cluster.TimeUnit(digits); {
	case unit >= time.Millisecond:
		return n * unit.Milliseconds(), true
	case unit > 0:
		return n / int64(time.Millisecond/unit), true
	}
	return 0, false
}

// plainSet wraps pairs as the one unconditional block of a parent; nil if empty.
func plainSet(pairs []cluster.NVPair) []cluster.AttrSet {
	if len(pairs) == 0 {
		return nil
	}
	return []cluster.AttrSet{{Pairs: pairs}}
}
