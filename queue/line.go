package queue

import "slices"

// line is destinations, or sites, that stand in line. It gives up its memory when it is
// short again: after a backlog of many destinations it was long.
type line[T comparable] []T

func (l *line[T]) push(v T) { *l = append(*l, v) }

func (l *line[T]) pop() T {
	var none T
	v := (*l)[0]
	(*l)[0] = none
	*l = (*l)[1:]
	if len(*l) == 0 {
		*l = nil
	}
	return v
}

func (l *line[T]) remove(v T) {
	*l = slices.DeleteFunc(*l, func(e T) bool { return e == v })
}
