package sim

import "time"

// happening is something that will happen in a world.
type happening struct {
	at    time.Duration
	order uint64 // ties are broken by when it was planned
	do    func()
}

func (h *happening) before(o *happening) bool {
	return h.at < o.at || h.at == o.at && h.order < o.order
}

// queue is a heap of happenings, the earliest first.
type queue struct{ list []happening }

func (q *queue) push(h happening) {
	q.list = append(q.list, h)
	i := len(q.list) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !q.list[i].before(&q.list[parent]) {
			break
		}
		q.list[i], q.list[parent] = q.list[parent], q.list[i]
		i = parent
	}
}

func (q *queue) pop() happening {
	top := q.list[0]
	last := len(q.list) - 1
	q.list[0] = q.list[last]
	q.list[last] = happening{}
	q.list = q.list[:last]
	i := 0
	for {
		least := i
		for child := 4*i + 1; child <= 4*i+4 && child < last; child++ {
			if q.list[child].before(&q.list[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		q.list[i], q.list[least] = q.list[least], q.list[i]
		i = least
	}
}
