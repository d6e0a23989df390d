package queue

import (
	"container/heap"
	"time"
)

// timers holds the destinations that wait for a time, the earliest first. A
// destination is in it at most once.
type timers []*destination

// set moves a destination to a time; the zero time takes it out.
func (t *timers) set(d *destination, at time.Time) {
	switch {
	case at.IsZero() && d.slot >= 0:
		heap.Remove(t, d.slot)
	case at.IsZero():
	case d.slot >= 0:
		d.wake = at
		heap.Fix(t, d.slot)
	default:
		d.wake = at
		heap.Push(t, d)
	}
}

// next is the time of the first, zero when none waits.
func (t timers) next() time.Time {
	if len(t) == 0 {
		return time.Time{}
	}
	return t[0].wake
}

// take returns a destination whose time has come, or nil.
func (t *timers) take(now time.Time) *destination {
	if len(*t) == 0 || (*t)[0].wake.After(now) {
		return nil
	}
	return heap.Pop(t).(*destination)
}

// The five methods of heap.Interface.

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].wake.Before(t[j].wake) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i, j
}

func (t *timers) Push(x any) {
	d := x.(*destination)
	d.slot = len(*t)
	*t = append(*t, d)
}

func (t *timers) Pop() any {
	old := *t
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	d.slot = -1
	return d
}
