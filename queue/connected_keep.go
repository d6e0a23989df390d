package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// What the answers of the next hops, or their absence, make of a message.

// tally is how the legs stand.
type tally struct {
	ending, dropped int // legs
	sent, refused   int // recipients
	replied         int // those that were put off by a reply to them
	first           *mail.Result
}

// decide ends the wait: the legs that have sent nothing are given up, and the client has its
// answer. why is why not all legs have reported.
func (r *relay) decide(ctx context.Context, why string) (mail.Relayed, error) {
	r.mu.Lock()
	r.waits = false
	for _, l := range r.legs {
		if l.state < legEnding {
			l.drop()
		}
	}
	t := r.count()
	gone := r.hasLeft()
	r.mu.Unlock()
	whole := t.dropped+t.ending == 0
	switch n := len(r.env.Rcpts); {
	case whole && t.sent == n:
		return r.sent(ctx, &t), nil
	case whole && t.refused == n && !r.before, whole && t.replied == n && !r.before && r.with.Pass:
		return r.refused(&t), nil
	case gone && t.ending == 0 && t.sent == 0:
		// It sends the message again, or has been told that it is not taken. Nobody has it.
		r.body.end()
		r.q.logConnected(r.env.ID, "dropped: the client has left, and nobody has the message")
		r.q.event("qmgr", mail.EventRemoved, r.env.ID)
		return mail.Relayed{}, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Error: lost connection"}
	}
	if why == "" {
		why = "not taken by all next hops"
	}
	return r.keep(ctx, why)
}

// count needs r.mu.
func (r *relay) count() tally {
	var t tally
	for _, l := range r.legs {
		switch l.state {
		case legEnding:
			t.ending++
		case legDropped:
			t.dropped++
		}
		for i := range l.results {
			res := &l.results[i]
			if t.first == nil {
				t.first = res
			}
			switch res.State {
			case mail.Delivered:
				t.sent++
			case mail.Failed:
				t.refused++
			default:
				if c := res.Status.Code; res.RemoteMTA != "" && c/100 == 4 && c != 421 {
					t.replied++
				}
			}
		}
	}
	return t
}

// sent is a message that all have. It leaves no trace but in the log.
func (r *relay) sent(ctx context.Context, t *tally) mail.Relayed {
	r.logLegs(func(*mail.Result) string { return "sent" })
	r.tellSuccess(ctx)
	r.body.end()
	r.q.event("qmgr", mail.EventRemoved, r.env.ID)
	r.q.logConnected(r.env.ID, "sent")
	return mail.Relayed{Reply: t.first, Heard: r.hearing()}
}

// refused is a message that nobody takes. The client is told, and nothing is kept.
func (r *relay) refused(t *tally) mail.Relayed {
	r.body.end()
	r.logLegs(func(*mail.Result) string { return "undeliverable" })
	r.q.event("qmgr", mail.EventRemoved, r.env.ID)
	r.q.logConnected(r.env.ID, "refused")
	return mail.Relayed{Refused: t.first}
}

// logLegs logs what the legs have reported, each with a status; "": not at all.
func (r *relay) logLegs(status func(*mail.Result) string) {
	now := r.q.now()
	for _, l := range r.legs {
		at := &attempt{Attempt: mail.Attempt{Env: r.env, Active: r.active, Started: l.started}}
		results := l.reported()
		for i := range results {
			if s := status(&results[i]); s != "" {
				r.q.logResult(at, &results[i], s, now)
			}
		}
	}
}

// keep queues what is left of the message: recipients that nobody was reached for, or who did
// not take it, and those whose leg goes on. Who has it is no part of that.
func (r *relay) keep(ctx context.Context, why string) (mail.Relayed, error) {
	q := r.q
	stored := *r.env
	stored.Rcpts = nil
	index := make(map[int]int)
	has := r.havers()
	for i := range r.env.Rcpts {
		if !has[i] {
			index[i] = len(stored.Rcpts)
			stored.Rcpts = append(stored.Rcpts, r.env.Rcpts[i])
		}
	}
	if len(stored.Rcpts) == 0 { // the last has just got it
		r.mu.Lock()
		t := r.count()
		r.mu.Unlock()
		return r.sent(ctx, &t), nil
	}
	if r.has(legEnding) {
		stored.Flags |= mail.FlagMayHaveArrived
	}
	var jobs []Job
	err := r.body.move(func() (err error) {
		// What may have been delivered is to be kept whatever becomes of the client.
		jobs, err = r.d.staged.Commit(context.WithoutCancel(ctx), &stored)
		return err
	})
	if err != nil {
		return r.notKept(ctx, err)
	}
	r.logLegs(func(res *mail.Result) string {
		if has[res.Rcpt] {
			return "sent"
		}
		return ""
	})
	q.logConnected(r.env.ID, "queued: "+why)
	r.tellExpansion(ctx, has)
	r.adopt(jobs, index)
	return mail.Relayed{Heard: r.hearing()}, nil
}

