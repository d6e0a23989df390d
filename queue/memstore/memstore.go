// Package memstore is a queue.Store in memory: a plain model of what a store has to
// do, for tests of the scheduler and as the reference that other stores are compared
// with. It keeps the contract of queue.Store in everything but one word: nothing of it
// survives the process.
//
//	store := memstore.New(memstore.Options{Now: clock.Now})
//	defer store.Close()
//
// It is written for being obviously right, not for speed: one lock, maps, and sorting
// where an order is asked for.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Options of a Store. The zero value is usable.
type Options struct {
	// RecipientLimit is how many recipients a job has at most (postconf(5):
	// default_destination_recipient_limit); 0 is queue.DestinationRecipientLimit.
	RecipientLimit int
	Node           uint16           // of queue IDs
	Now            func() time.Time // nil: time.Now
}

// Store keeps messages in memory. It is safe for concurrent use.
type Store struct {
	limit queue.RecipientLimits
	now   func() time.Time
	ids   *mail.IDSource
	dones *doneLine

	mu       sync.Mutex // guards what follows
	messages map[mail.QueueID]*message
	held     map[mail.Dest]mail.HeldDest
	full     bool
	closed   bool
}

var _ queue.Store = (*Store)(nil)

// New makes an empty store. Close ends the goroutine that calls the done functions.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{
		limit:    queue.RecipientLimits{Default: o.RecipientLimit},
		now:      o.Now,
		ids:      mail.NewIDSource(o.Node, 0, o.Now),
		dones:    newDoneLine(),
		messages: make(map[mail.QueueID]*message),
		held:     make(map[mail.Dest]mail.HeldDest),
	}
}

// IDs implements queue.Store.
func (s *Store) IDs() *mail.IDSource { return s.ids }

// SetFull makes the store behave as on a full disk, or no longer so.
func (s *Store) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// Admit implements queue.Store.
func (s *Store) Admit(int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return queue.ErrClosed
	case s.full:
		return queue.ErrNoSpace
	}
	return nil
}

// Close implements queue.Store. Outcomes that were given to Apply before are answered
// first.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if !closed {
		s.dones.close()
	}
	return nil
}

// Stage implements queue.Store.
func (s *Store) Stage(ctx context.Context) (queue.Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Admit(0); err != nil {
		return nil, err
	}
	return &staged{store: s}, nil
}

// staged is a body under way. It is used by one goroutine.
type staged struct {
	store *Store
	body  bytes.Buffer
	scan  queue.BodyScan
	ended bool
}

func (d *staged) Write(p []byte) (int, error) {
	if d.ended {
		return 0, fmt.Errorf("write to a message that was committed or aborted")
	}
	_, _ = d.scan.Write(p)
	return d.body.Write(p)
}

func (d *staged) Body() (mail.Body, error) {
	if d.ended {
		return nil, fmt.Errorf("read of a message that was committed or aborted")
	}
	return body(slices.Clone(d.body.Bytes())), nil
}

func (d *staged) Abort() { d.ended = true }

func (d *staged) Commit(ctx context.Context, env *mail.Envelope) ([]queue.Job, error) {
	if d.ended {
		return nil, fmt.Errorf("message was committed or aborted before")
	}
	d.ended = true
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := d.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, queue.ErrClosed
	case s.full:
		return nil, queue.ErrNoSpace
	case env.ID == 0 || s.messages[env.ID] != nil:
		return nil, fmt.Errorf("queue ID %s cannot be used", env.ID)
	case len(env.Rcpts) == 0:
		return nil, fmt.Errorf("message %s has no recipients", env.ID)
	}
	d.scan.Fill(env)
	return s.add(env, d.body.Bytes()), nil
}

// add takes a message in and returns its jobs, claimed. The caller holds s.mu.
func (s *Store) add(env *mail.Envelope, body []byte) []queue.Job {
	m := &message{env: clone(env), body: slices.Clone(body)}
	s.messages[env.ID] = m
	m.split(m.allRcpts(), s.limit, s.millis())
	if m.held = env.Flags&mail.FlagHold != 0; m.held {
		return nil
	}
	var jobs []queue.Job
	for _, j := range m.jobs {
		j.claimed = true
		jobs = append(jobs, m.job(j))
	}
	return jobs
}

// Load implements queue.Store.
func (s *Store) Load(_ context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, queue.ErrClosed
	}
	m := s.messages[id]
	if m == nil {
		return nil, nil, fmt.Errorf("message %s: %w", id, queue.ErrNotFound)
	}
	return clone(m.env), body(m.body), nil
}

// List implements queue.Store.
func (s *Store) List(ctx context.Context, yield func(mail.Listed) bool) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	ids := slices.Sorted(maps.Keys(s.messages))
	s.mu.Unlock()
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		m := s.messages[id]
		var l mail.Listed
		if m != nil {
			l = m.listed()
		}
		s.mu.Unlock()
		if m != nil && !yield(l) {
			return nil
		}
	}
	return nil
}

// millis is the time as the queue keeps it.
func (s *Store) millis() time.Time { return ceilMilli(s.now()) }

func ceilMilli(t time.Time) time.Time {
	if r := t.Truncate(time.Millisecond); r.Before(t) {
		return time.UnixMilli(r.UnixMilli() + 1)
	}
	return time.UnixMilli(t.UnixMilli())
}

func clone(env *mail.Envelope) *mail.Envelope {
	c := *env
	c.Prepend = slices.Clone(env.Prepend)
	c.Rcpts = slices.Clone(env.Rcpts)
	return &c
}

// body is a mail.Body.
type body []byte

func (b body) Size() int64                  { return int64(len(b)) }
func (b body) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
