package queue

import (
	"container/heap"
	"time"
)

// alarm is the time at which the scheduler looks after a destination or a site.
type alarm struct {
	at   time.Time
	slot int // in timers; -1: it is not set
	dest *destination
	site *site
}

// timers holds the alarms that are set, the earliest first.
type timers []*alarm

// set moves an alarm to a time; the zero time takes it out.
func (t *timers) set(a *alarm, at time.Time) {
	switch {
	case at.IsZero() && a.slot >= 0:
		heap.Remove(t, a.slot)
	case at.IsZero():
	case a.slot >= 0:
		a.at = at
		heap.Fix(t, a.slot)
	default:
		a.at = at
		heap.Push(t, a)
	}
}

// next is the time of the first, zero when none is set.
func (t timers) next() time.Time {
	if len(t) == 0 {
		return time.Time{}
	}
	return t[0].at
}

// take returns an alarm whose time has come, or nil.
func (t *timers) take(now time.Time) *alarm {
	if len(*t) == 0 || (*t)[0].at.After(now) {
		return nil
	}
	return heap.Pop(t).(*alarm)
}

// The five methods of heap.Interface.

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].slot, t[j].slot = i, j
}

func (t *timers) Push(x any) {
	a := x.(*alarm)
	a.slot = len(*t)
	*t = append(*t, a)
}

func (t *timers) Pop() any {
	old := *t
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	a.slot = -1
	return a
}
