package scheduler

import (
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// dateHolds evaluates a condition on the present moment (SEMANTICS 3). Times
// without zone are UTC.
func (rn *run) dateHolds(x *cluster.DateExpr) bool {
	rn.dated = true
	start, hasStart := parseTime(x.Start)
	end, hasEnd := parseTime(x.End)
	switch x.Operation {
	case "date_spec":
		return rn.calendarHolds(x.Spec)
	case "gt":
		if hasStart {
			rn.recheckAt(start.Add(time.Second))
		}
		return hasStart && rn.now.After(start)
	case "lt":
		if hasEnd {
			rn.recheckAt(end)
		}
		return hasEnd && rn.now.Before(end)
	case "", "in_range":
		if !hasEnd && hasStart && x.Duration != nil { // an empty one ends at once
			end, hasEnd = addCalendar(start, x.Duration), true
		}
		if hasStart {
			rn.recheckAt(start)
		}
		if hasEnd {
			rn.recheckAt(end.Add(time.Second))
		}
		return (hasStart || hasEnd) && !(hasStart && rn.now.Before(start)) && !(hasEnd && rn.now.After(end))
	}
	return false
}

// addCalendar adds a span. A year later is the same day of the year; a month
// later is the same day of the month, or the last one of a shorter month.
func addCalendar(t time.Time, d map[string]string) time.Time {
	n := func(unit string) int { return int(intOr(d[unit], 0, 0)) }
	if years := n("years"); years != 0 {
		t = t.AddDate(years, 1-int(t.Month()), t.YearDay()-t.Day())
	}
	if months := n("months"); months != 0 {
		first := t.AddDate(0, months, 1-t.Day())
		last := first.AddDate(0, 1, -1).Day()
		t = first.AddDate(0, 0, min(t.Day(), last)-1)
	}
	t = t.AddDate(0, 0, n("days")+n("monthdays")+n("weekdays")+n("yeardays")+7*n("weeks"))
	return t.Add(time.Duration(n("hours"))*time.Hour + time.Duration(n("minutes"))*time.Minute +
		time.Duration(n("seconds"))*time.Second)
}

// calendarHolds tells whether all given fields of now are in their ranges.
func (rn *run) calendarHolds(spec map[string]string) bool {
	now := rn.now.UTC()
	weekYear, week := now.ISOWeek()
	weekday := (int(now.Weekday()) + 6) % 7 // Monday is 0
	fields := [...]struct {
		name  string
		value int
	}{
		{"years", now.Year()}, {"months", int(now.Month())}, {"monthdays", now.Day()},
		{"hours", now.Hour()}, {"minutes", now.Minute()}, {"seconds", now.Second()},
		{"yeardays", now.YearDay()}, {"weekyears", weekYear}, {"weeks", week}, {"weekdays", weekday + 1},
	}
	step := 24 * time.Hour
	for name, unit := range map[string]time.Duration{"hours": time.Hour, "minutes": time.Minute, "seconds": time.Second} {
		if _, given := spec[name]; given {
			step = min(step, unit)
		}
	}
	rn.recheckAt(now.Truncate(step).Add(step))
	for _, f := range fields {
		if pattern, given := spec[f.name]; given && !inRange(pattern, int64(f.value)) {
			return false
		}
	}
	return true
}

// inRange reads "N", "N-", "-N" and "N-M".
func inRange(pattern string, v int64) bool {
	low, high, isRange := strings.Cut(strings.TrimSpace(pattern), "-")
	from, _, hasFrom := leadingInt(low)
	to, _, hasTo := leadingInt(high)
	switch {
	case !isRange:
		return hasFrom && v == from
	case low != "" && !hasFrom, high != "" && !hasTo, !hasFrom && !hasTo:
		return false
	}
	return (!hasFrom || v >= from) && (!hasTo || v <= to)
}

// parseTime reads a moment in ISO 8601: a calendar, ordinal or week date, with
// or without a time and a zone.
func parseTime(text string) (time.Time, bool) {
	t := strings.TrimSpace(text)
	if t == "" {
		return time.Time{}, false
	}
	if strings.EqualFold(t, "epoch") {
		return time.Unix(0, 0).UTC(), true
	}
	datePart, clock := t, ""
	if i := strings.IndexAny(t, "T "); i >= 0 {
		datePart, clock = t[:i], strings.TrimSpace(t[i+1:])
	}
	if strings.Contains(datePart, ":") { // a time of today has no meaning here
		return time.Time{}, false
	}
	day, ok := parseDate(datePart)
	if !ok {
		return time.Time{}, false
	}
	if clock == "" {
		return day, true
	}
	return addClock(day, clock)
}

// parseDate reads a calendar date (2026-07-01, 2026-7-1, 20260701), a day of the
// year (2026-182) or a day of a week (2026-W27-3).
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-1-2", "20060102"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	parts := strings.Split(s, "-")
	if len(parts) == 2 {
		y, d := intOr(parts[0], -1, 0), intOr(parts[1], -1, 1)
		t := time.Date(int(y), 1, int(d), 0, 0, 0, 0, time.UTC)
		return t, y >= 0 && d >= 1 && t.Year() == int(y)
	}
	if len(parts) != 3 || !strings.HasPrefix(parts[1], "W") {
		return time.Time{}, false
	}
	y, w, d := intOr(parts[0], -1, 0), intOr(parts[1][1:], -1, 1), intOr(parts[2], -1, 1)
	if y < 0 || w < 1 || w > 53 || d < 1 || d > 7 {
		return time.Time{}, false
	}
	jan4 := time.Date(int(y), 1, 4, 0, 0, 0, 0, time.UTC) // always in week 1
	monday := jan4.AddDate(0, 0, -(int(jan4.Weekday())+6)%7)
	return monday.AddDate(0, 0, int(w-1)*7+int(d-1)), true
}

