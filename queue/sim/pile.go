package sim

import (
	"cmp"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What a shelf has for one destination: its jobs in the order in which they are due.

// parcel is a job of a message.
type parcel struct {
	m        *shelved
	n        int
	rcpts    []int // without those who are finished
	attempts int
	due      time.Time
	late     time.Time // when it was deferred; zero: never
	trouble  bool      // because of its destination
	bulk     bool
	claimed  bool
}

func (p *parcel) dest() mail.Dest { return p.m.env.Rcpts[p.rcpts[0]].Dest }

func (p *parcel) job() queue.Job {
	return queue.Job{
		ID: p.m.env.ID, N: p.n, Dest: p.dest(), Rcpts: append([]int(nil), p.rcpts...),
		Attempts: p.attempts, Bulk: p.bulk, Due: p.due, Arrived: p.m.env.Arrived,
	}
}

// pile is the unclaimed jobs of a destination: those that wait because of its trouble, and
// others.
type pile struct{ trouble, other parcels }

func (p *pile) heapOf(q *parcel) *parcels {
	if q.trouble {
		return &p.trouble
	}
	return &p.other
}

// first is the heap with the job that is due first, or nil; all: of both heaps.
func (p *pile) first(all bool) *parcels {
	switch {
	case len(p.trouble) == 0 && (len(p.other) == 0 || !all):
		return nil
	case len(p.trouble) == 0, all && len(p.other) > 0 && p.other[0].before(p.trouble[0]):
		return &p.other
	}
	return &p.trouble
}

// parcels is a heap, the earliest due first.
type parcels []*parcel

func (p *parcel) before(q *parcel) bool {
	return cmp.Or(p.due.Compare(q.due), cmp.Compare(p.m.env.ID, q.m.env.ID), p.n-q.n) < 0
}

func (p parcels) Len() int           { return len(p) }
func (p parcels) Less(i, j int) bool { return p[i].before(p[j]) }
func (p parcels) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *parcels) Push(x any) { *p = append(*p, x.(*parcel)) }

// Pop implements heap.Interface.
func (p *parcels) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	(*p)[last] = nil
	*p = (*p)[:last]
	return x
}
