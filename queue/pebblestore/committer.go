package pebblestore

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// change is one atomic step of the store on its way to the disk.
type change struct {
	// prepare changes the state in memory and fills the batch with the same change. It
	// runs in the writer's goroutine, with Store.mu held, after all earlier changes. If
	// it fails it has changed nothing, and nothing is written.
	prepare func(b *pebble.Batch) error
	// settle runs when the change is on stable storage, or failed, with Store.mu held.
	settle func(err error)
	// done runs after settle, and after the done of all earlier changes, in a goroutine
	// of its own: it may take its time and may use the store. It may be nil.
	done func()

	batch *pebble.Batch // given by Commit, else made by the writer
	// noSync: what it says can be made again from what is synced already. It is settled
	// as soon as it is written, and has no done.
	noSync bool

	phase atomic.Int32
	err   error
}

// A change is waiting until the writer begins with it, or who waits for it withdraws.
const (
	phaseWaiting = iota
	phaseBegun
	phaseWithdrawn
)

// begin is called by the writer: from now on the change cannot be withdrawn.
func (c *change) begin() bool { return c.phase.CompareAndSwap(phaseWaiting, phaseBegun) }

// withdraw takes a change back that the writer has not begun with.
func (c *change) withdraw() bool { return c.phase.CompareAndSwap(phaseWaiting, phaseWithdrawn) }

// committer takes changes in order through three goroutines: the first writes them,
// the second waits for the disk, the third tells. While the second waits, the first
// goes on writing: all that it wrote meanwhile is covered by the next sync. Write and
// sync are functions, so that the order of things can be tested without a database.
type committer struct {
	write func(*change)       // fills c.err
	sync  func(*change) error // waits until a written change is on stable storage
	tell  func(*change)       // settles it
	fail  func(error)         // write has ended its goroutine

	writing          []*change // taken by the writer, the first one first
	waiting, written *line[*change]
	told             *line[func()]
	ended            chan struct{}
}

func newCommitter(write func(*change), sync func(*change) error, tell func(*change), fail func(error)) *committer {
	c := &committer{
		write:   write,
		sync:    sync,
		tell:    tell,
		fail:    fail,
		waiting: newLine[*change](),
		written: newLine[*change](),
		told:    newLine[func()](),
		ended:   make(chan struct{}),
	}
	go c.runWriter()
	go c.runSyncer()
	go c.runTeller()
	return c
}

// put adds a change. It reports false, and does nothing, after close.
func (c *committer) put(x *change) bool { return c.waiting.put(x) }

// close waits until all changes are through.
func (c *committer) close() {
	c.waiting.close()
	<-c.ended
}

func (c *committer) runWriter() {
	defer c.written.close()
	for {
		err := guarded(c.writeAll)
		if err == nil {
			return
		}
		// Pebble has panicked in the middle of a write. What comes after will find that the
		// store has failed, and be told so.
		c.fail(err)
		c.writing[0].err = err
		c.wrote()
	}
}

// writeAll writes until the line is closed.
func (c *committer) writeAll() error {
	var last []*change
	for {
		for len(c.writing) > 0 {
			if c.writing[0].begin() {
				c.write(c.writing[0])
				c.wrote()
			} else {
				c.writing = c.writing[1:]
			}
		}
		last = c.waiting.take(last)
		if c.writing = last; len(last) == 0 {
			return nil
		}
	}
}

// wrote sends the first change on its way.
func (c *committer) wrote() {
	x := c.writing[0]
	c.writing = c.writing[1:]
	if x.noSync {
		c.tell(x)
	} else {
		c.written.put(x)
	}
}

func (c *committer) runSyncer() {
	defer c.told.close()
	var batch []*change
	for batch = c.written.take(nil); len(batch) > 0; batch = c.written.take(batch) {
		for _, x := range batch {
			if x.err == nil {
				x.err = c.sync(x)
			}
			c.tell(x)
			if x.done != nil {
				c.told.put(x.done)
			}
		}
	}
}

func (c *committer) runTeller() {
	defer close(c.ended)
	var batch []func()
	for batch = c.told.take(nil); len(batch) > 0; batch = c.told.take(batch) {
		for _, f := range batch {
			f()
		}
	}
}

// writeChange is the committer's write: the state in memory and the database change
// together, in the order of the line.
func (s *Store) writeChange(c *change) {
	if c.err = s.failure(); c.err != nil {
		return
	}
	if c.batch == nil {
		c.batch = s.db.NewBatch()
	}
	s.mu.Lock()
	c.err = c.prepare(c.batch)
	if c.err != nil || c.batch.Empty() {
		s.written()
		s.mu.Unlock()
		_ = c.batch.Close()
		c.batch = nil
		return
	}
	s.mu.Unlock()
	s.counts.batches.Add(1)
	s.space.wrote(int64(c.batch.Len()))
	if c.noSync {
		c.err = s.db.Apply(c.batch, pebble.NoSync)
		_ = c.batch.Close()
	} else {
		c.err = s.db.ApplyNoSyncWait(c.batch, pebble.Sync)
	}
	if c.err != nil {
		s.fail(fmt.Errorf("write to the queue's log: %w", c.err))
		return
	}
	s.mu.Lock()
	s.written()
	s.mu.Unlock()
}

// syncChange is the committer's sync.
func (s *Store) syncChange(c *change) error {
	if c.batch == nil {
		return nil
	}
	if err := c.batch.SyncWait(); err != nil {
		s.fail(fmt.Errorf("sync of the queue's log: %w", err))
		return s.failure()
	}
	_ = c.batch.Close()
	c.batch = nil
	return s.failure() // after a failure nothing is promised any more
}

// tellChange is the committer's tell.
func (s *Store) tellChange(c *change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.settle(c.err)
}

// do puts a change and waits until it is settled.
func (s *Store) do(c *change) error {
	settled := make(chan error, 1)
	inner := c.settle
	c.settle = func(err error) {
		if inner != nil {
			inner(err)
		}
		settled <- err
	}
	if !s.committer.put(c) {
		return s.closedError()
	}
	select {
	case err := <-settled:
		return err
	case <-s.failed:
		return s.failure()
	}
}
