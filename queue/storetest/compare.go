package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Compare plays the same random operations on a model and on a store, and demands the
// same answers. Both must be empty, made with clock and a recipient limit of 3. With
// reopen, the store is closed and opened again now and then. The seed is in every
// failure.
func Compare(t *testing.T, seed uint64, steps int, clock *Clock, model, store queue.Store, reopen func(queue.Store) queue.Store) {
	c := &comparison{
		T: t, rng: rand.New(rand.NewPCG(seed, 1)), clock: clock,
		model: model, store: store, reopen: reopen, bodies: make(map[mail.QueueID][]byte),
	}
	for step := range steps {
		c.where = fmt.Sprintf("seed %d, step %d", seed, step)
		c.step()
		if step%20 == 0 {
			c.look()
		}
	}
	c.look()
}

type comparison struct {
	*testing.T
	rng          *rand.Rand
	clock        *Clock
	model, store queue.Store
	reopen       func(queue.Store) queue.Store
	where        string

	ids    []mail.QueueID // all that ever were
	bodies map[mail.QueueID][]byte
	out    []pair // claimed jobs
	old    []pair // outcomes and releases of these must change nothing
}

// pair is one job as both stores call it: their numbers for it may differ.
type pair struct{ model, store queue.Job }

func (c *comparison) fail(format string, args ...any) {
	c.Helper()
	c.Fatalf(c.where+": "+format, args...)
}

func (c *comparison) step() {
	switch n := c.rng.IntN(100); {
	case n < 20:
		c.commit()
	case n < 40:
		c.claim()
	case n < 65:
		c.outcome()
	case n < 70:
		c.release()
	case n < 75:
		c.load()
	case n < 80:
		c.clock.Add(time.Duration(c.rng.IntN(400)) * time.Second)
	case n < 99:
		c.operator()
	case c.reopen != nil:
		c.restart()
	}
}

func (c *comparison) dest() mail.Dest {
	return mail.Dest(fmt.Sprintf("smtp:d%d.example", c.rng.IntN(8)))
}

func (c *comparison) envelope() (*mail.Envelope, []byte) {
	var dests []mail.Dest
	for range 1 + c.rng.IntN(6) {
		dests = append(dests, c.dest())
	}
	env := Envelope(c.model.IDs().Next(), c.clock.Now(), dests...)
	body := bytes.Repeat([]byte{byte(c.rng.Uint32())}, c.rng.IntN(200))
	if c.rng.IntN(10) == 0 {
		body = bytes.Repeat(body, 40)
	}
	c.ids = append(c.ids, env.ID)
	c.bodies[env.ID] = body
	return env, body
}

func (c *comparison) commit() {
	env, body := c.envelope()
	put := func(s queue.Store) []queue.Job {
		e := *env
		d, err := s.Stage(c.Context())
		if err != nil {
			c.fail("Stage: %v", err)
		}
		_, _ = d.Write(body)
		jobs, err := d.Commit(c.Context(), &e)
		if err != nil {
			c.fail("Commit: %v", err)
		}
		return jobs
	}
	c.give(put(c.model), put(c.store))
}

// give notes jobs that both stores gave out.
func (c *comparison) give(model, store []queue.Job) {
	c.Helper()
	if len(model) != len(store) {
		c.fail("jobs\n got %+v\nwant %+v", store, model)
	}
	for i := range model {
		a, b := model[i], store[i]
		b.N = a.N
		if !sameJob(a, b) {
			c.fail("job %d\n got %+v\nwant %+v", i, store[i], a)
		}
		c.out = append(c.out, pair{a, store[i]})
	}
}

func (c *comparison) claim() {
	d, limit := c.dest(), c.rng.IntN(5)
	model, next, err := c.model.Claim(c.Context(), d, c.clock.Now(), limit)
	if err != nil {
		c.fail("Claim: %v", err)
	}
	store, got, err := c.store.Claim(c.Context(), d, c.clock.Now(), limit)
	if err != nil {
		c.fail("Claim: %v", err)
	}
	if !got.Equal(next) {
		c.fail("Claim %s: next %v, want %v", d, got, next)
	}
	// Jobs of one message that are due together may come in either order: the stores
	// number them differently once one was opened again.
	c.give(byRcpts(model), byRcpts(store))
}

func byRcpts(jobs []queue.Job) []queue.Job {
	slices.SortStableFunc(jobs, func(a, b queue.Job) int {
		if a.ID != b.ID || !a.Due.Equal(b.Due) {
			return 0
		}
		return slices.Compare(a.Rcpts, b.Rcpts)
	})
	return jobs
}

func (c *comparison) outcome() {
	from := &c.out
	if c.rng.IntN(10) == 0 {
		from = &c.old
	}
	if len(*from) == 0 {
		return
	}
	i := c.rng.IntN(len(*from))
	p := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	c.old = append(c.old, p)

	o := queue.Outcome{Job: p.model, NextDue: c.clock.Now().Add(time.Duration(c.rng.IntN(900_000)) * time.Millisecond)}
	for _, r := range p.model.Rcpts {
		if c.rng.IntN(10) > 0 {
			state := mail.State(c.rng.IntN(3))
			o.Results = append(o.Results, mail.Result{Rcpt: r, State: state, Reason: fmt.Sprintf("reason %d", c.rng.IntN(3))})
		}
	}
	var again queue.Outcome
	again.Job, again.Results, again.NextDue = p.store, o.Results, o.NextDue
	if c.rng.IntN(4) == 0 {
		env, body := c.envelope()
		e := *env
		o.Emit = []queue.Emission{{Env: env, Body: body}}
		again.Emit = []queue.Emission{{Env: &e, Body: body}}
	}
	want, got := Apply(c.model, o), Apply(c.store, again)
	if got.Err != nil || got.Removed != want.Removed {
		c.fail("Apply %+v\n got %+v\nwant %+v", o, got, want)
	}
	c.give(want.Jobs, got.Jobs)
}

