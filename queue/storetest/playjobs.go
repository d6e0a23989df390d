package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// The steps of a Play that have to do with jobs, and those of the operator.

// claim claims jobs of a destination. Which of those that are due together come first is
// the store's affair.
func (p *Play) claim() error {
	d, limit, now := p.dest(), p.rng.IntN(5), p.Clock.Now()
	jobs, next, err := p.Store.Claim(context.Background(), d, now, limit)
	if err != nil {
		return fmt.Errorf("Claim: %w", err)
	}
	last := time.Time{}
	for i := range jobs {
		j, err := p.take(d, &jobs[i])
		switch {
		case err != nil:
			return fmt.Errorf("Claim: %w", err)
		case j.due.Before(last) || j.due.After(now):
			return fmt.Errorf("Claim at %v: job %+v after one that is due at %v", now, jobs[i], last)
		}
		last = j.due
	}
	want := time.Time{}
	p.Model.waiting(d, func(_ *message, j *job) {
		if want.IsZero() || j.due.Before(want) {
			want = j.due
		}
	})
	switch {
	case len(jobs) > limit || !next.Equal(want):
		return fmt.Errorf("Claim %s: %d jobs, next %v; want %d at most, next %v", d, len(jobs), next, limit, want)
	case !want.IsZero() && (want.Before(last) || len(jobs) < limit && !want.After(now)):
		return fmt.Errorf("Claim %s: a job due at %v was passed over", d, want)
	}
	return nil
}

// take finds a job that the store gave out in the model, and claims it there.
func (p *Play) take(d mail.Dest, k *queue.Job) (*job, error) {
	if m := p.Model.messages[k.ID]; m != nil {
		for _, j := range m.jobs {
			if j.dest == d && m.claimable(j) && slices.Equal(j.rcpts, k.Rcpts) {
				j.claimed = true
				p.out = append(p.out, claim{j, *k})
				return j, j.same(k)
			}
		}
	}
	return nil, fmt.Errorf("job %+v: there is none, or it is not for claiming", *k)
}

