package scheduler

import "strconv"

// score is a preference, clamped to ±infinity (SEMANTICS 1).
type score int32

const (
	infinity score = 1_000_000
	// absent marks a node that a score vector says nothing of: in an opt-in
	// cluster, a node that the resource may not use at all.
	absent score = -1 << 31
)

// add sums two scores: -INFINITY beats +INFINITY beats any number, and the sum
// is clamped. Neither may be absent.
func (s score) add(o score) score {
	switch {
	case s <= -infinity || o <= -infinity:
		return -infinity
	case s >= infinity || o >= infinity:
		return infinity
	}
	return clampScore(int64(s) + int64(o))
}

func clampScore(v int64) score {
	return score(min(max(v, int64(-infinity)), int64(infinity)))
}

// scale multiplies s by a colocation factor in 32-bit floating point, rounding
// half away from zero but never a non-zero score to zero.
func (s score) scale(factor float32) score {
	if factor == 1 {
		return s
	}
	product := float64(factor * float32(s))
	var v int64
	if product < 0 {
		v = int64(product - 0.5)
	} else {
		v = int64(product + 0.5)
	}
	if v == 0 && s != 0 {
		switch {
		case factor > 0:
			v = 1
		case factor < 0:
			v = -1
		}
	}
	return clampScore(v)
}

func (s score) String() string {
	switch {
	case s == absent:
		return ""
	case s >= infinity:
		return "INFINITY"
	case s <= -infinity:
		return "-INFINITY"
	}
	return strconv.Itoa(int(s))
}

// parseScore reads a score's text. Leading blanks and whatever follows the
// digits are ignored; what is no score at all gives def.
func parseScore(text string, def score) score {
	switch text {
	case "INFINITY", "+INFINITY":
		return infinity
	case "-INFINITY":
		return -infinity
	}
	t := trimBlanks(text)
	end := 0
	if end < len(t) && (t[end] == '-' || t[end] == '+') {
		end++
	}
	digits := end
	for end < len(t) && t[end] >= '0' && t[end] <= '9' {
		end++
	}
	if end == digits {
		return def
	}
	v, err := strconv.ParseInt(t[:end], 10, 64)
	if err != nil { // out of range: ParseInt gives the nearest value
		return clampScore(v)
	}
	return clampScore(v)
}

// scoreVector holds a score per node, by node.index; absent where there is no
// entry for the node.
type scoreVector []score

// at returns the score on n, or absent.
func (v scoreVector) at(n *node) score {
	if n == nil || n.index >= len(v) {
		return absent
	}
	return v[n.index]
}

// add adds s to the score on n, which becomes an entry if there was none.
func (v scoreVector) add(n *node, s score) {
	if v[n.index] == absent {
		v[n.index] = s
		return
	}
	v[n.index] = v[n.index].add(s)
}

func (v scoreVector) clone() scoreVector { return append(scoreVector(nil), v...) }
