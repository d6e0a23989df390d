package queue

import (
	"maps"
	"slices"
	"time"

	"aliasmx/internal/mail"
)

// scheduler decides when, where and how many at once. It is a state machine: step
// takes an event and answers with actions. It has no clock but the time it is told,
// and does nothing itself, so that the same events always lead to the same actions.
// It is used by one goroutine at a time.
//
// Destinations take turns, both for connections and for room in memory: a slow one
// keeps at most its window of connections, and half of the memory.
type scheduler struct {
	params Params
	jitter func() float64 // around 1, to keep what failed together apart

	now     time.Time // of the event being handled
	actions []action  // its answer so far

	open, closing bool
	dests         map[mail.Dest]*destination
	timers        timers
	first, more   line // have a job and want a connection: the first, another
	hungry        line // have due jobs in the store

	conns   map[connID]*conn
	waiting []*conn // for work, the longest wait first
	leaving int     // refused, not yet closed
	lastID  connID

	loaded int // jobs in memory
	claims int // under way
	coming int // jobs that these may bring
}

func newScheduler(p Params, jitter func() float64) *scheduler {
	return &scheduler{params: p, jitter: jitter, dests: map[mail.Dest]*destination{}, conns: map[connID]*conn{}}
}

// step takes an event that happened at now.
func (s *scheduler) step(now time.Time, ev event) []action {
	s.now, s.actions = now, nil
	s.handle(ev)
	if s.open && !s.closing {
		for d := s.timers.take(now); d != nil; d = s.timers.take(now) {
			s.attend(d)
		}
		s.startReady()
		s.claimHungry()
	}
	return s.actions
}

// next is when step wants to be called with evTick, zero: not before something else.
func (s *scheduler) next() time.Time {
	if !s.open || s.closing {
		return time.Time{}
	}
	return s.timers.next()
}

// drained tells, once it is closing, that no job is in memory any more. Connections
// may still be open.
func (s *scheduler) drained() bool { return s.closing && s.loaded == 0 && s.claims == 0 }

func (s *scheduler) handle(ev event) {
	switch ev := ev.(type) {
	case evOpen:
		s.open = true
		s.attendAll()
	case evClose:
		s.close()
	case evParams:
		s.params = ev.params
		for _, d := range s.dests {
			d.win.limit(&s.params, d.name.Transport())
		}
		s.attendAll()
	case evTick: // step looks at the timers in any case
	case evArrived:
		for _, j := range ev.jobs {
			s.arrived(j)
		}
	case evHeads:
		for _, h := range ev.heads {
			s.head(h, ev.revive)
		}
	case evRevive:
		for _, d := range s.dests {
			s.revive(d)
		}
		s.attendAll()
	case evClaimed:
		s.claimed(ev)
	case evDrop:
		s.drop(ev)
	case evSettled:
		s.loaded -= ev.jobs
		for _, h := range ev.heads {
			s.head(h, false)
		}
	case evAsk:
		s.ask(s.conns[ev.conn], ev.linger)
	case evGiveUp:
		s.giveUp(s.conns[ev.conn])
	case evDone:
		s.done(s.conns[ev.conn], ev.verdict, ev.why)
	case evSkip:
		s.skip(s.conns[ev.conn])
	case evExit:
		s.exit(s.conns[ev.conn])
	}
}

func (s *scheduler) do(a action) { s.actions = append(s.actions, a) }

// dest returns a destination's state, which is made when it is new.
func (s *scheduler) dest(name mail.Dest) *destination {
	d := s.dests[name]
	if d == nil {
		d = &destination{name: name, win: s.params.newWindow(name.Transport()), slot: -1}
		s.dests[name] = d
	}
	return d
}

