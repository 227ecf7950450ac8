package scheduler

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// isTrue tells whether a text is one of the words for true (SEMANTICS 1).
func isTrue(text string) bool { return boolOr(text, false) }

// boolOr reads a boolean; what is none gives def.
func boolOr(text string, def bool) bool {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "y", "1":
		return true
	case "false", "off", "no", "n", "0":
		return false
	}
	return def
}

// trueUnlessGiven reads a meta-attribute that is true by default: given as anything
// but a word for true it is false (SEMANTICS 1).
func trueUnlessGiven(meta map[string]string, name string) bool {
	text, given := meta[name]
	return !given || isTrue(text)
}

// parseDuration reads a time span in ms (SEMANTICS 1); 0 if it is none.
func parseDuration(text string) int64 {
	t := strings.TrimSpace(text)
	if t != "" && (t[0] == 'P' || t[0] == 'p') {
		d, ok := parseISODuration(t)
		if !ok {
			return 0
		}
		return d.milliseconds()
	}
	ms, _ := parseSpan(t)
	return ms
}

// parseTimeout reads a timeout in ms: a number with a unit, no ISO 8601 duration.
// What is none, or more than 31 bits hold, is as good as not given (the recorded
// "intervals" has one).
func parseTimeout(text string) int64 {
	ms, ok := parseSpan(strings.TrimSpace(text))
	if !ok || ms > math.MaxInt32 {
		return defaultTimeout
	}
	return ms
}

// parseSpan reads a number with a unit in ms; ok is false if it is none.
func parseSpan(t string) (ms int64, ok bool) {
	n, rest, ok := leadingInt(t)
	if !ok || n < 0 {
		return 0, false
	}
	if strings.HasPrefix(rest, ".") { // a fraction is cut off
		rest = strings.TrimLeft(rest[1:], "0123456789")
	}
	span := cluster.TimeUnit(strings.TrimSpace(rest))
	switch {
	case span == 0:
		return 0, false
	case span < time.Millisecond:
		return n / int64(time.Millisecond/span), true
	}
	unit := span.Milliseconds()
	if n > math.MaxUint32/unit { // the longest that there is: 49 days
		return math.MaxUint32, true
	}
	return n * unit, true
}

// seconds rounds ms to s, but never to 0 unless it was 0.
func seconds(ms int64) int64 {
	if ms > 0 && ms < 1000 {
		return 1
	}
	return (ms + 500) / 1000
}

// leadingInt reads the integer at the beginning of text, after blanks, and
// returns what follows; it saturates. Without digits, ok is false.
func leadingInt(text string) (n int64, rest string, ok bool) {
	t := trimBlanks(text)
	end := 0
	if end < len(t) && (t[end] == '-' || t[end] == '+') {
		end++
	}
	digits := end
	for end < len(t) && isDigit(t[end]) {
		end++
	}
	if end == digits {
		return 0, text, false
	}
	n, _ = strconv.ParseInt(t[:end], 10, 64) // out of range: the nearest value
	return n, t[end:], true
}

// trimBlanks cuts off the blanks at the beginning of text; mostly there are none.
func trimBlanks(text string) string {
	if text == "" || text[0] > ' ' {
		return text
	}
	return strings.TrimLeft(text, " \t\n\r\v\f")
}

// intOr reads the integer at the beginning of text; without one, or below least,
// it is def.
func intOr(text string, def, least int64) int64 {
	n, _, ok := leadingInt(text)
	if !ok || n < least {
		return def
	}
	return n
}

// leadingFloat reads the number at the beginning of text.
func leadingFloat(text string) (float64, bool) {
	t := strings.TrimSpace(text)
	for end := len(t); end > 0; end-- {
		if f, err := strconv.ParseFloat(t[:end], 64); err == nil {
			return f, true
		}
	}
	return 0, false
}

// compareVersions orders dotted versions part by part; a missing part is 0.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(as) || i < len(bs); i++ {
		var x, y int64
		if i < len(as) {
			x, _, _ = leadingInt(as[i])
		}
		if i < len(bs) {
			y, _, _ = leadingInt(bs[i])
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
