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
// Sites take turns for connections, and at a site its destinations do; for room in memory
// destinations take turns. A slow site keeps at most its window of connections, and a slow
// destination half of the memory.
type scheduler struct {
	params Params
	jitter func() float64 // around 1, to keep what failed together apart
	asks   bool           // which site a destination is at; else each is one of its own

	now     time.Time // of the event being handled
	actions []action  // its answer so far

	open, closing bool
	dests         map[mail.Dest]*destination
	held          map[mail.Dest]*trouble // by the names of evHold
	sites         map[string]*site
	gates         map[string]*gate // by transport
	timers        timers
	first, more   line[*site]              // have a job and want a connection: the first, another
	hungry        line[*destination]       // have due jobs in the store
	lost          line[*destination]       // wait to be located
	locates       int                      // under way
	asked         [locatesAtOnce]time.Time // when the last so many of them began
	nextAsked     int                      // the oldest of these

	conns   map[connID]*conn
	waiting []*conn // for work, the longest wait first
	leaving int     // refused, not yet closed
	lent    int     // for attempts of others
	stuck   int     // with an attempt that has lasted too long
	looked  time.Time
	lastID  connID

	loaded int // jobs in memory
	claims int // under way
	coming int // jobs that these may bring
	behind int // jobs that found no room when they came, and wait in the store
}

func newScheduler(p Params, jitter func() float64) *scheduler {
	return &scheduler{
		params: p, jitter: jitter,
		dests: map[mail.Dest]*destination{}, held: map[mail.Dest]*trouble{}, sites: map[string]*site{}, gates: map[string]*gate{}, conns: map[connID]*conn{},
	}
}

// step takes an event that happened at now.
func (s *scheduler) step(now time.Time, ev event) []action {
	s.now, s.actions = now, nil
	s.handle(ev)
	if s.open && !s.closing {
		for a := s.timers.take(now); a != nil; a = s.timers.take(now) {
			if a.dest != nil {
				s.attend(a.dest)
			} else {
				s.attendSite(a.site)
			}
		}
		s.locateLost()
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
	at := s.timers.next()
	if s.crowded() {
		at = sooner(at, s.looked.Add(stuckLook))
	}
	if len(s.lost) > 0 && s.locates < locatesMost {
		at = sooner(at, s.locateNext())
	}
	return at
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
		for _, st := range s.sites {
			s.configure(st)
		}
		s.attendAll()
	case evTick: // step looks at the timers in any case
	case evArrived:
		for _, j := range ev.jobs {
			s.arrived(j)
		}
	case evHeads:
		for _, h := range ev.heads {
			s.head(h, ev.probe, ev.revive)
		}
	case evFlush:
		s.flush(ev)
	case evHold:
		s.hold(ev)
	case evLocated:
		s.place(ev)
	case evClaimed:
		s.claimed(ev)
	case evDrop:
		s.drop(ev)
	case evSettled:
		s.loaded -= ev.jobs
		for _, h := range ev.heads {
			s.head(h, false, false)
		}
	case evAsk:
		s.ask(s.conns[ev.conn], ev.linger)
	case evGiveUp:
		s.giveUp(s.conns[ev.conn])
	case evDone:
		s.done(s.conns[ev.conn], ev)
	case evSkip:
		s.skip(s.conns[ev.conn])
	case evExit:
		s.exit(s.conns[ev.conn])
	case evLend:
		s.lend(ev)
	case evEndLend:
		s.endLend(ev)
	case evAdopted:
		s.loaded += ev.jobs
	}
}

func (s *scheduler) do(a action) { s.actions = append(s.actions, a) }

// dest returns a destination's state, which is made when it is new.
func (s *scheduler) dest(name mail.Dest) *destination {
	d := s.dests[name]
	if d == nil {
		d = &destination{name: name, hold: s.heldBy(name)}
		d.alarm = alarm{slot: -1, dest: d}
		s.dests[name] = d
		if !s.asks || (agents{}).serves(name.Transport()) {
			s.attach(d, string(name), mail.SiteLimits{})
		}
	}
	return d
}

