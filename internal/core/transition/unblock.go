package transition

import "linuxha/internal/core/event"

// unblock gives back grants that nobody uses while the walk waits for one: a grant
// that an aborted transition asked for may be committed after this one has begun.
func (e *Engine) unblock(now event.Time) {
	w := e.walk
	for i := range w.steps {
		s := &w.steps[i]
		if s.state != waiting || !s.needsGrant() {
			continue
		}
		m := e.state.Member(s.Node)
		if m == nil || e.usable(s, m) != nil || e.obtainable(s) {
			continue
		}
		if now.Mono < w.unblocked+proposeWait && w.unblocked > 0 {
			w.again(w.unblocked + proposeWait)
			return
		}
		w.unblocked = now.Mono
		w.again(now.Mono + proposeWait)
		e.releaseUnused()
		return
	}
}
