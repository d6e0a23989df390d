package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"aliasmx/internal/mail"
)

// leg is the attempt at one destination of a message whose client waits: the goroutine, and
// the mail.Source it pulls from. What is not stated otherwise is guarded by the relay's lock;
// that is never held while the scheduler is told something.
type leg struct {
	r     *relay
	dest  mail.Dest
	rcpts []int // of r.env
	wish  lendID

	state   legState
	conn    connID
	started time.Time
	until   context.Context // ends when the leg is given up
	giveUp  context.CancelFunc

	results []mail.Result // one for each of rcpts, once it is done
	trouble bool
	// Of a leg whose message was queued before it was done:
	adopted bool
	job     Job
	index   map[int]int // of recipients of r.env in the envelope that the store has
	left    bool        // the process ends: nobody waits for it any more
}

// legState is how far a leg is. Only one that is ending or done may have delivered anything.
type legState uint8

const (
	legAsking  legState = iota // for a connection
	legLent                    // has one
	legRunning                 // has begun
	legEnding                  // the end of the content may be on its way
	legDone                    // has reported
	legDropped                 // there is no connection, or it was given up
)

// lent is the answer to the leg's wish.
func (l *leg) lent(c connID, ok bool) {
	l.r.mu.Lock()
	keep := ok && l.state == legAsking && l.r.waits
	switch {
	case keep:
		l.state, l.conn = legLent, c
	case l.state == legAsking:
		l.state = legDropped
	}
	l.r.mu.Unlock()
	if ok && !keep {
		l.r.q.tell(evSkip{c})
		l.r.q.tell(evExit{c})
	}
	l.r.poke()
}

// start begins the attempt.
func (l *leg) start() {
	q := l.r.q
	l.r.mu.Lock()
	l.state, l.started = legRunning, q.now()
	var work context.Context
	work, stop := context.WithCancel(q.work)
	l.until, l.giveUp = context.WithCancel(q.ctx)
	end := context.AfterFunc(l.until, stop)
	l.r.mu.Unlock()
	q.tasks.Go(func() {
		defer stop()
		defer end()
		l.run(work)
	})
}

func (l *leg) run(ctx context.Context) {
	q := l.r.q
	defer func() {
		l.Done(nil, nil, mail.FeedbackGood) // if it has not reported
		q.tell(evExit{l.conn})
		l.giveUp()
	}()
	defer func() {
		if p := recover(); p != nil {
			q.warn("delivery agent failed; the message is deferred", fmt.Errorf("panic: %v", p),
				slog.String("destination", string(l.dest)), slog.String("stack", string(debug.Stack())))
		}
	}()
	q.transport.Work(ctx, l.dest, &legSource{leg: l})
}

// legSource is the one attempt of a leg as a mail.Source.
type legSource struct {
	*leg
	given *mail.Attempt
}

// Next implements mail.Source.
func (s *legSource) Next(context.Context, time.Duration) (*mail.Attempt, bool) {
	if s.given != nil {
		return nil, false
	}
	r := s.r
	s.given = &mail.Attempt{
		Env: r.env, Body: r.body, Dest: s.dest, Rcpts: deliveryOrder(r.env, s.rcpts),
		Until: s.until, Ending: s.ending, Active: r.active, Started: s.started,
	}
	return s.given, true
}

// Done implements mail.Source.
func (s *legSource) Done(a *mail.Attempt, results []mail.Result, f mail.Feedback) {
	if a == nil || a != s.given {
		s.r.q.warn("delivery agent reports what it was not given", errors.New(string(s.dest)))
		return
	}
	s.leg.Done(a, results, f)
}

// ending is asked before the end of the content leaves. From then on the message may have
// arrived, and nothing gives the leg up any more. A client that has left sends the message
// again: then none of it is to arrive now.
func (l *leg) ending() bool {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.state == legRunning && r.waits && r.with.Gone != nil && r.with.Gone():
		r.gone = true
		l.drop()
		r.poke()
		return false
	case l.state == legRunning:
		l.state = legEnding
	}
	return l.state == legEnding
}

// drop gives the leg up. It needs the relay's lock.
func (l *leg) drop() {
	l.state = legDropped
	if l.giveUp != nil {
		l.giveUp()
	}
}

// Done takes the leg's report; a second one is none.
func (l *leg) Done(a *mail.Attempt, results []mail.Result, f mail.Feedback) {
	r, q := l.r, l.r.q
	r.mu.Lock()
	reported := l.state == legDone
	dropped := l.state == legDropped
	if !reported && !dropped {
		l.results = completeResults(l.rcpts, l.dest, results)
		l.trouble = f == mail.FeedbackBad
		l.state = legDone
	}
	adopted := l.adopted && !reported && !l.left
	r.mu.Unlock()
	if reported {
		return
	}
	ev := evDone{conn: l.conn, verdict: good, reply: refusalIn(results)}
	switch {
	case dropped && a != nil:
		q.tell(evSkip{l.conn})
		return
	case dropped:
		return // it was told before
	case a == nil:
		ev.verdict = neutral
	case f == mail.FeedbackBad:
		ev.verdict, ev.why = bad, troubleIn(results)
	}
	if adopted {
		q.settleLeg(l)
	}
	q.tell(ev)
	r.poke()
}

// completeResults gives each recipient one result that makes sense.
func completeResults(rcpts []int, dest mail.Dest, results []mail.Result) []mail.Result {
	return complete(&attempt{Attempt: mail.Attempt{Dest: dest, Rcpts: rcpts}}, results)
}

// reported is what the leg has reported: nothing as long as it has not.
func (l *leg) reported() []mail.Result {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.results
}
