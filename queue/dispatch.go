package queue

import (
	"slices"
	"time"
)

// Jobs meet connections here. A connection that is open is given work before a new
// one is opened; it leaves when its destination has no more and is not lively, when the
// site's window has shrunk, when it has been used enough, or when others have waited for a
// slot, or for one at the same site, while it had its turn.

// conn is one connection, as the scheduler sees it.
type conn struct {
	id    connID
	dest  *destination
	began time.Time
	asked time.Time // when it got its last job
	stuck bool      // that was long ago
	jobs  int
	state connState
	lent  bool // the attempt is not the scheduler's
}

type connState uint8

const (
	attempting connState = iota
	between              // has reported, will ask
	waiting              // has asked, lingers
	leaving              // was refused
)

// startReady opens connections for the sites that want one, as long as there are slots:
// first for those that have none, then for those that want more, in turn. When there are
// no slots, connections that only linger have to go.
func (s *scheduler) startReady() {
	for s.wanted() > 0 {
		if s.crowded() {
			s.findStuck()
		}
		if s.crowded() {
			for len(s.waiting) > 0 && s.leaving < s.wanted() {
				s.refuse(s.waiting[0])
			}
			return
		}
		st := s.nextSite()
		var d *destination
		if st.wants(s.now) {
			d = st.next()
		}
		if d == nil {
			s.attendSite(st)
			continue
		}
		s.start(d)
		s.attend(d) // which puts it at the end of a line if it wants another
	}
}

// wanted is how many sites stand in line for a connection.
func (s *scheduler) wanted() int { return len(s.first) + len(s.more) }

// standInLine puts d in the line of its site where it belongs, if it has a job.
func (s *scheduler) standInLine(d *destination) {
	if d.waiting() == 0 || d.astray && (d.locating || d.unlocated) {
		return // site.next finds out, if it stands in one
	}
	st := d.site
	line := &st.more
	if d.busy == 0 {
		line = &st.first
	}
	if d.line == line || d.line == &st.first {
		return
	}
	if d.line != nil {
		d.line.remove(d)
	}
	d.line = line
	line.push(d)
}

// queueUp puts a site in the line where it belongs, if it wants a connection.
func (s *scheduler) queueUp(st *site) {
	if !st.wants(s.now) {
		return
	}
	line := &s.more
	if st.busy == 0 {
		line = &s.first
	} else if st.stuck > 0 && len(s.conns) >= s.params.ProcessLimit/2 {
		return // what it has does not get on
	}
	if st.line == line || st.line == &s.first {
		return
	}
	if st.line != nil {
		st.line.remove(st)
	}
	st.line = line
	line.push(st)
}

func (s *scheduler) start(d *destination) {
	s.lastID++
	c := &conn{id: s.lastID, dest: d, began: s.now, asked: s.now, jobs: 1}
	s.conns[c.id] = c
	d.conns++
	d.busy++
	d.site.conns++
	d.site.busy++
	s.begin(d)
	s.do(actStart{conn: c.id, dest: d.name, job: d.pop()})
}

// begin notes that an attempt begins.
func (s *scheduler) begin(d *destination) {
	d.attempts++
	d.site.attempts++
	d.site.pace.begin(s.now, &d.site.params, &d.site.limits)
}

// serveWaiting gives jobs to connections that wait for some.
func (s *scheduler) serveWaiting(st *site) {
	for i := 0; i < len(s.waiting) && st.waiting > 0; {
		c := s.waiting[i]
		if c.dest.site != st || c.dest.waiting() == 0 {
			i++
			continue
		}
		if st.attempts >= st.width(s.now) || !st.pace.ready(s.now) {
			return
		}
		s.grant(c, c.dest.pop()) // which takes it out of s.waiting
	}
}

// grant gives a job to a connection that has asked.
func (s *scheduler) grant(c *conn, j Job) {
	s.stopWaiting(c)
	c.state = attempting
	c.asked = s.now
	c.jobs++
	s.begin(c.dest)
	s.do(actGive{conn: c.id, job: j, ok: true})
}

