package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Admit implements queue.Store. It is cheap: the disk is asked at most every 100 ms.
func (s *Store) Admit(size int64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.space.admit(size)
}

// Stage implements queue.Store.
func (s *Store) Stage(ctx context.Context) (queue.Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.Admit(0); err != nil {
		return nil, err
	}
	return &staged{store: s, body: &memBody{}}, nil
}

// staged is a message coming in. Its body is in memory until it is larger than
// InlineLimit or memory is short, and from then on in a file. It is used by one
// goroutine.
type staged struct {
	store *Store
	scan  queue.BodyScan
	body  *memBody   // nil once there is a file
	taken int64      // of s.memory
	file  *spoolFile // nil while the body is in memory
	room  int64      // bytes that may be written before the disk is asked again
	err   error      // of an earlier write
	ended bool
}

var errEnded = errors.New("message was committed or aborted before")

// spaceStep is how much goes to a file between two looks at the free space.
const spaceStep = 256 << 10

func (d *staged) Write(p []byte) (int, error) {
	if d.ended {
		return 0, errEnded
	}
	if d.err == nil {
		d.err = d.write(p)
	}
	if d.err != nil {
		return 0, d.err
	}
	_, _ = d.scan.Write(p)
	return len(p), nil
}

func (d *staged) write(p []byte) error {
	n := int64(len(p))
	if err := d.ask(n); err != nil {
		return err
	}
	if d.file == nil {
		if d.body.size+n <= d.store.opts.InlineLimit && d.store.memory.take(n) {
			d.taken += n
			d.store.space.coming.Add(n)
			d.body.append(p)
			return nil
		}
		if err := d.spill(); err != nil {
			return err
		}
	}
	d.store.space.wrote(n)
	_, err := d.file.Write(p)
	return err
}

// Body implements queue.Staged.
func (d *staged) Body() (mail.Body, error) {
	switch {
	case d.ended:
		return nil, errEnded
	case d.err != nil:
		return nil, d.err
	case d.file == nil:
		// Chunks only ever grow behind what stands in them.
		return &memBody{chunks: slices.Clone(d.body.chunks), size: d.body.size}, nil
	}
	if d.err = d.file.flush(); d.err != nil {
		return nil, d.err
	}
	var env mail.Envelope
	d.scan.Fill(&env)
	return &fileBody{fs: d.store.spool.fs, path: d.file.path, size: env.Size, crc: env.CRC}, nil
}

// ask looks for room on the disk, once for spaceStep bytes.
func (d *staged) ask(n int64) error {
	if d.room >= n {
		d.room -= n
		return nil
	}
	step := max(n, spaceStep)
	if err := d.store.space.more(step); err != nil {
		// Not so much: then just what is needed now.
		if err := d.store.space.more(n); err != nil {
			return err
		}
		step = n
	}
	d.room = step - n
	return nil
}

// spill moves the body from memory to a file.
func (d *staged) spill() error {
	file, err := d.store.spool.create()
	if err != nil {
		return err
	}
	d.file = file
	for _, c := range d.body.chunks {
		if _, err := file.Write(c); err != nil {
			return err
		}
	}
	d.store.space.wrote(d.body.size)
	d.body = nil
	d.giveMemory()
	return nil
}

func (d *staged) giveMemory() {
	d.store.memory.give(d.taken)
	d.store.space.coming.Add(-d.taken)
	d.taken = 0
}

// Abort implements queue.Staged.
func (d *staged) Abort() {
	if d.ended {
		return
	}
	d.end()
	if d.file != nil {
		d.file.abort()
	}
}

func (d *staged) end() {
	d.ended = true
	d.giveMemory()
}

// Commit implements queue.Staged. It waits for the disk as long as ctx and
// CommitTimeout allow. A commit that was given up may already be in the log: then its
// removal is put behind it, and only if the machine dies between the two is there a
// message that nobody acknowledged.
func (d *staged) Commit(ctx context.Context, env *mail.Envelope) ([]queue.Job, error) {
	if d.ended {
		return nil, errEnded
	}
	defer d.end()
	jobs, err := d.commit(ctx, env)
	if err != nil && errors.Is(err, errSync) {
		d.store.fail(err)
	}
	return jobs, err
}

func (d *staged) commit(ctx context.Context, env *mail.Envelope) ([]queue.Job, error) {
	s := d.store
	err := s.enter()
	if err == nil {
		defer s.leave()
		err = d.ready(ctx, env)
	}
	if err == nil && d.file != nil {
		err = d.file.place(env.ID)
	}
	if err != nil {
		if d.file != nil {
			d.file.abort()
		}
		return nil, err
	}
	d.scan.Fill(env)
	m, batch := s.newMessage(env, d.body)
	var jobs []queue.Job
	settled := make(chan error, 1)
	c := &change{
		batch: batch,
		prepare: func(b *pebble.Batch) error {
			if s.active[m.id] != nil {
				return errTaken(m.id)
			}
			jobs = s.admitMessage(b, m, d.body)
			return nil
		},
		settle: func(err error) { settled <- err },
	}
	if err := s.await(ctx, c, settled); err != nil {
		s.giveUp(c, m)
		return nil, fmt.Errorf("message %s: %w", env.ID, err)
	}
	return jobs, nil
}

