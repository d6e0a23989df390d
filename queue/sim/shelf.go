package sim

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Shelf is a queue.Store for large numbers: memstore looks at every message to find the
// due ones of a destination, and a database on a disk in memory grows in ways of its own.
// A shelf has two heaps for each destination, keeps no bodies, and takes no more memory for a
// job that is deferred again. It has no operator, and does not survive anything.
type Shelf struct {
	// Deferred, when set, hears of each job that goes back, due then.
	Deferred func(id mail.QueueID, due time.Time)

	ids   *mail.IDSource
	ended chan struct{} // the goroutine that calls the done functions has

	mu       sync.Mutex // guards what follows
	dones    []func()
	more     sync.Cond // of dones, and closed
	messages map[mail.QueueID]*shelved
	piles    map[mail.Dest]*pile
	closed   bool
}

type shelved struct {
	env  *mail.Envelope
	jobs []*parcel
}

var _ queue.Store = (*Shelf)(nil)

var errNoOperator = errors.New("sim: a shelf has no operator")

// NewShelf makes an empty store.
func NewShelf() *Shelf {
	s := &Shelf{
		ids:      mail.NewIDSource(0, 0, time.Now),
		ended:    make(chan struct{}),
		messages: make(map[mail.QueueID]*shelved),
		piles:    make(map[mail.Dest]*pile),
	}
	s.more.L = &s.mu
	go s.call()
	return s
}

// call calls the done functions, one after the other.
func (s *Shelf) call() {
	defer close(s.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.dones) == 0 {
			if s.closed {
				return
			}
			s.more.Wait()
		}
		dones := s.dones
		s.dones = nil
		s.mu.Unlock()
		for _, done := range dones {
			done()
		}
		s.mu.Lock()
	}
}

// Octets is how much its heaps take, the only thing of it that grows when jobs come back.
func (s *Shelf) Octets() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.piles {
		n += 8 * int64(cap(p.trouble)+cap(p.other))
	}
	return n
}

// IDs implements queue.Store.
func (s *Shelf) IDs() *mail.IDSource { return s.ids }

// Admit implements queue.Store.
func (s *Shelf) Admit(int64) error { return nil }

// Stage implements queue.Store.
func (s *Shelf) Stage(context.Context) (queue.Staged, error) { return &shelfDraft{shelf: s}, nil }

type shelfDraft struct {
	shelf *Shelf
	size  int64
}

func (d *shelfDraft) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return len(p), nil
}

func (d *shelfDraft) Body() (mail.Body, error) { return blank(d.size), nil }
func (d *shelfDraft) Abort()                   {}

func (d *shelfDraft) Commit(_ context.Context, env *mail.Envelope) ([]queue.Job, error) {
	env.Size = d.size
	return d.shelf.add(env), nil
}

// blank is a body of so many spaces.
type blank int64

func (b blank) Size() int64 { return int64(b) }
func (b blank) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(bytes.Repeat([]byte(" "), int(b)))), nil
}

