package pebblestore

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Store is a queue on disk. It is safe for concurrent use.
type Store struct {
	opts      Options
	log       *slog.Logger
	now       func() time.Time
	ids       *mail.IDSource
	db        *pebble.DB
	disk      vfs.FS
	identity  identity
	firstID   mail.QueueID // no ID below it was made by this process
	spool     *spool
	space     *space
	committer *committer
	memory    budget // of bodies coming in
	cache     budget // of bodies kept for their first attempt
	release   []io.Closer
	stop      func()        // ends reclaim
	reclaimed chan struct{} // it has ended
	scrubbed  chan struct{} // scrub has, which stop ends as well
	counts    counts

	mu        sync.Mutex // guards what follows
	active    map[mail.QueueID]*message
	rewritten uint64 // counts changes of envelopes, see loadEnvelope
	inHand    []hand // what the change that is being written touches
	cursors   cursors
	wakes     wakes
	tally     tally
	highWater mail.QueueID // no ID above it is on disk
	lastUsed  mail.QueueID // the highest ID of a message
	nextJob   uint32       // no job that was given out has this number or a higher one

	adopting sync.Mutex // held by the one adoption under way

	life     sync.Mutex // guards closed, and calls.Add against calls.Wait
	closed   bool
	calls    sync.WaitGroup // calls that read the database
	closedAt string         // what the mark of a clean shutdown said, "" when there was none
	damaged  bool           // files are not as they were when it was closed
	failing  sync.Once
	failErr  atomic.Pointer[error]
	failed   chan struct{}
}

var _ queue.Store = (*Store)(nil)

// IDs implements queue.Store.
func (s *Store) IDs() *mail.IDSource { return s.ids }

// enter begins a call that reads the database: it stays open until leave.
func (s *Store) enter() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return s.closedError()
	}
	if err := s.failure(); err != nil {
		return err
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// fail is the end: a sync did not succeed, so nobody can be told any more that
// something is on stable storage. It is not tried again: after a failed sync the
// kernel may take the lost pages for written, and a second one would succeed.
func (s *Store) fail(err error) {
	s.failing.Do(func() {
		err = fmt.Errorf("queue %s: %w", s.opts.Dir, err)
		s.failErr.Store(&err)
		close(s.failed)
		s.log.Error(err.Error() + "; nothing more is accepted: check the disk, then start again")
		s.opts.Fatal(err)
	})
}

// failure is why the store has failed, or nil.
func (s *Store) failure() error {
	if p := s.failErr.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Store) closedError() error {
	return fmt.Errorf("queue %s: %w", s.opts.Dir, queue.ErrClosed)
}

// Close implements queue.Store. It waits until what was given to Commit and Apply is
// on disk and their done functions have returned; it must not be called from one.
func (s *Store) Close() error {
	s.life.Lock()
	was := s.closed
	s.closed = true
	s.life.Unlock()
	if was {
		return nil
	}
	s.space.close()
	s.stop()
	var err error
	if err = s.failure(); err == nil {
		s.calls.Wait()
		<-s.reclaimed
		<-s.scrubbed
		s.committer.close()
		err = s.failure()
	}
	if err == nil {
		err = s.closeEngine()
	}
	// A failed database is left alone: its locks may be held for ever by what failed.
	for i := len(s.release) - 1; i >= 0; i-- {
		if cerr := s.release[i].Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return fmt.Errorf("close queue %s: %w", s.opts.Dir, err)
	}
	return nil
}

func (s *Store) closeEngine() error {
	last := max(s.ids.Next(), s.lastUsed)
	return guarded(func() error {
		if err := s.db.Set([]byte(keyHighWater), idBytes(last), pebble.Sync); err != nil {
			return err
		}
		if err := s.db.Close(); err != nil {
			return err
		}
		return s.markClean(last)
	})
}

// Stats are figures of a store since it was opened.
type Stats struct {
	Messages uint64 // committed, reports included
	Outcomes uint64 // applied
	Batches  uint64 // written to the log
	Corrupt  uint64 // messages moved to the corrupt queue
	Scrubbed uint64 // messages read by the weekly check
	Active   int    // messages with claimed jobs
	Memory   int64  // bytes of bodies in memory
	Free     int64  // bytes free on the disk when last looked at; -1: unknown
	// LogBytes went to the log, TableBytes from memory to tables: what was delivered
	// before its turn never gets there.
	LogBytes, TableBytes uint64
}

type counts struct{ messages, outcomes, batches, corrupt, scrubbed atomic.Uint64 }

// Stats returns the figures.
func (s *Store) Stats() Stats {
	st := Stats{
		Messages: s.counts.messages.Load(),
		Outcomes: s.counts.outcomes.Load(),
		Batches:  s.counts.batches.Load(),
		Corrupt:  s.counts.corrupt.Load(),
		Scrubbed: s.counts.scrubbed.Load(),
		Memory:   s.memory.used.Load() + s.cache.used.Load(),
		Free:     s.space.lastFree(),
	}
	s.mu.Lock()
	st.Active = len(s.active)
	s.mu.Unlock()
	if s.enter() == nil {
		defer s.leave()
		m := s.db.Metrics()
		st.LogBytes = m.WAL.BytesWritten
		st.TableBytes = m.Levels[0].TableBytesFlushed
	}
	return st
}

// budget is a number of bytes that may be taken, and given back.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }
