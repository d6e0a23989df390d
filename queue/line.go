package queue

import "slices"

// line is destinations that stand in line. It gives up its memory when it is short
// again: after a backlog of many destinations it was long.
type line []*destination

func (l *line) push(d *destination) { *l = append(*l, d) }

func (l *line) pop() *destination {
	d := (*l)[0]
	(*l)[0] = nil
	*l = (*l)[1:]
	if len(*l) == 0 {
		*l = nil
	}
	return d
}

func (l *line) remove(d *destination) {
	*l = slices.DeleteFunc(*l, func(e *destination) bool { return e == d })
}
