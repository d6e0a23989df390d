package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// A ledger is what the clients and next hops of a store know: what was acknowledged to
// whom. After a crash the store is held against it.
type ledger struct {
	mu       sync.Mutex // guards messages, and the entries in it
	messages map[mail.QueueID]*entry
}

// entry is one message in the ledger.
type entry struct {
	env   *mail.Envelope // with size and checksum
	body  []byte
	acked bool // Commit returned nil, or done was called for the outcome that emitted it
	// parent is the message that this one reports about, and rcpt the failed recipient.
	parent mail.QueueID
	rcpt   int
	final  map[int]bool // recipients with a final outcome; true: acknowledged
}

func newLedger() *ledger { return &ledger{messages: make(map[mail.QueueID]*entry)} }

func (l *ledger) add(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.final = make(map[int]bool)
	l.messages[e.env.ID] = e
}

func (l *ledger) ack(id mail.QueueID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[id].acked = true
}

func (l *ledger) settle(o queue.Outcome, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.messages[o.Job.ID]
	for _, r := range o.Results {
		if r.State != mail.Deferred {
			e.final[r.Rcpt] = acked
		}
	}
	for _, m := range o.Emit {
		l.messages[m.Env.ID].acked = acked
	}
}

// snapshot is the ledger at this moment.
func (l *ledger) snapshot() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := newLedger()
	for id, e := range l.messages {
		c := *e
		c.final = make(map[int]bool)
		for r, acked := range e.final {
			c.final[r] = acked
		}
		s.messages[id] = &c
	}
	return s
}

// verify holds a store that was opened after a crash against the ledger of the moment
// before (then) and against all that was tried at all (ever). It returns a ledger of
// what is in the store.
func verify(s *pebblestore.Store, then, ever *ledger) (*ledger, error) {
	now := newLedger()
	open := make(map[mail.QueueID]map[int]bool)
	list, err := storetest.List(s)
	if err != nil {
		return nil, err
	}
	if err := sameCounts(s, list); err != nil {
		return nil, err
	}
	for _, l := range list {
		e := ever.messages[l.ID]
		if e == nil {
			return nil, fmt.Errorf("%s is in the queue, nobody sent it", l.ID)
		}
		if l.Queue != "incoming" && l.Queue != "deferred" {
			return nil, fmt.Errorf("%s is in the %s queue: %+v", l.ID, l.Queue, l)
		}
		if err := sameMessage(s, e); err != nil {
			return nil, err
		}
		c := &entry{env: e.env, body: e.body, acked: true, parent: e.parent, rcpt: e.rcpt}
		now.add(c)
		open[l.ID] = make(map[int]bool)
		k := 0
		for i := range e.env.Rcpts {
			if k < len(l.Rcpts) && l.Rcpts[k].Address == e.env.Rcpts[i].Final {
				open[l.ID][i] = true
				k++
			} else {
				c.final[i] = true
			}
		}
		if k == 0 || k != len(l.Rcpts) {
			return nil, fmt.Errorf("%s is listed with recipients %+v", l.ID, l.Rcpts)
		}
	}
	for id, e := range ever.messages {
		if err := checkEntry(e, then, open); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	return now, checkHeads(s, open, now)
}

// checkEntry compares what is open of one message with what was acknowledged before
// the crash and what was tried (e).
func checkEntry(e *entry, before *ledger, open map[mail.QueueID]map[int]bool) error {
	rcpts, there := open[e.env.ID]
	then := before.messages[e.env.ID]
	if !there && then != nil && then.acked {
		for i := range e.env.Rcpts {
			if _, tried := e.final[i]; !tried {
				return fmt.Errorf("acknowledged and lost; recipient %d is unfinished", i)
			}
		}
	}
	for i := range e.env.Rcpts {
		if _, tried := e.final[i]; there && !rcpts[i] && !tried {
			return fmt.Errorf("recipient %d is finished, no outcome said so", i)
		}
		if then != nil && then.final[i] && rcpts[i] {
			return fmt.Errorf("recipient %d is open again after its outcome was recorded", i)
		}
	}
	if e.parent == 0 {
		return nil
	}
	// A report: it exists, or has been dealt with, exactly when its outcome is there.
	parent, parentThere := open[e.parent]
	was := before.messages[e.parent]
	switch {
	case there && parent[e.rcpt]:
		return fmt.Errorf("report about %s recipient %d, whose failure is not recorded", e.parent, e.rcpt)
	case !parentThere && (was == nil || !was.acked): // perhaps it never got to the disk
		return nil
	case !there && !parent[e.rcpt] && len(e.final) < len(e.env.Rcpts):
		return fmt.Errorf("no report about %s recipient %d, whose failure is recorded", e.parent, e.rcpt)
	}
	return nil
}

// checkHeads wants every open recipient to be in a job that can be claimed.
func checkHeads(s *pebblestore.Store, open map[mail.QueueID]map[int]bool, now *ledger) error {
	heads, err := storetest.Heads(s)
	if err != nil {
		return err
	}
	var claimed []queue.Job
	for _, h := range heads {
		jobs, _, err := s.Claim(context.Background(), h.Dest, testTime.AddDate(1, 0, 0), 1<<30)
		if err != nil {
			return err
		}
		claimed = append(claimed, jobs...)
	}
	n := 0
	for _, j := range claimed {
		for _, r := range j.Rcpts {
			if !open[j.ID][r] {
				return fmt.Errorf("%s: claimed recipient %d is not listed", j.ID, r)
			}
			n++
		}
	}
	s.Release(claimed)
	for _, rcpts := range open {
		n -= len(rcpts)
	}
	if n != 0 {
		return fmt.Errorf("%d more recipients can be claimed than are listed", n)
	}
	return nil
}

func sameMessage(s *pebblestore.Store, e *entry) error {
	env, body, err := s.Load(context.Background(), e.env.ID)
	if err != nil {
		return err
	}
	if err := storetest.SameEnvelope(env, e.env); err != nil {
		return fmt.Errorf("%s: %w", e.env.ID, err)
	}
	if b, err := storetest.ReadBody(body); err != nil || !bytes.Equal(b, e.body) {
		return fmt.Errorf("%s: body of %d bytes, %w; want %d bytes", e.env.ID, len(b), err, len(e.body))
	}
	return nil
}

// traffic is mail for a store, with a ledger of it. Its methods are for one goroutine.
type traffic struct {
	*ledger
	store *pebblestore.Store
	rng   *rand.Rand
	large int // size of large bodies
}

// message makes a message and enters it into the ledger, not acknowledged.
func (t *traffic) message(parent mail.QueueID, rcpt int) *entry {
	var dests []mail.Dest
	for range 1 + t.rng.IntN(3) {
		dests = append(dests, mail.Dest(fmt.Sprintf("smtp:d%d.example", t.rng.IntN(4))))
	}
	size := t.rng.IntN(2000)
	if parent == 0 && t.rng.IntN(5) == 0 {
		size = t.large + t.rng.IntN(t.large)
	}
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(t.rng.Uint32())
	}
	env := storetest.Envelope(t.store.IDs().Next(), testTime, dests...)
	var scan queue.BodyScan
	_, _ = scan.Write(body)
	scan.Fill(env)
	e := &entry{env: env, body: body, parent: parent, rcpt: rcpt}
	t.add(e)
	return e
}