func (s *Shelf) add(env *mail.Envelope) []queue.Job {
	m := &shelved{env: env}
	open := make([]int, len(env.Rcpts))
	for i := range open {
		open[i] = i
	}
	due := time.UnixMilli(time.Now().UnixMilli())
	all := queue.SplitRcpts(env, open, queue.RecipientLimits{})
	jobs := make([]queue.Job, len(all))
	for i, rcpts := range all {
		p := &parcel{m: m, n: i, rcpts: rcpts, due: due, bulk: queue.IsBulk(env, len(all)), claimed: true}
		m.jobs = append(m.jobs, p)
		jobs[i] = p.job()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages[env.ID] = m
	return jobs
}

// Shelve puts a letter on a shelf that no queue uses yet.
func Shelve(s *Shelf, domains ...string) error {
	d, err := s.Stage(context.Background())
	if err != nil {
		return err
	}
	env := envelope(s.ids.Next(), Arrival{To: domains})
	jobs, err := d.Commit(context.Background(), env)
	s.Release(jobs)
	return err
}

// put makes a job claimable. The caller holds s.mu.
func (s *Shelf) put(p *parcel) {
	p.claimed = false
	of := s.piles[p.dest()]
	if of == nil {
		of = &pile{}
		s.piles[p.dest()] = of
	}
	heap.Push(of.heapOf(p), p)
}

// Apply implements queue.Store.
func (s *Shelf) Apply(o queue.Outcome, done func(queue.Applied)) {
	applied := s.apply(o)
	for _, e := range o.Emit {
		if applied.Err == nil && len(e.Env.Rcpts) > 0 {
			e.Env.Size = int64(len(e.Body))
			applied.Jobs = append(applied.Jobs, s.add(e.Env)...)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dones = append(s.dones, func() { done(applied) })
	s.more.Signal()
}

func (s *Shelf) apply(o queue.Outcome) queue.Applied {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[o.Job.ID]
	if s.closed || m == nil {
		return queue.Applied{Err: queue.ErrClosed}
	}
	var a queue.Applied
	for o := range o.Each {
		a.Removed = s.settle(m, o) || a.Removed
	}
	return a
}

// settle applies the outcome of one job, and tells whether the message is gone. The caller
// holds s.mu.
func (s *Shelf) settle(m *shelved, o *queue.Outcome) (removed bool) {
	p := m.jobs[o.Job.N]
	finished := make(map[int]bool)
	for _, r := range o.Results {
		finished[r.Rcpt] = r.State != mail.Deferred
	}
	open := p.rcpts[:0:0]
	for _, n := range p.rcpts {
		if !finished[n] {
			open = append(open, n)
		}
	}
	if len(open) == 0 {
		m.jobs[o.Job.N] = nil
		for _, other := range m.jobs {
			if other != nil {
				return false
			}
		}
		delete(s.messages, o.Job.ID)
		return true
	}
	if len(open) < len(p.rcpts) {
		p.rcpts = open
	}
	p.attempts++
	p.due, p.late, p.trouble = o.NextDue, time.Now(), o.Trouble
	s.put(p)
	if s.Deferred != nil {
		s.Deferred(p.m.env.ID, p.due)
	}
	return false
}

// Heads implements queue.Store.
func (s *Shelf) Heads(_ context.Context, yield func(queue.DestHead) bool) error {
	s.mu.Lock()
	var heads []queue.DestHead
	for dest, p := range s.piles {
		if first := p.first(true); first != nil {
			heads = append(heads, queue.DestHead{Dest: dest, NextDue: (*first)[0].due})
		}
	}
	s.mu.Unlock()
	for _, h := range heads {
		if !yield(h) {
			break
		}
	}
	return nil
}

// Claim implements queue.Store.
func (s *Shelf) Claim(_ context.Context, dest mail.Dest, now time.Time, limit int) (jobs []queue.Job, next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.piles[dest]
	if of == nil {
		return nil, time.Time{}, nil
	}
	for first := of.first(true); first != nil; first = of.first(true) {
		if due := (*first)[0].due; len(jobs) == limit || due.After(now) {
			return jobs, due, nil
		}
		p := heap.Pop(first).(*parcel)
		p.claimed = true
		jobs = append(jobs, p.job())
	}
	return jobs, time.Time{}, nil
}

// Woken implements queue.Store.
func (s *Shelf) Woken(_ context.Context, dest mail.Dest, w queue.Wake, limit int) (jobs []queue.Job, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.piles[dest]
	if of == nil {
		return nil, false, nil
	}
	var passed []*parcel
	for first := of.first(w.All); first != nil && !more; first = of.first(w.All) {
		switch p := (*first)[0]; {
		case !p.late.Before(w.Before):
			passed = append(passed, heap.Pop(first).(*parcel))
		case len(jobs) == limit:
			more = true
		default:
			heap.Pop(first)
			p.claimed = true
			jobs = append(jobs, p.job())
		}
	}
	for _, p := range passed {
		heap.Push(of.heapOf(p), p)
	}
	return jobs, more, nil
}

// Release implements queue.Store.
func (s *Shelf) Release(jobs []queue.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		if m := s.messages[j.ID]; m != nil && m.jobs[j.N] != nil && m.jobs[j.N].claimed {
			s.put(m.jobs[j.N])
		}
	}
}

// Load implements queue.Store.
func (s *Shelf) Load(_ context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[id]
	if m == nil {
		return nil, nil, queue.ErrNotFound
	}
	return m.env, blank(m.env.Size), nil
}

// List implements queue.Store.
func (s *Shelf) List(_ context.Context, yield func(mail.Listed) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, m := range s.messages {
		l := mail.Listed{Queue: "deferred", ID: id, Arrived: m.env.Arrived, Size: m.env.Size, Sender: m.env.Sender}
		for _, p := range m.jobs {
			if p == nil {
				continue
			}
			for _, n := range p.rcpts {
				l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: m.env.Rcpts[n].Final})
			}
		}
		if !yield(l) {
			break
		}
	}
	return nil
}

// Hold implements queue.Store, as do the rest: there is no operator.
func (s *Shelf) Hold(context.Context, mail.QueueID) error { return errNoOperator }

// Unhold fails.
func (s *Shelf) Unhold(context.Context, mail.QueueID) ([]queue.DestHead, error) {
	return nil, errNoOperator
}

// Remove fails.
func (s *Shelf) Remove(context.Context, mail.QueueID) error { return errNoOperator }

// MakeDue fails.
func (s *Shelf) MakeDue(context.Context, mail.QueueID) ([]queue.DestHead, error) {
	return nil, errNoOperator
}

// ForceExpire fails.
func (s *Shelf) ForceExpire(context.Context, mail.QueueID) ([]queue.DestHead, error) {
	return nil, errNoOperator
}

// Requeue fails.
func (s *Shelf) Requeue(context.Context, mail.QueueID, queue.Route) ([]queue.DestHead, error) {
	return nil, errNoOperator
}

// Find fails.
func (s *Shelf) Find(context.Context, mail.QueueID) (mail.Listed, error) {
	return mail.Listed{}, errNoOperator
}

// HoldDest fails.
func (s *Shelf) HoldDest(context.Context, mail.Dest, string) error { return errNoOperator }

// ReleaseDest fails.
func (s *Shelf) ReleaseDest(context.Context, mail.Dest) error { return errNoOperator }

// HeldDests has none.
func (s *Shelf) HeldDests(context.Context) ([]mail.HeldDest, error) { return nil, nil }

// Counts fails.
func (s *Shelf) Counts(context.Context) (mail.QueueCounts, error) {
	return mail.QueueCounts{}, errNoOperator
}

// Close implements queue.Store.
func (s *Shelf) Close() error {
	s.mu.Lock()
	s.closed = true
	s.more.Signal()
	s.mu.Unlock()
	<-s.ended
	return nil
}
