package queue

import (
	"cmp"
	"slices"
	"time"

	"aliasmx/internal/mail"
)

// Status is the state of the scheduler, for the operator. It costs no look at the
// store: what waits there is known by destination, not by number.
type Status struct {
	Active       int // jobs in memory
	Connections  int
	Destinations int // with mail, a connection, or trouble
	Dead         int // of them, not being tried at present
	Busiest      []DestStatus
}

// DestStatus is the state of one destination.
type DestStatus struct {
	Dest        mail.Dest
	Site        string        // who answers for it; "": not known yet
	Waiting     int           // jobs in memory that wait for a connection
	Attempts    int           // under way
	Connections int           //
	Window      int           // how many attempts at once its site is given
	NextDue     time.Time     // of what waits in the store; zero: nothing
	DeadUntil   time.Time     // zero: it is not dead
	Reason      string        // why it is dead
	Spacing     time.Duration // between deliveries, because replies have asked for it; 0: none
}

// Status returns the state of the scheduler with at most n destinations: those with
// most attempts and jobs first, then the dead ones.
func (q *Queue) Status(n int) Status {
	status := q.snapshot()
	slices.SortFunc(status.Busiest, func(a, b DestStatus) int {
		return cmp.Or(
			cmp.Compare(b.Attempts+b.Waiting, a.Attempts+a.Waiting),
			b.DeadUntil.Compare(a.DeadUntil),
			cmp.Compare(a.Dest, b.Dest))
	})
	status.Busiest = slices.Clone(status.Busiest[:min(n, len(status.Busiest))])
	return status
}

func (q *Queue) snapshot() Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.sched
	status := Status{Active: s.loaded, Connections: len(s.conns), Destinations: len(s.dests)}
	now := q.now()
	for _, d := range s.dests {
		entry := DestStatus{
			Dest:        d.name,
			Waiting:     d.waiting(),
			Attempts:    d.attempts,
			Connections: d.conns,
			NextDue:     d.due,
		}
		if d.phase(now) == dead {
			status.Dead++
			entry.Reason = d.why().reason
		}
		if st := d.site; st != nil {
			entry.Site, entry.Window, entry.Spacing = st.name(), st.width(now), st.pace.spacing
			if st.phase(now) == dead {
				entry.DeadUntil = st.deadUntil
			}
		}
		status.Busiest = append(status.Busiest, entry)
	}
	return status
}