// send commits a message; nil jobs: it was not taken.
func (t *traffic) send() ([]queue.Job, error) {
	e := t.message(0, 0)
	d, err := t.store.Stage(context.Background())
	if err != nil {
		return nil, err
	}
	defer d.Abort()
	for rest := e.body; len(rest) > 0; {
		n := min(len(rest), 1000)
		if _, err := d.Write(rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	env := *e.env
	jobs, err := d.Commit(context.Background(), &env)
	if err == nil {
		t.ack(e.env.ID)
	}
	return jobs, err
}

// outcome makes up what became of a job, with a report for a failed recipient.
func (t *traffic) outcome(j queue.Job) queue.Outcome {
	o := queue.Outcome{Job: j, NextDue: testTime}
	for _, r := range j.Rcpts {
		res := mail.Result{Rcpt: r, State: mail.State(t.rng.IntN(3)), Reason: "busy"}
		if res.State == mail.Failed && (len(o.Emit) > 0 || t.rng.IntN(2) > 0) {
			res.State = mail.Deferred
		}
		if res.State == mail.Failed {
			e := t.message(j.ID, r)
			env := *e.env
			o.Emit = append(o.Emit, queue.Emission{Env: &env, Body: e.body})
		}
		o.Results = append(o.Results, res)
	}
	return o
}

// attempt records an outcome; wait says whether to wait for the disk.
func (t *traffic) attempt(j queue.Job, wait *sync.WaitGroup) {
	o := t.outcome(j)
	t.settle(o, false)
	wait.Add(1)
	t.store.Apply(o, func(a queue.Applied) {
		defer wait.Done()
		if a.Err == nil {
			t.settle(o, true)
		}
	})
}

// run sends and attempts n times.
func (t *traffic) run(n int, stop <-chan struct{}) {
	var applied sync.WaitGroup
	defer applied.Wait()
	var jobs []queue.Job
	for i := range n {
		select {
		case <-stop:
			return
		default:
		}
		made, err := t.send()
		if err != nil && !errors.Is(err, queue.ErrNoSpace) {
			return
		}
		jobs = append(jobs, made...)
		if i%3 == 2 {
			more, _, err := t.store.Claim(context.Background(), mail.Dest(fmt.Sprintf("smtp:d%d.example", t.rng.IntN(4))), testTime, 3)
			if err != nil {
				return
			}
			jobs = append(jobs, more...)
		}
		for len(jobs) > 3 {
			k := t.rng.IntN(len(jobs))
			if t.rng.IntN(6) == 0 {
				t.store.Release(jobs[k : k+1])
			} else {
				t.attempt(jobs[k], &applied)
			}
			jobs = append(jobs[:k], jobs[k+1:]...)
		}
	}
}
