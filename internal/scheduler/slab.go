package scheduler

// slab hands out zero values of one type from larger and larger pieces of memory:
// plans have very many actions and relations.
type slab[T any] struct {
	free []T
	size int // of the last piece
}

func (s *slab[T]) take() *T {
	if len(s.free) == 0 {
		s.size = min(max(16, 2*s.size), 256)
		s.free = make([]T, s.size)
	}
	p := &s.free[0]
	s.free = s.free[1:]
	return p
}