// attend does what a change at d allows, and is called after each: jobs go to
// connections that wait for one, d gets in line for a new connection and for a
// claim, its timer is set, or it is forgotten.
func (s *scheduler) attend(d *destination) {
	if !s.open || s.closing {
		return
	}
	if d.phase(s.now) == dead {
		s.suspend(d.ring, d.why)
		d.ring = nil
	}
	for len(d.ring) > 0 && d.attempts < d.width(s.now) {
		c := s.waitingAt(d)
		if c == nil {
			break
		}
		s.grant(c, d.pop())
	}
	s.queueUp(d)
	if !d.hungry && d.wantsJobs(s.now, &s.params) {
		d.hungry = true
		s.hungry.push(d)
	}
	s.setTimer(d)
	if d.idle(s.now) && d.line == nil && !d.hungry {
		delete(s.dests, d.name)
	}
}

// setTimer wakes d when there is something to look for in the store, when it is dead
// no longer, and when it may be forgotten.
func (s *scheduler) setTimer(d *destination) {
	at := d.nextLook(s.now, &s.params)
	if d.phase(s.now) == dead {
		at = sooner(at, d.deadUntil)
	}
	if d.conns == 0 && d.lately(s.now) {
		at = sooner(at, d.lastDone.Add(streakPause))
	}
	if !at.After(s.now) {
		at = time.Time{} // it is in a list already, or nothing can be done
	}
	s.timers.set(d, at)
}

func (s *scheduler) attendAll() {
	for _, name := range s.names() {
		s.attend(s.dests[name])
	}
}

// names is all destinations, always in the same order.
func (s *scheduler) names() []mail.Dest { return slices.Sorted(maps.Keys(s.dests)) }

// roomFor tells whether a fresh job can be loaded. The second half of memory is for
// destinations with no more than a ring full: one with a flood of mail leaves it to the
// others. What finds no room waits in the store, which costs another write.
func (s *scheduler) roomFor(d *destination) bool {
	switch n, limit := s.loaded+s.coming, s.params.MessageActiveLimit; {
	case n < limit/2:
		return true
	case n >= limit:
		return false
	}
	return len(d.ring)+d.claiming < ringSize
}

// arrived takes a fresh job if there is room.
func (s *scheduler) arrived(j Job) {
	d := s.dest(j.Dest)
	switch {
	case s.closing || !s.roomFor(d):
		s.do(actRelease{[]Job{j}})
	case j.Expired:
		s.loaded++
		s.suspend([]Job{j}, expiredByHand())
	case d.phase(s.now) == dead:
		s.loaded++
		s.suspend([]Job{j}, d.why)
	default:
		s.loaded++
		d.ring = append(d.ring, j)
	}
	s.attend(d)
}

// head notes unclaimed work in the store.
func (s *scheduler) head(h DestHead, revive bool) {
	if s.closing {
		return
	}
	d := s.dest(h.Dest)
	if revive {
		s.revive(d)
	}
	d.hear(h.NextDue, s.now, &s.params)
	s.attend(d)
}

// drop takes the waiting jobs of a message out.
func (s *scheduler) drop(ev evDrop) {
	var jobs []Job
	for _, name := range ev.dests {
		d := s.dests[name]
		if d == nil {
			continue
		}
		d.ring = slices.DeleteFunc(d.ring, func(j Job) bool {
			if j.ID == ev.id {
				jobs = append(jobs, j)
			}
			return j.ID == ev.id
		})
		s.attend(d)
	}
	s.loaded -= len(jobs)
	s.do(actDropped{jobs})
}

// suspend has jobs deferred without an attempt.
func (s *scheduler) suspend(jobs []Job, why trouble) {
	if len(jobs) > 0 {
		s.do(actSuspend{jobs, why})
	}
}

// close refuses work to every connection that waits for some, and gives back what
// waits for a connection.
func (s *scheduler) close() {
	if s.closing {
		return
	}
	s.closing = true
	for len(s.waiting) > 0 {
		s.refuse(s.waiting[0])
	}
	for _, name := range s.names() {
		if d := s.dests[name]; len(d.ring) > 0 {
			s.loaded -= len(d.ring)
			s.do(actRelease{d.ring})
			d.ring = nil
		}
	}
}
