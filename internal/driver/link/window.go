package link

// windowSize is how far behind the newest a datagram may come in, in datagrams
// of its sender and link. It is a multiple of 64.
const windowSize = 1024

// window remembers which numbers were received (sliding, as in RFC 6479).
type window struct {
	newest uint64
	seen   [windowSize / 64]uint64
}

// accept reports whether number is new, and remembers it.
func (w *window) accept(number uint64) bool {
	if number == 0 {
		return false
	}
	if number > w.newest {
		if number-w.newest >= windowSize {
			clear(w.seen[:])
		} else {
			for n := w.newest + 1; n < number; n++ {
				w.set(n, false)
			}
		}
		w.newest = number
		w.set(number, true)
		return true
	}
	if w.newest-number >= windowSize {
		return false
	}
	i := number % windowSize
	if w.seen[i/64]&(1<<(i%64)) != 0 {
		return false
	}
	w.set(number, true)
	return true
}

func (w *window) set(number uint64, seen bool) {
	i := number % windowSize
	if seen {
		w.seen[i/64] |= 1 << (i % 64)
	} else {
		w.seen[i/64] &^= 1 << (i % 64)
	}
}
