package queue

// ring is the jobs of one destination that are loaded and wait for a connection: those
// that have just arrived, and those that the store gave back, in turn, so that neither a
// backlog nor a flood of new mail keeps the other waiting. Of each, small letters go
// before bulk, five to one.
type ring struct {
	fresh, stored band
	turn          bool // the stored ones are next
}

// band is jobs in order of arrival.
type band struct {
	small, bulk []Job
	run         int // small ones since the last bulk one
}

const smallRun = 5

func (b *band) len() int { return len(b.small) + len(b.bulk) }

func (b *band) push(j Job) {
	if j.Bulk {
		b.bulk = append(b.bulk, j)
	} else {
		b.small = append(b.small, j)
	}
}

func (b *band) pop() Job {
	from := &b.small
	if len(b.small) == 0 || b.run >= smallRun && len(b.bulk) > 0 {
		from, b.run = &b.bulk, 0
	} else {
		b.run++
	}
	j := (*from)[0]
	(*from)[0] = Job{}
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	return j
}

// take takes out all that match.
func (b *band) take(match func(*Job) bool) (taken []Job) {
	for _, list := range []*[]Job{&b.small, &b.bulk} {
		kept := (*list)[:0]
		for _, j := range *list {
			if match(&j) {
				taken = append(taken, j)
			} else {
				kept = append(kept, j)
			}
		}
		clear((*list)[len(kept):])
		if *list = kept; len(kept) == 0 {
			*list = nil
		}
	}
	return taken
}

func (r *ring) len() int { return r.fresh.len() + r.stored.len() }

func (r *ring) pop() Job {
	from := &r.fresh
	if r.fresh.len() == 0 || r.turn && r.stored.len() > 0 {
		from = &r.stored
	}
	r.turn = from == &r.fresh
	return from.pop()
}

func (r *ring) take(match func(*Job) bool) []Job {
	return append(r.fresh.take(match), r.stored.take(match)...)
}
