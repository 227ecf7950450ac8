package scheduler

// slab hands out zero values of one type from larger pieces of memory: plans
// have very many actions and relations.
type slab[T any] struct{ free []T }

func (s *slab[T]) take() *T {
	if len(s.free) == 0 {
		s.free = make([]T, 256)
	}
	p := &s.free[0]
	s.free = s.free[1:]
	return p
}