// ready tells whether a message can be committed at all.
func (d *staged) ready(ctx context.Context, env *mail.Envelope) error {
	switch {
	case d.err != nil:
		return d.err
	case ctx.Err() != nil:
		return ctx.Err()
	case env.ID == 0:
		return fmt.Errorf("commit of a message without queue ID")
	case len(env.Rcpts) == 0:
		return fmt.Errorf("message %s has no recipients", env.ID)
	case d.file != nil && d.store.known(env.ID): // its file must not take another's place
		return errTaken(env.ID)
	}
	return nil
}

// known tells whether there is a message of this ID.
func (s *Store) known(id mail.QueueID) bool {
	s.mu.Lock()
	m := s.active[id]
	s.mu.Unlock()
	if m != nil {
		return true
	}
	_, err := s.envelopeRecord(id)
	return !errors.Is(err, queue.ErrNotFound)
}

func errTaken(id mail.QueueID) error { return fmt.Errorf("message %s: this queue ID is taken", id) }

// await puts a change and waits for it as long as ctx and CommitTimeout allow.
func (s *Store) await(ctx context.Context, c *change, settled <-chan error) error {
	if !s.committer.put(c) {
		c.phase.Store(phaseWithdrawn)
		return s.closedError()
	}
	stalled := time.NewTimer(s.opts.CommitTimeout)
	defer stalled.Stop()
	select {
	case err := <-settled:
		return err
	case <-s.failed:
		return s.failure()
	case <-ctx.Done():
		return ctx.Err()
	case <-stalled.C:
		return fmt.Errorf("the disk has not answered for %s", s.opts.CommitTimeout)
	}
}

// giveUp leaves no trace of a message whose commit did not succeed.
func (s *Store) giveUp(c *change, m *message) {
	if c.withdraw() || c.phase.Load() == phaseWithdrawn {
		s.dropFile(m)
		return
	}
	// The log may have it: its removal goes behind it. After a failure the file stays,
	// for the log may have its message; if not, it is swept at the next start.
	gone := false
	var h hand
	s.committer.put(&change{
		prepare: func(b *pebble.Batch) error {
			if (s.active[m.id] == m || m.held) && !m.removed {
				h = s.erase(b, m)
			}
			return nil
		},
		settle: func(err error) {
			gone = err == nil
			if gone && h.m != nil {
				s.unpin(h)
			}
		},
		done: func() {
			if gone {
				s.dropFile(m)
			}
		},
	})
}

// newMessage makes a message and the batch that stores it. What depends on the order
// of things is left to admitMessage.
func (s *Store) newMessage(env *mail.Envelope, body *memBody) (*message, *pebble.Batch) {
	m := &message{id: env.ID, arrived: env.Arrived, fresh: true, raw: encodeEnvelope(env), file: body == nil}
	m.held = env.Flags&mail.FlagHold != 0
	m.split(env, allRcpts(env), s.opts.recipientLimits(), 0)
	size := 64 + len(m.raw)
	if body != nil {
		size += int(body.size)
	}
	b := s.db.NewBatchWithSize(size)
	writeMessage(b, m, body)
	return m, b
}

func writeMessage(b *pebble.Batch, m *message, body *memBody) {
	if m.held {
		// Nothing will be claimed soon: it is written as one that was tried and then held.
		put(b.Set(idKey(keyMessage, m.id), m.raw, nil))
		put(b.Set(idKey(keyHold, m.id), nil, nil))
		m.fresh, m.raw = false, nil
		for _, j := range m.jobs {
			saveJob(b, m, j)
		}
	} else {
		put(b.Set(idKey(keyNew, m.id), m.raw, nil))
	}
	if body == nil {
		put(b.Set(idKey(keyFile, m.id), nil, nil))
		return
	}
	op := b.SetDeferred(idKeyLen, int(body.size))
	copy(op.Key, idKey(keyBody, m.id))
	body.copyTo(op.Value)
	put(op.Finish())
}

// admitMessage makes a new message known and returns its jobs, claimed. The caller is
// in the writer and holds s.mu.
func (s *Store) admitMessage(b *pebble.Batch, m *message, body *memBody) []queue.Job {
	s.count(b, m)
	if m.held { // it is on disk only
		s.counts.messages.Add(1)
		s.raiseHighWater(b, m.id)
		return nil
	}
	now := millis(s.now())
	jobs := make([]queue.Job, 0, len(m.jobs))
	for _, j := range m.jobs {
		j.due, j.claimed = now, true
		s.nextJob = max(s.nextJob, j.n+1)
		jobs = append(jobs, j.view(m))
	}
	if body != nil && s.cache.take(body.size) {
		m.body = body
	}
	s.active[m.id] = m
	s.counts.messages.Add(1)
	s.raiseHighWater(b, m.id)
	return jobs
}