// havers are the recipients that have the message, as far as that is known.
func (r *relay) havers() map[int]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := make(map[int]bool)
	for _, l := range r.legs {
		for i := range l.results {
			if l.results[i].State == mail.Delivered {
				has[l.results[i].Rcpt] = true
			}
		}
	}
	return has
}

// adopt makes the jobs of a message that is in the store now those of its legs. What was not
// begun, or given up, is new mail.
func (r *relay) adopt(jobs []Job, index map[int]int) {
	q := r.q
	loaded := q.rounds.enter(jobs, r.active)
	if rd := q.rounds.of(r.env.ID); rd != nil {
		rd.logged.Do(func() {}) // it was
		q.rounds.told(rd)
	}
	legs := make(map[mail.Dest]*leg, len(r.legs))
	for _, l := range r.legs {
		legs[l.dest] = l
	}
	var fresh, ours []Job
	r.mu.Lock()
	for _, j := range loaded {
		if l := legs[j.Dest]; l == nil || l.state == legDropped {
			fresh = append(fresh, j)
		} else {
			ours = append(ours, j)
		}
	}
	r.mu.Unlock()
	q.tell(evAdopted{len(ours)})
	var done []*leg
	q.mu.Lock()
	r.mu.Lock()
	for _, j := range ours {
		l := legs[j.Dest]
		l.adopted, l.job, l.index = true, j, index
		if l.state == legDone {
			done = append(done, l)
		} else {
			q.legs[l] = true
		}
	}
	r.mu.Unlock()
	q.mu.Unlock()
	for _, l := range done {
		q.settleLeg(l)
	}
	if len(fresh) > 0 {
		q.tell(evArrived{fresh})
	}
}

// settleLeg takes the report of a leg whose message is in the store.
func (q *Queue) settleLeg(l *leg) {
	q.mu.Lock()
	delete(q.legs, l)
	q.mu.Unlock()
	at := q.open(l.job)
	if at == nil { // an operator was faster
		return
	}
	at.Active, at.Started, at.trouble = l.r.active, l.started, l.trouble
	results := make([]mail.Result, 0, len(l.results))
	for _, res := range l.results {
		if n, kept := l.index[res.Rcpt]; kept {
			res.Rcpt = n
			results = append(results, res)
		}
	}
	q.finish(at, results)
}

// notKept is for a store that did not take the message. What was sent cannot be taken back:
// if nobody is left without it, all is well after all; else the client sends it again, and
// those who have it are left out then.
func (r *relay) notKept(ctx context.Context, err error) (mail.Relayed, error) {
	refused := r.q.refusal("store a message", err)
	for r.has(legEnding) {
		select {
		case <-r.poked:
		case <-r.q.ctx.Done():
			return mail.Relayed{}, refused
		}
	}
	r.mu.Lock()
	t := r.count()
	r.mu.Unlock()
	if t.sent == len(r.env.Rcpts) {
		return r.sent(ctx, &t), nil
	}
	r.logLegs(func(res *mail.Result) string {
		if res.State == mail.Delivered {
			return "sent"
		}
		return "undeliverable"
	})
	if t.sent > 0 {
		r.q.unheard.add(r.trace, r.env.ID, r.trace.original(r.havers()))
		r.q.log.Warn(fmt.Sprintf("relay while connected: sent to %d of %d recipients, and the rest cannot be kept: the client is to send it again, for the others alone",
			t.sent, len(r.env.Rcpts)), slog.String(mail.KeyDaemon, "qmgr"), slog.String(mail.KeyQueueID, r.env.ID.String()))
	}
	r.q.event("qmgr", mail.EventRemoved, r.env.ID)
	return mail.Relayed{}, refused
}

// warnTwice tells of a message whose leg was not heard of any more: the process ended, perhaps
// by force, and this is a later one.
func (q *Queue) warnTwice(r *round, env *mail.Envelope) {
	if env.Flags&mail.FlagMayHaveArrived == 0 || !env.Arrived.Before(q.began) || !q.rounds.untried(r) {
		return
	}
	q.log.Warn("relay while connected: its content was sent before the mail system stopped: it may be sent more than once",
		slog.String(mail.KeyDaemon, "qmgr"), slog.String(mail.KeyQueueID, env.ID.String()))
}

// leaveLegs gives back what legs are about that do not come to their end: the process is
// about to end.
func (q *Queue) leaveLegs() {
	q.mu.Lock()
	var all []*leg
	for l := range q.legs {
		all = append(all, l)
	}
	clear(q.legs)
	q.mu.Unlock()
	for _, l := range all {
		l.r.mu.Lock()
		report := l.state == legDone
		l.left = true
		l.r.mu.Unlock()
		if report {
			continue
		}
		q.logCutShort(l.job, q.rounds.isRemoved(l.job.ID))
		q.abandon(l.job, time.Time{})
	}
}