// woken asks for what waits because of its destination, or for all.
func (p *Play) woken() error {
	d, w := p.dest(), queue.Wake{Before: p.Clock.Now(), All: p.rng.IntN(3) == 0}
	want := make(map[*job]bool)
	p.Model.waiting(d, func(_ *message, j *job) {
		if j.late.Before(w.Before) && (w.All || j.trouble) {
			want[j] = true
		}
	})
	for more := true; more; {
		var jobs []queue.Job
		var err error
		if jobs, more, err = p.Store.Woken(context.Background(), d, w, 10); err != nil {
			return fmt.Errorf("Woken: %w", err)
		}
		for i := range jobs {
			j, err := p.take(d, &jobs[i])
			if err != nil || !want[j] {
				return fmt.Errorf("Woken: job %+v, %w", jobs[i], err)
			}
			delete(want, j)
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("Woken %s: %d jobs are missing", d, len(want))
	}
	return nil
}

// outcomes records so many outcomes one behind the other, before the first is on disk.
func (p *Play) outcomes(n int) (touched mail.QueueID, err error) {
	var wait sync.WaitGroup
	type result struct {
		want    queue.Applied
		made    []*job
		got     queue.Applied
		outcome queue.Outcome
	}
	var results []*result
	for range n {
		from := &p.out
		if p.rng.IntN(10) == 0 {
			from = &p.old
		}
		if len(*from) == 0 {
			continue
		}
		i := p.rng.IntN(len(*from))
		c := (*from)[i]
		*from = slices.Delete(*from, i, i+1)
		if p.old = append(p.old, c); len(p.old) > playMessages {
			p.old = p.old[1:]
		}
		o, emit := p.outcome(c)
		jobs := []*job{c.model}
		for p.rng.IntN(3) > 0 { // others of the message, if there are
			i := slices.IndexFunc(*from, func(d claim) bool { return d.store.ID == c.store.ID })
			if i < 0 {
				break
			}
			d := (*from)[i]
			*from = slices.Delete(*from, i, i+1)
			p.old = append(p.old, d)
			also, more := p.outcome(d)
			o.Emit, also.Emit, emit = append(o.Emit, also.Emit...), nil, append(emit, more...)
			o.Also, jobs = append(o.Also, also), append(jobs, d.model)
		}
		r := &result{outcome: o}
		applied, removed, made := p.Model.settle(jobs, o, emit, p.Clock.Now())
		r.want.Removed, r.made = removed, made
		state := 0
		if applied {
			ids := []mail.QueueID{o.Job.ID}
			for _, e := range emit {
				ids = append(ids, e.env.ID)
			}
			state = p.tried(ids...)
		}
		results = append(results, r)
		touched = o.Job.ID
		wait.Add(1)
		p.Store.Apply(o, func(a queue.Applied) {
			if r.got = a; a.Err == nil {
				p.safe(state)
			}
			wait.Done()
		})
	}
	answered := make(chan struct{})
	go func() {
		wait.Wait()
		close(answered)
	}()
	select {
	case <-answered:
	case <-p.Dead:
		return 0, errors.New("Apply: the store has failed")
	}
	for _, r := range results {
		if r.got.Err != nil || r.got.Removed != r.want.Removed {
			return 0, fmt.Errorf("Apply %+v\n got %+v\nwant %+v", r.outcome, r.got, r.want)
		}
		if err := p.given(r.made, r.got.Jobs); err != nil {
			return 0, fmt.Errorf("Apply %+v: %w", r.outcome, err)
		}
	}
	return touched, nil
}

// outcome makes up what became of a job, each failure with its report.
func (p *Play) outcome(c claim) (queue.Outcome, []emission) {
	o := queue.Outcome{
		Job:     c.store,
		NextDue: p.Clock.Now().Add(time.Duration(p.rng.IntN(900_000)) * time.Millisecond),
		Trouble: p.rng.IntN(3) == 0,
	}
	var emit []emission
	for _, r := range c.store.Rcpts {
		if p.rng.IntN(10) == 0 {
			continue
		}
		state := mail.State(p.rng.IntN(3))
		o.Results = append(o.Results, mail.Result{Rcpt: r, State: state, Reason: fmt.Sprintf("reason %d", p.rng.IntN(3))})
		if state == mail.Failed && p.rng.IntN(2) == 0 && len(p.Model.messages) < 2*playMessages {
			env, body := p.letter(true)
			e := *env
			emit = append(emit, emission{env, body})
			o.Emit = append(o.Emit, queue.Emission{Env: &e, Body: body})
		}
	}
	return o, emit
}

func (p *Play) release() error {
	var jobs []queue.Job
	for range 1 + p.rng.IntN(3) {
		if len(p.out) == 0 {
			break
		}
		i := p.rng.IntN(len(p.out))
		c := p.out[i]
		p.out = slices.Delete(p.out, i, i+1)
		jobs = append(jobs, c.store)
		p.Model.release(c.store.ID, c.model)
	}
	p.Store.Release(jobs)
	return nil
}

func (p *Play) operator() (mail.QueueID, error) {
	id, ctx, now := p.id(), context.Background(), p.Clock.Now()
	kind, dest := p.rng.IntN(3), p.dest()
	route := func(_ mail.Address, r mail.Recipient) []mail.Recipient {
		moved, other := r, r
		moved.Dest = dest
		other.Final.Local += "+"
		return [][]mail.Recipient{{moved}, {other, moved}, nil}[kind]
	}
	var change func() bool
	var ask func() ([]queue.DestHead, error)
	silent := false // heads are not told
	switch n := p.rng.IntN(12); {
	case n < 3:
		change, silent = func() bool { return p.Model.hold(id) }, true
		ask = func() ([]queue.DestHead, error) { return nil, p.Store.Hold(ctx, id) }
	case n < 6:
		change = func() bool { return p.Model.unhold(id, now) }
		ask = func() ([]queue.DestHead, error) { return p.Store.Unhold(ctx, id) }
	case n < 8:
		change = func() bool { return p.Model.makeDue(id, now) }
		ask = func() ([]queue.DestHead, error) { return p.Store.MakeDue(ctx, id) }
	case n < 9:
		change = func() bool { return p.Model.forceExpire(id, now) }
		ask = func() ([]queue.DestHead, error) { return p.Store.ForceExpire(ctx, id) }
	case n < 10:
		change, silent = func() bool { return p.Model.remove(id) }, true
		ask = func() ([]queue.DestHead, error) { return nil, p.Store.Remove(ctx, id) }
	default:
		change = func() bool { return p.Model.requeue(id, route, now) }
		ask = func() ([]queue.DestHead, error) { return p.Store.Requeue(ctx, id, route) }
	}
	if !change() {
		if _, err := ask(); !errors.Is(err, queue.ErrNotFound) {
			return id, fmt.Errorf("operator on %s: %w, want %w", id, err, queue.ErrNotFound)
		}
		return id, nil
	}
	state := p.tried(id)
	got, err := ask()
	if err != nil {
		return id, fmt.Errorf("operator on %s: %w", id, err)
	}
	p.safe(state)
	var want []queue.DestHead
	if m := p.Model.messages[id]; m != nil && !silent {
		want = m.heads()
	}
	return id, sameHeads(got, want)
}

// reopen opens the store again: all claims are gone, and nothing else is.
func (p *Play) reopen() (err error) {
	p.Model.restart()
	p.out, p.old = nil, nil // numbers of jobs may be used again
	p.Store, err = p.Reopen(p.Store)
	return err
}
