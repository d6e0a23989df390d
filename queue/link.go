package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// link is one run of a Transport: the goroutine, and the mail.Source it pulls from.
// The scheduler knows it as a conn.
type link struct {
	q      *Queue
	id     connID
	dest   mail.Dest
	answer chan grant // of the scheduler, to one question at a time
	asked  bool       // an answer is due or there; the first comes unasked

	mu      sync.Mutex // guards what follows
	current *attempt   // handed out and not reported
	left    bool       // nobody waits for the report of current any more
}

// grant is the scheduler's answer to a wish for work.
type grant struct {
	job Job
	ok  bool
}

func newLink(q *Queue, a actStart) *link {
	l := &link{q: q, id: a.conn, dest: a.dest, answer: make(chan grant, 1), asked: true}
	l.answer <- grant{a.job, true}
	return l
}

func (l *link) run() {
	defer l.exit()
	defer func() {
		if p := recover(); p != nil {
			l.q.warn("delivery agent failed; the message is deferred", fmt.Errorf("panic: %v", p),
				slog.String("destination", string(l.dest)), slog.String("stack", string(debug.Stack())))
		}
	}()
	var t Transport = agents{}
	if !(agents{}).serves(l.dest.Transport()) {
		t = l.q.transport
	}
	t.Work(l.q.work, l.dest, l)
}

// Next implements mail.Source.
func (l *link) Next(ctx context.Context, idle time.Duration) (*mail.Attempt, bool) {
	if current := l.take(nil); current != nil {
		l.q.warn("delivery agent wants work before it has reported", errors.New(string(l.dest)))
		l.unreported(current)
	}
	for {
		if ctx.Err() != nil || l.q.work.Err() != nil {
			return nil, false
		}
		g := l.wait(ctx, idle)
		if !g.ok {
			return nil, false
		}
		if a := l.q.open(g.job); a != nil {
			l.mu.Lock()
			l.current = a
			l.mu.Unlock()
			return &a.Attempt, true
		}
		l.q.tell(evSkip{l.id})
	}
}

// wait asks the scheduler for a job, and waits for one no longer than idle and ctx.
func (l *link) wait(ctx context.Context, idle time.Duration) grant {
	if !l.asked {
		l.asked = true
		l.q.tell(evAsk{l.id, idle > 0 && ctx.Err() == nil})
	}
	timer := time.NewTimer(max(idle, 0))
	defer timer.Stop()
	var g grant
	select {
	case g = <-l.answer:
	case <-timer.C:
		l.q.tell(evGiveUp{l.id})
		g = <-l.answer
	case <-ctx.Done():
		l.q.tell(evGiveUp{l.id})
		g = <-l.answer
	}
	l.asked = false
	return g
}

// Done implements mail.Source.
func (l *link) Done(a *mail.Attempt, results []mail.Result, f mail.Feedback) {
	current := l.take(a)
	if current == nil {
		return
	}
	ev := evDone{conn: l.id, verdict: good, reply: refusalIn(results)}
	if f == mail.FeedbackBad {
		ev.verdict, ev.why = bad, troubleIn(results)
		current.trouble = true
	}
	l.q.finish(current, results)
	l.q.tell(ev)
}

// take ends the state of having an attempt. It returns nil when a is not the attempt
// that was handed out; a nil a stands for whichever it is.
func (l *link) take(a *mail.Attempt) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.current
	if current == nil || a != nil && a != &current.Attempt {
		if a != nil && !l.left {
			l.q.warn("delivery agent reports what it was not given", errors.New(string(l.dest)))
		}
		return nil
	}
	l.current = nil
	return current
}

// exit closes the books of a run. What it did not report is deferred, and so is what
// it did not even take, unless it was told to stop before it could.
func (l *link) exit() {
	if current := l.take(nil); current != nil {
		l.unreported(current)
	} else if l.asked {
		if g := <-l.answer; g.ok {
			l.untaken(g.job)
		}
	}
	l.q.tell(evExit{l.id})
	l.q.mu.Lock()
	delete(l.q.links, l.id)
	l.q.mu.Unlock()
}

func (l *link) unreported(a *attempt) {
	l.q.finish(a, nil)
	l.q.tell(evDone{conn: l.id, verdict: neutral})
}

func (l *link) untaken(j Job) {
	if l.q.work.Err() == nil {
		l.q.warn("delivery agent took nothing; the message is deferred", errors.New(string(l.dest)))
		if a := l.q.open(j); a != nil {
			l.unreported(a)
			return
		}
	} else {
		l.q.abandon(j, time.Time{})
	}
	l.q.tell(evSkip{l.id})
}

// leave gives the attempt under way back to the store, whatever becomes of it: the
// process is about to end. removed: an operator has deleted the message meanwhile.
func (l *link) leave() (job Job, removed, ok bool) {
	l.mu.Lock()
	current := l.current
	l.current, l.left = nil, true
	l.mu.Unlock()
	if current == nil {
		return Job{}, false, false
	}
	removed = l.q.rounds.isRemoved(current.job.ID)
	l.q.abandon(current.job, time.Time{})
	return current.job, removed, true
}

// refusalIn is the first reply of a host that it does not take the mail now.
func refusalIn(results []mail.Result) trouble {
	for _, r := range results {
		if r.State == mail.Deferred && r.RemoteMTA != "" {
			return trouble{status: r.Status, reason: r.Reason}
		}
	}
	return trouble{}
}

// troubleIn is the first thing that went wrong.
func troubleIn(results []mail.Result) trouble {
	for _, r := range results {
		if r.State != mail.Delivered {
			return trouble{status: r.Status, reason: r.Reason}
		}
	}
	return trouble{status: mail.Status{Enhanced: mail.Code(4, 4, 2)}, reason: "lost connection"}
}