func (c *comparison) release() {
	var model, store []queue.Job
	for range 1 + c.rng.IntN(3) {
		if len(c.out) == 0 {
			break
		}
		i := c.rng.IntN(len(c.out))
		p := c.out[i]
		c.out = slices.Delete(c.out, i, i+1)
		model, store = append(model, p.model), append(store, p.store)
	}
	c.model.Release(model)
	c.store.Release(store)
}

func (c *comparison) id() mail.QueueID {
	if len(c.ids) == 0 {
		return 1
	}
	recent := max(0, len(c.ids)-30)
	return c.ids[recent+c.rng.IntN(len(c.ids)-recent)]
}

func (c *comparison) load() {
	id := c.id()
	want, _, wantErr := c.model.Load(c.Context(), id)
	got, body, err := c.store.Load(c.Context(), id)
	if (wantErr == nil) != (err == nil) {
		c.fail("Load %s: %v, want %v", id, err, wantErr)
	}
	if err != nil {
		return
	}
	if err := SameEnvelope(got, want); err != nil {
		c.fail("Load %s: %v", id, err)
	}
	if b, err := ReadBody(body); err != nil || !bytes.Equal(b, c.bodies[id]) {
		c.fail("Load %s: body of %d bytes, %v, want %d bytes", id, len(b), err, len(c.bodies[id]))
	}
}

func (c *comparison) operator() {
	id, ctx := c.id(), c.Context()
	var op func(s queue.Store) ([]queue.DestHead, error)
	switch n := c.rng.IntN(12); {
	case n < 3:
		op = func(s queue.Store) ([]queue.DestHead, error) { return nil, s.Hold(ctx, id) }
	case n < 6:
		op = func(s queue.Store) ([]queue.DestHead, error) { return s.Unhold(ctx, id) }
	case n < 8:
		op = func(s queue.Store) ([]queue.DestHead, error) { return s.MakeDue(ctx, id) }
	case n < 9:
		op = func(s queue.Store) ([]queue.DestHead, error) { return s.ForceExpire(ctx, id) }
	case n < 10:
		op = func(s queue.Store) ([]queue.DestHead, error) { return nil, s.Remove(ctx, id) }
	default:
		kind, dest := c.rng.IntN(3), c.dest()
		op = func(s queue.Store) ([]queue.DestHead, error) {
			return s.Requeue(ctx, id, func(_ mail.Address, r mail.Recipient) []mail.Recipient {
				moved, other := r, r
				moved.Dest = dest
				other.Final.Local += "+"
				return [][]mail.Recipient{{moved}, {other, moved}, nil}[kind]
			})
		}
	}
	want, wantErr := op(c.model)
	got, err := op(c.store)
	if errors.Is(wantErr, queue.ErrNotFound) != errors.Is(err, queue.ErrNotFound) || (wantErr == nil) != (err == nil) {
		c.fail("operator on %s: %v, want %v", id, err, wantErr)
	}
	c.sameHeads(got, want)
}

// restart opens the store again: all claims are gone, and nothing else is.
func (c *comparison) restart() {
	c.store = c.reopen(c.store)
	for _, p := range c.out {
		c.model.Release([]queue.Job{p.model})
	}
	c.out, c.old = nil, nil // numbers of jobs may be used again
}

// look compares all that can be seen.
func (c *comparison) look() {
	want, err := Heads(c.model)
	if err != nil {
		c.fail("Heads: %v", err)
	}
	got, err := Heads(c.store)
	if err != nil {
		c.fail("Heads: %v", err)
	}
	c.sameHeads(got, want)
	c.sameLists()
	c.sameCounts()
}

func (c *comparison) sameCounts() {
	want, wantErr := c.model.Counts(c.Context())
	got, err := c.store.Counts(c.Context())
	if wantErr != nil || err != nil || got != want {
		c.fail("counts %+v, %v; want %+v, %v", got, err, want, wantErr)
	}
}

func (c *comparison) sameHeads(got, want []queue.DestHead) {
	c.Helper()
	SortHeads(got)
	SortHeads(want)
	if !slices.EqualFunc(got, want, func(a, b queue.DestHead) bool { return a.Dest == b.Dest && a.NextDue.Equal(b.NextDue) }) {
		c.fail("heads\n got %v\nwant %v", got, want)
	}
}

func (c *comparison) sameLists() {
	want, err := List(c.model)
	if err != nil {
		c.fail("List: %v", err)
	}
	got, err := List(c.store)
	if err != nil {
		c.fail("List: %v", err)
	}
	if len(got) != len(want) {
		c.fail("%d messages are listed, want %d", len(got), len(want))
	}
	for i := range got {
		a, b := got[i], want[i]
		if a.Queue != b.Queue || a.ID != b.ID || !a.Arrived.Equal(b.Arrived) || a.Size != b.Size ||
			a.Sender != b.Sender || a.Expired != b.Expired || !slices.Equal(a.Rcpts, b.Rcpts) {
			c.fail("listed\n got %+v\nwant %+v", a, b)
		}
		one, err := c.store.Find(c.Context(), a.ID)
		if err != nil || one.Queue != a.Queue || one.ID != a.ID || !slices.Equal(one.Rcpts, a.Rcpts) {
			c.fail("found %+v, %v\nwant %+v", one, err, a)
		}
	}
}