// refuse tells a connection that has asked to leave.
func (s *scheduler) refuse(c *conn) {
	s.stopWaiting(c)
	c.state = leaving
	s.unbusy(c.dest)
	c.dest.site.leaving++
	s.leaving++
	s.do(actGive{conn: c.id})
}

func (s *scheduler) unbusy(d *destination) {
	d.busy--
	d.site.busy--
}

func (s *scheduler) stopWaiting(c *conn) {
	if c.state == waiting {
		c.dest.site.lingers--
		s.waiting = slices.DeleteFunc(s.waiting, func(w *conn) bool { return w == c })
	}
}

// ask is a connection's wish for another job.
func (s *scheduler) ask(c *conn, linger bool) {
	d, st := c.dest, c.dest.site
	ready := st.pace.ready(s.now)
	switch {
	case s.closing, d.phase(s.now) == dead, st.busy > st.width(s.now), s.usedUp(c), s.overstays(c), s.tooMany():
		s.refuse(c)
	case d.waiting() > 0 && ready:
		s.grant(c, d.pop())
	case linger && (d.lively(s.now) || d.waiting() > 0) && !s.crowded():
		c.state = waiting
		st.lingers++
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

// overstays: others wait for a slot, and this connection's site has more of them than
// they have, or the connection has had its turn. At its site likewise: other destinations
// wait for one of its connections. No more leave than others wait.
func (s *scheduler) overstays(c *conn) bool {
	st := c.dest.site
	had := c.jobs >= turn
	if st.conns >= st.width(s.now) && st.leaving < len(st.first) && (c.dest.busy > 1 || had) {
		return true
	}
	if !s.crowded() || s.leaving >= s.wanted() {
		return false
	}
	if len(s.first) > 0 {
		return st.busy > 1 || had
	}
	return poorest(s.more).busy+1 < st.busy
}

// nextSite is the site whose turn it is to get a connection.
func (s *scheduler) nextSite() (st *site) {
	if len(s.first) > 0 {
		st = s.first.pop()
	} else {
		st = poorest(s.more)
		s.more.remove(st)
	}
	st.line = nil
	return st
}

// poorest is the site of a line with the fewest connections, the first of several. There
// are no more in such a line than there are connections.
func poorest(l line[*site]) *site {
	p := l[0]
	for _, st := range l[1:] {
		if st.busy < p.busy {
			p = st
		}
	}
	return p
}

func (s *scheduler) giveUp(c *conn) {
	if c.state == waiting {
		s.refuse(c)
		s.attend(c.dest)
	}
}

// done takes the report of an attempt.
func (s *scheduler) done(c *conn, ev evDone) {
	d, st := c.dest, c.dest.site
	s.unstick(c)
	c.state = between
	d.attempts--
	st.attempts--
	d.count(s.now)
	st.pace.end(s.now, st.rateDelay())
	switch {
	case st.asksForLess(ev.reply):
		s.revive(st)
		if had := st.pace.spacing; st.pace.slower(s.now, c.asked) && had == 0 {
			st.win.halve()
		}
	case ev.verdict == good:
		s.revive(st)
		st.pace.ease(s.now)
		st.win.good(&st.params, st.busy, st.most(&s.params))
	case ev.verdict == bad:
		if st.phase(s.now) != alive || st.win.bad(&st.params) {
			s.kill(st, ev.why)
		}
	}
	s.attend(d)
	s.probe(st)
}

func (s *scheduler) skip(c *conn) {
	s.unstick(c)
	c.state = between
	c.dest.attempts--
	c.dest.site.attempts--
	s.attend(c.dest)
	s.probe(c.dest.site)
}

func (s *scheduler) exit(c *conn) {
	d, st := c.dest, c.dest.site
	s.unstick(c)
	switch c.state {
	case leaving:
		s.leaving--
		st.leaving--
	case attempting:
		d.attempts--
		st.attempts--
		fallthrough
	default:
		s.stopWaiting(c)
		s.unbusy(d)
	}
	delete(s.conns, c.id)
	if c.lent {
		s.lent--
	}
	d.conns--
	d.spare()
	st.conns--
	s.attend(d)
	s.probe(st)
}