func addClock(day time.Time, clock string) (time.Time, bool) {
	offset := time.Duration(0)
	if c, ok := strings.CutSuffix(clock, "Z"); ok {
		clock = c
	} else if i := strings.LastIndexAny(clock, "+-"); i > 0 {
		zone, ok := parseClock(strings.TrimSpace(clock[i+1:]))
		if !ok {
			return time.Time{}, false
		}
		if offset = zone; clock[i] == '-' {
			offset = -zone
		}
		clock = clock[:i]
	}
	d, ok := parseClock(strings.TrimSpace(clock))
	if !ok {
		return time.Time{}, false
	}
	return day.Add(d - offset), true
}

// parseClock reads HH, HH:MM, HH:MM:SS, with or without colons, a fraction ignored.
func parseClock(s string) (time.Duration, bool) {
	s, _, _ = strings.Cut(s, ".")
	s = strings.ReplaceAll(s, ":", "")
	if len(s) != 2 && len(s) != 4 && len(s) != 6 {
		return 0, false
	}
	total := time.Duration(0)
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		if 2*i >= len(s) {
			break
		}
		part := s[2*i : 2*i+2]
		if !isDigit(part[0]) || !isDigit(part[1]) {
			return 0, false
		}
		total += time.Duration(part[0]-'0')*10*unit + time.Duration(part[1]-'0')*unit
	}
	return total, true
}

// isoDuration is a span of ISO 8601.
type isoDuration struct{ years, months, days, seconds int64 }

// milliseconds counts 365 days a year and 30 a month.
func (d isoDuration) milliseconds() int64 {
	days := d.years*365 + d.months*30 + d.days
	return (days*86400 + d.seconds) * 1000
}

func parseISODuration(s string) (isoDuration, bool) {
	var d isoDuration
	inTime := false
	rest := strings.ToUpper(s[1:])
	found := false
	for rest != "" {
		if rest[0] == 'T' {
			inTime, rest = true, rest[1:]
			continue
		}
		n, after, ok := leadingInt(rest)
		if !ok || n < 0 || n > 1<<32 || after == "" {
			return d, false
		}
		switch {
		case !inTime && after[0] == 'Y':
			d.years += n
		case !inTime && after[0] == 'M':
			d.months += n
		case after[0] == 'W':
			d.days += 7 * n
		case after[0] == 'D':
			d.days += n
		case after[0] == 'H':
			d.seconds += 3600 * n
		case after[0] == 'M':
			d.seconds += 60 * n
		case after[0] == 'S':
			d.seconds += n
		default:
			return d, false
		}
		found, rest = true, after[1:]
	}
	return d, found
}
