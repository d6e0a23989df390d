package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"aliasmx/internal/mail"
)

// The way of a job from the store to an attempt, and from its results back to the
// store. Every job that was loaded leaves memory by exactly one of abandon (nothing
// is recorded) and recorded.

// open makes an attempt of a job. It returns nil when there is nothing to attempt; the
// job has left memory then.
func (q *Queue) open(j Job) *attempt {
	env, body, err := q.store.Load(q.ctx, j.ID)
	if err == nil && slices.ContainsFunc(j.Rcpts, func(i int) bool { return i < 0 || i >= len(env.Rcpts) }) {
		err = ErrCorrupt
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrNotFound): // an operator was faster
		q.abandon(j, time.Time{})
		return nil
	case errors.Is(err, ErrCorrupt):
		q.warn("corrupt queue entry; it is not delivered, look at it in the corrupt queue", err, idAttr(j.ID))
		q.abandon(j, time.Time{})
		return nil
	default:
		if q.ctx.Err() == nil {
			q.warn("cannot read a message; trying again in a minute", err, idAttr(j.ID))
		}
		q.abandon(j, q.now().Add(claimRetry))
		return nil
	}
	r := q.rounds.of(j.ID)
	q.logActive(r, env)
	return &attempt{
		job: j,
		Attempt: mail.Attempt{
			Env: env, Body: body, Dest: j.Dest, Rcpts: deliveryOrder(env, j.Rcpts),
			Active: r.active, Started: q.now(),
		},
	}
}

// abandon gives a loaded job without an outcome back to the store, which has it due
// again at a time, or knows itself.
func (q *Queue) abandon(j Job, again time.Time) {
	q.leave(j)
	q.store.Release([]Job{j})
	q.tell(evSettled{jobs: 1, heads: []DestHead{{Dest: j.Dest, NextDue: again}}})
}

// suspend defers jobs without an attempt.
func (q *Queue) suspend(a actSuspend) {
	for _, j := range a.jobs {
		at := q.open(j)
		if at == nil {
			continue
		}
		results := make([]mail.Result, len(j.Rcpts))
		for i, n := range j.Rcpts {
			results[i] = mail.Result{
				Rcpt: n, State: mail.Deferred, Status: a.why.status,
				Reason: a.why.reason, Agent: "error", Relay: "none",
			}
		}
		at.trouble = true
		q.finish(at, results)
	}
}

// finish takes the results of an attempt.
func (q *Queue) finish(a *attempt, results []mail.Result) {
	now, params := q.now(), q.params.Load()
	results = complete(a, results)
	var soft map[int]bool
	switch {
	case params.SoftBounce:
		soft = soften(results)
	case q.rounds.isRequeued(a.Env.ID):
		soften(results) // where it failed it is not to go any more
	}
	for i := range results {
		q.logDelivery(a, &results[i], soft[results[i].Rcpt], now)
	}
	out := q.rounds.finish(decide(params, a, results, now, q.jitter()))
	if len(out) > 0 {
		q.settle(a.Env, a.Body, out)
	}
}

// settleHeld records outcomes that waited for a job which has none itself.
func (q *Queue) settleHeld(id mail.QueueID, out []pending) {
	env, body, err := q.store.Load(q.ctx, id)
	if err == nil {
		q.settle(env, body, out)
		return
	}
	if !errors.Is(err, ErrNotFound) && q.ctx.Err() == nil {
		q.warn("cannot read a message; it will be tried again", err, idAttr(id))
	}
	for _, p := range out {
		q.forfeit(p.job)
	}
}

// forfeit gives a job back whose outcome cannot be recorded. It will be tried again.
func (q *Queue) forfeit(j Job) {
	aside := q.rounds.written(j)
	q.store.Release([]Job{j})
	q.tell(evSettled{jobs: 1, heads: []DestHead{{Dest: j.Dest, NextDue: q.now().Add(claimRetry)}}})
	q.giveBack(aside)
}

// settle has the reports written that outcomes of one message call for, and records
// both.
func (q *Queue) settle(env *mail.Envelope, body mail.Body, out []pending) {
	rec := &recording{env: env, out: out, notices: q.reports(env, body, out)}
	for i := range out {
		if out[i].expired != "" && !out[i].removed {
			q.event("qmgr", mail.EventExpired, env.ID,
				slog.String(mail.KeyFrom, env.Sender.String()), slog.String(mail.KeyStatus, out[i].expired))
			break
		}
	}
	q.record(rec)
}

// recording is outcomes of one message on their way to the store, in one commit with the
// reports that they call for.
type recording struct {
	env     *mail.Envelope
	out     []pending
	notices []notice
}

func (q *Queue) record(rec *recording) {
	o := rec.out[0].outcome()
	for i := range rec.out[1:] {
		o.Also = append(o.Also, rec.out[1+i].outcome())
	}
	for _, n := range rec.notices {
		o.Emit = append(o.Emit, n.Emission)
	}
	q.store.Apply(o, func(a Applied) { q.recorded(rec, a) })
}

func (p *pending) outcome() Outcome {
	return Outcome{Job: p.job, Results: p.final(), NextDue: p.next, Trouble: p.trouble}
}

// recorded is called when a recording is on stable storage, or could not be put there.
func (q *Queue) recorded(rec *recording, a Applied) {
	if a.Err != nil {
		q.unrecorded(rec, a.Err)
		return
	}
	var actions []action
	for _, n := range rec.notices {
		jobs := slices.Clone(a.Jobs)
		jobs = slices.DeleteFunc(jobs, func(j Job) bool { return j.ID != n.Env.ID })
		if len(jobs) > 0 {
			q.logNotice(rec.env.ID, n)
			actions = append(actions, q.arrive(n.Env, jobs)...)
		}
	}
	if a.Removed {
		q.event("qmgr", mail.EventRemoved, rec.env.ID)
	}
	q.perform(actions)

	settled := evSettled{jobs: len(rec.out)}
	var aside []Job
	for i := range rec.out {
		p := &rec.out[i]
		if p.count(mail.Deferred) > 0 {
			settled.heads = append(settled.heads, DestHead{Dest: p.job.Dest, NextDue: p.next})
		}
		aside = append(aside, q.rounds.written(p.job)...)
	}
	q.tell(settled)
	q.giveBack(aside)
}

// unrecorded keeps an outcome that the store could not take, and tries again: what
// was delivered must not be delivered twice for want of a note.
func (q *Queue) unrecorded(rec *recording, err error) {
	if errors.Is(err, ErrClosed) {
		for _, p := range rec.out {
			q.forfeit(p.job)
		}
		return
	}
	q.warn("cannot record what became of a message; trying again", err, idAttr(rec.env.ID))
	q.tasks.Go(func() {
		if pause(q.ctx, applyRetry) {
			q.record(rec)
			return
		}
		for _, p := range rec.out {
			q.forfeit(p.job)
		}
	})
}

// pause waits, and tells whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
