package verify

import (
	"context"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Each destination has a lane, in which probes wait for one of its few connections. One
// connection takes several probes when several wait. A destination that could not be
// reached is left alone for minimal_backoff_time, and what waits for it is told why.

// lane is one destination with probes, or one that is dead.
type lane struct {
	dest    mail.Dest
	waiting []*flight
	workers int
	queued  bool      // is in the backlog
	dead    time.Time // until then
	why     mail.Result
}

// turn is how many probes a connection takes before other destinations have theirs.
const turn = 20

// maxLanes is how many destinations are remembered for being dead.
const maxLanes = 10_000

// enter puts a probe into the lane of its destination.
func (v *Verifier) enter(f *flight, dest mail.Dest) {
	f.dest, f.active = dest, v.now()
	v.logActive(f, 1)
	v.mu.Lock()
	l := v.lanes[dest]
	if l == nil {
		v.sweep()
		l = &lane{dest: dest}
		v.lanes[dest] = l
	}
	if v.now().Before(l.dead) {
		r := suspended(l.why)
		v.mu.Unlock()
		f.started = f.active
		v.result(f, &r)
		return
	}
	l.waiting = append(l.waiting, f)
	v.queue(l)
	v.start()
	v.mu.Unlock()
}

// suspended is why a probe for a dead destination is not sent, in the words of qmgr(8).
func suspended(r mail.Result) mail.Result {
	const prefix = "delivery temporarily suspended: "
	code := r.Status.Enhanced
	code[0] = 4
	return decided(mail.Deferred, "error", code, prefix+strings.TrimPrefix(r.Reason, prefix))
}

// queue puts a lane that could use a connection into the backlog. The caller holds v.mu.
func (v *Verifier) queue(l *lane) {
	if !l.queued && l.workers < min(len(l.waiting), v.params.DestConcurrency) {
		l.queued = true
		v.backlog = append(v.backlog, l)
	}
}

// start gives the backlog the connections that are free, one to each lane in its turn.
// The caller holds v.mu.
func (v *Verifier) start() {
	for len(v.backlog) > 0 && v.slots < v.params.ProcessLimit && !v.stopped {
		l := v.backlog[0]
		v.backlog = v.backlog[1:]
		l.queued = false
		if l.workers >= min(len(l.waiting), v.params.DestConcurrency) {
			continue
		}
		v.slots++
		l.workers++
		v.queue(l)
		v.wg.Go(func() { v.work(l) })
	}
}

// work is one connection's turn, and what follows from its end.
func (v *Verifier) work(l *lane) {
	s := &source{v: v, l: l}
	v.transport.Work(v.ctx, l.dest, s)
	s.abandon()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slots--
	l.workers--
	if len(l.waiting) == 0 && l.workers == 0 && !v.now().Before(l.dead) {
		delete(v.lanes, l.dest)
	}
	v.queue(l)
	v.start()
}

// sweep forgets lanes that are empty and no longer dead; all that are empty when there
// are too many. The caller holds v.mu.
func (v *Verifier) sweep() {
	if len(v.lanes) < maxLanes {
		return
	}
	now, any := v.now(), len(v.lanes) >= 2*maxLanes
	for dest, l := range v.lanes {
		if l.workers == 0 && len(l.waiting) == 0 && (any || !now.Before(l.dead)) {
			delete(v.lanes, dest)
		}
	}
}

// source hands the probes of a lane to a connection. It is used by one goroutine.
type source struct {
	v     *Verifier
	l     *lane
	given int
	out   *flight
}

// Next implements mail.Source. A connection does not wait for probes: they are rare, and
// the server's patience is for mail.
func (s *source) Next(ctx context.Context, _ time.Duration) (*mail.Attempt, bool) {
	s.abandon()
	v, l := s.v, s.l
	v.mu.Lock()
	if len(l.waiting) == 0 || s.given == turn || v.stopped {
		v.mu.Unlock()
		return nil, false
	}
	f := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	v.mu.Unlock()
	s.given++
	s.out = f
	f.started = v.now()
	return &mail.Attempt{Env: f.env, Dest: l.dest, Rcpts: []int{0}, Probe: true, Active: f.active, Started: f.started}, true
}

// Done implements mail.Source.
func (s *source) Done(_ *mail.Attempt, results []mail.Result, feedback mail.Feedback) {
	f := s.out
	if f == nil {
		return
	}
	s.out = nil
	r := decided(mail.Deferred, "error", mail.Code(4, 3, 0), "unknown mail transport error")
	if len(results) > 0 {
		r = results[0]
	}
	s.v.judge(s.l, r, feedback)
	s.v.result(f, &r)
}

// abandon answers a probe that was taken and never reported.
func (s *source) abandon() {
	if s.out != nil {
		s.Done(nil, nil, mail.FeedbackGood)
	}
}

// judge notes whether a destination is dead. If so, the probes that wait for it are told.
func (v *Verifier) judge(l *lane, why mail.Result, feedback mail.Feedback) {
	var left []*flight
	v.mu.Lock()
	if feedback == mail.FeedbackGood {
		l.dead = time.Time{}
	} else {
		l.dead, l.why = v.now().Add(v.params.Backoff), why
		left, l.waiting = l.waiting, nil
	}
	v.mu.Unlock()
	for _, f := range left {
		f.started = v.now()
		r := suspended(why)
		v.result(f, &r)
	}
}
