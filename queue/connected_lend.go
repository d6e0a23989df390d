package queue

import (
	"slices"

	"aliasmx/internal/mail"
)

// Connections that are lent: for attempts that the scheduler has no job of, since the client
// of the message waits for what comes of them (connected.go). They count as all others do, at
// their destination, their site and in all, and their ends say the same of the site. But they
// have no line to stand in: there is a connection now or there is none.

// lendID names a wish for a connection.
type lendID uint64

// lend answers a wish, at once or as soon as it is known where the destination is.
func (s *scheduler) lend(ev evLend) {
	if !s.open || s.closing {
		s.do(actLent{id: ev.id})
		return
	}
	d := s.dest(ev.dest)
	d.lends = append(d.lends, ev.id)
	s.locate(d) // what is known may be old
	s.serveLends(d)
	s.attend(d)
}

// endLend takes back a wish that was not answered.
func (s *scheduler) endLend(ev evEndLend) {
	if d := s.dests[ev.dest]; d != nil {
		d.lends = slices.DeleteFunc(d.lends, func(id lendID) bool { return id == ev.id })
		s.attend(d)
	}
}

// serveLends answers the wishes for a destination, if it is known where that is.
func (s *scheduler) serveLends(d *destination) {
	if d.site == nil && d.hold == nil && !s.closing {
		return
	}
	for _, id := range d.lends {
		if s.closing || !s.mayLend(d) {
			s.do(actLent{id: id})
			continue
		}
		s.lastID++
		c := &conn{id: s.lastID, dest: d, began: s.now, asked: s.now, jobs: 1, lent: true}
		s.conns[c.id] = c
		s.lent++
		d.conns++
		d.busy++
		d.site.conns++
		d.site.busy++
		s.begin(d)
		s.do(actLent{id: id, conn: c.id, ok: true})
	}
	d.lends = nil
}

// mayLend tells whether there is a connection for a destination now. What waits in the queue
// for the same site goes first, and a site that was dead is tried with what waits there.
func (s *scheduler) mayLend(d *destination) bool {
	st := d.site
	switch {
	case d.phase(s.now) != alive, d.astray, st.waiting > 0:
		return false
	case st.attempts >= st.width(s.now), !st.pace.ready(s.now):
		return false
	case !s.room(), s.lent >= max(1, s.params.ProcessLimit*s.params.ConnectedLimit/100):
		return false
	}
	if st.conns < st.width(s.now) {
		return true
	}
	// One that only lingers makes room for the next wish.
	if i := slices.IndexFunc(s.waiting, func(c *conn) bool { return c.dest.site == st }); i >= 0 {
		s.refuse(s.waiting[i])
	}
	return false
}

type (
	// evLend: somebody wants one connection for an attempt of his own. Answered by actLent. He
	// reports by evDone or evSkip, and evExit.
	evLend struct {
		id   lendID
		dest mail.Dest
	}
	// evEndLend: he does not want it any more, if it was not answered.
	evEndLend struct {
		id   lendID
		dest mail.Dest
	}
	// evAdopted: jobs of a message whose attempts are under way over such connections. They
	// are loaded, and settled as any others.
	evAdopted struct{ jobs int }
	// actLent answers evLend.
	actLent struct {
		id   lendID
		conn connID
		ok   bool
	}
)

func (evLend) event()    {}
func (evEndLend) event() {}
func (evAdopted) event() {}
func (actLent) action()  {}

// lent gives the scheduler's answer to who has asked.
func (q *Queue) lent(a actLent) {
	q.mu.Lock()
	l := q.wishes[a.id]
	delete(q.wishes, a.id)
	q.mu.Unlock()
	switch {
	case l != nil:
		l.lent(a.conn, a.ok)
	case a.ok: // he has changed his mind
		q.tell(evSkip{a.conn})
		q.tell(evExit{a.conn})
	}
}

// wish asks for a connection for a leg.
func (q *Queue) wish(l *leg) {
	q.mu.Lock()
	q.lastWish++
	l.wish = q.lastWish
	q.wishes[l.wish] = l
	q.mu.Unlock()
	q.tell(evLend{l.wish, l.dest})
}

// unwish takes the wish back.
func (q *Queue) unwish(l *leg) {
	q.mu.Lock()
	delete(q.wishes, l.wish)
	q.mu.Unlock()
	q.tell(evEndLend{l.wish, l.dest})
}