// attend does what a change at d allows, and is called after each: it is located, its
// site is attended, it gets in line for a claim, its alarm is set, or it is forgotten.
func (s *scheduler) attend(d *destination) {
	if !s.open || s.closing {
		return
	}
	if d.phase(s.now) == dead {
		s.suspend(d.take(every), d.why())
	}
	s.locate(d)
	if d.phase(s.now) == dead { // at a site that is
		s.suspend(d.take(every), d.why())
	}
	if d.site != nil {
		s.standInLine(d)
		s.attendSite(d.site)
	}
	s.lookForJobs(d)
	s.setAlarm(d)
	if d.idle(s.now) {
		s.timers.set(&d.alarm, time.Time{})
		s.detach(d)
		delete(s.dests, d.name)
	}
}

// lookForJobs puts d in line for a claim, if it wants one.
func (s *scheduler) lookForJobs(d *destination) {
	if d.hungry || d.starved || !d.wantsJobs(s.now, &s.params) {
		return
	}
	if st := d.site; st != nil {
		if st.full() && d.phase(s.now) != dead {
			d.starved = true
			st.starved.push(d)
			return
		}
		st.hungry++
	}
	d.hungry = true
	s.hungry.push(d)
}

// setAlarm wakes d when there is something to look for in the store, and when it may be
// forgotten.
func (s *scheduler) setAlarm(d *destination) {
	at := d.nextLook(s.now, &s.params)
	if at.IsZero() && d.site != nil && d.phase(s.now) == dead {
		at = d.site.deadUntil
	}
	if d.conns == 0 && d.lately(s.now) {
		at = sooner(at, d.lastDone.Add(streakPause))
	}
	if !at.After(s.now) {
		at = time.Time{} // it is in a line already, or nothing can be done
	}
	s.timers.set(&d.alarm, at)
}

func (s *scheduler) attendAll() {
	for _, name := range s.names() {
		if d := s.dests[name]; d != nil {
			s.attend(d)
		}
	}
}

// names is all destinations, always in the same order.
func (s *scheduler) names() []mail.Dest { return slices.Sorted(maps.Keys(s.dests)) }

// roomFor tells whether a fresh job can be loaded. The second half of memory is for
// destinations with no more than a ring full, at sites with no more than four: one with a
// flood of mail leaves it to the others. What finds no room waits in the store, which costs another write.
func (s *scheduler) roomFor(d *destination) bool {
	switch n, limit := s.loaded+s.coming, s.params.MessageActiveLimit; {
	case n < limit/2:
		return true
	case n >= limit:
		return false
	}
	return d.waiting()+d.claiming < ringSize && (d.site == nil || d.site.waiting < siteShare)
}

// arrived takes a fresh job if there is room.
func (s *scheduler) arrived(j Job) {
	d := s.dest(j.Dest)
	switch {
	case s.closing || !s.roomFor(d):
		s.behind++
		s.do(actRelease{[]Job{j}})
	case j.Expired:
		s.loaded++
		s.suspend([]Job{j}, expiredByHand())
	case d.phase(s.now) == dead:
		s.loaded++
		s.suspend([]Job{j}, d.why())
	default:
		s.loaded++
		d.push(j, j.Attempts > 0)
	}
	s.attend(d)
}

// head notes unclaimed work in the store.
func (s *scheduler) head(h DestHead, probe, revive bool) {
	if s.closing {
		return
	}
	d := s.dest(h.Dest)
	d.hear(h.NextDue, s.now, &s.params)
	switch {
	case revive:
		s.revive(d.site)
	case probe:
		s.probeNow(d.site)
	}
	s.attend(d)
}

// flush makes all that waits due. A dead site gets one attempt now, and the rest when that
// succeeds: a thousand more would not make it answer.
func (s *scheduler) flush(ev evFlush) {
	if ev.all {
		for _, d := range s.dests {
			d.rouse(Wake{Before: s.now, All: true})
		}
		for _, st := range s.sites {
			if st.phase(s.now) == dead {
				st.deadUntil = s.now
			}
		}
		s.attendAll()
		return
	}
	for _, name := range ev.dests {
		if d := s.dests[name]; d != nil {
			d.rouse(Wake{Before: s.now, All: true})
			s.probeNow(d.site)
			s.attend(d)
		}
	}
}

// drop takes the waiting jobs of a message out.
func (s *scheduler) drop(ev evDrop) {
	var jobs []Job
	for _, name := range ev.dests {
		d := s.dests[name]
		if d == nil {
			continue
		}
		jobs = append(jobs, d.take(func(j *Job) bool { return j.ID == ev.id })...)
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
		s.serveLends(s.dests[name])
		if jobs := s.dests[name].take(every); len(jobs) > 0 {
			s.loaded -= len(jobs)
			s.do(actRelease{jobs})
		}
	}
}
