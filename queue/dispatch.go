package queue

import (
	"slices"
	"time"
)

// Jobs meet connections here. A connection that is open is given work before a new
// one is opened; it leaves when its destination has no more and is not lively, when
// its window has shrunk, when it has been used enough, or when other destinations have waited for a
// slot while it had its turn.

// conn is one connection, as the scheduler sees it.
type conn struct {
	id    connID
	dest  *destination
	began time.Time
	jobs  int
	state connState
}

type connState uint8

const (
	attempting connState = iota
	between              // has reported, will ask
	waiting              // has asked, lingers
	leaving              // was refused
)

// startReady opens connections for the destinations that want one, as long as there
// are slots: first for those that have none, then for those that want more, in turn.
// When there are no slots, connections that only linger have to go.
func (s *scheduler) startReady() {
	for s.wanted() > 0 {
		if len(s.conns) >= s.params.ProcessLimit {
			for len(s.waiting) > 0 && s.leaving < s.wanted() {
				s.refuse(s.waiting[0])
			}
			return
		}
		from := &s.first
		if len(*from) == 0 {
			from = &s.more
		}
		d := from.pop()
		d.line = nil
		if d.wantsConnection(s.now) {
			s.start(d)
		}
		s.attend(d) // which puts it at the end of a line if it wants another
	}
}

// wanted is how many destinations stand in line for a connection.
func (s *scheduler) wanted() int { return len(s.first) + len(s.more) }

// queueUp puts d in the line where it belongs, if it wants a connection.
func (s *scheduler) queueUp(d *destination) {
	if !d.wantsConnection(s.now) {
		return // startReady finds out, if it stands in one
	}
	line := &s.more
	if d.busy == 0 {
		line = &s.first
	}
	if d.line == line || d.line == &s.first {
		return
	}
	if d.line != nil {
		d.line.remove(d)
	}
	d.line = line
	line.push(d)
}

func (s *scheduler) start(d *destination) {
	s.lastID++
	c := &conn{id: s.lastID, dest: d, began: s.now, jobs: 1}
	s.conns[c.id] = c
	d.conns++
	d.busy++
	d.attempts++
	s.do(actStart{conn: c.id, dest: d.name, job: d.pop()})
}

// grant gives a job to a connection that has asked.
func (s *scheduler) grant(c *conn, j Job) {
	s.stopWaiting(c)
	c.state = attempting
	c.jobs++
	c.dest.attempts++
	s.do(actGive{conn: c.id, job: j, ok: true})
}

// refuse tells a connection that has asked to leave.
func (s *scheduler) refuse(c *conn) {
	s.stopWaiting(c)
	c.state = leaving
	c.dest.busy--
	s.leaving++
	s.do(actGive{conn: c.id})
}

func (s *scheduler) stopWaiting(c *conn) {
	if c.state == waiting {
		s.waiting = slices.DeleteFunc(s.waiting, func(w *conn) bool { return w == c })
	}
}

// waitingAt is the connection of d that has waited longest for work.
func (s *scheduler) waitingAt(d *destination) *conn {
	for _, c := range s.waiting {
		if c.dest == d {
			return c
		}
	}
	return nil
}

// ask is a connection's wish for another job.
func (s *scheduler) ask(c *conn, linger bool) {
	d := c.dest
	switch {
	case s.closing, d.phase(s.now) == dead, d.busy > d.width(s.now), s.usedUp(c), s.overstays(c):
		s.refuse(c)
	case len(d.ring) > 0:
		s.grant(c, d.pop())
	case linger && d.lively(s.now) && !s.crowded():
		c.state = waiting
		s.waiting = append(s.waiting, c)
	default:
		s.refuse(c)
	}
	s.attend(d)
}

// usedUp: the connection has had its share (smtp_connection_reuse_count_limit: "with
// a limit of N, a connection is used up to N+1 times"; _time_limit).
func (s *scheduler) usedUp(c *conn) bool {
	return s.params.ConnectionReuseCount > 0 && c.jobs > s.params.ConnectionReuseCount ||
		s.params.ConnectionReuseTime > 0 && s.now.Sub(c.began) >= s.params.ConnectionReuseTime
}

// crowded: some destination waits for a slot.
func (s *scheduler) crowded() bool {
	return s.wanted() > 0 && len(s.conns) >= s.params.ProcessLimit
}

// overstays: others wait for a slot, and this connection's destination has more of
// them than they have, or the connection has had its turn. No more leave than others
// wait.
func (s *scheduler) overstays(c *conn) bool {
	if !s.crowded() || s.leaving >= s.wanted() {
		return false
	}
	if len(s.first) > 0 {
		return c.dest.busy > 1 || c.jobs >= turn
	}
	return s.more[0].busy+1 < c.dest.busy
}

func (s *scheduler) giveUp(c *conn) {
	if c.state == waiting {
		s.refuse(c)
		s.attend(c.dest)
	}
}

// done takes the report of an attempt.
func (s *scheduler) done(c *conn, v verdict, why trouble) {
	d := c.dest
	c.state = between
	d.attempts--
	d.count(s.now)
	switch v {
	case good:
		s.revive(d)
		d.win.good(&s.params, d.name.Transport(), d.busy)
	case bad:
		if d.phase(s.now) != alive || d.win.bad(&s.params) {
			s.kill(d, why)
		}
	}
	s.attend(d)
}

func (s *scheduler) skip(c *conn) {
	c.state = between
	c.dest.attempts--
	s.attend(c.dest)
}

func (s *scheduler) exit(c *conn) {
	d := c.dest
	switch c.state {
	case leaving:
		s.leaving--
	case attempting:
		d.attempts--
		fallthrough
	default:
		s.stopWaiting(c)
		d.busy--
	}
	delete(s.conns, c.id)
	d.conns--
	s.attend(d)
}

// kill stops the use of a destination for a while: minimal_backoff_time, twice as
// long after each try that fails, up to maximal_backoff_time. What is loaded for it
// is deferred.
func (s *scheduler) kill(d *destination, why trouble) {
	if d.phase(s.now) == dead {
		return
	}
	pause := s.params.MinimalBackoff
	for range min(d.deaths, 32) {
		pause = min(2*pause, s.params.MaximalBackoff)
	}
	d.deaths++
	d.streak = 0
	d.deadUntil = s.now.Add(time.Duration(float64(pause) * s.jitter()))
	d.why = why.suspended()
	for c := s.waitingAt(d); c != nil; c = s.waitingAt(d) {
		s.refuse(c)
	}
}

// revive forgets that a destination was dead.
func (s *scheduler) revive(d *destination) {
	if d.deadUntil.IsZero() {
		return
	}
	d.deadUntil, d.deaths = time.Time{}, 0
	d.win = s.params.newWindow(d.name.Transport())
}
