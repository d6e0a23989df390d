package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
)

// A full disk stops the log, so mail is turned away while there is still room: below
// the line (queue_minfree) nothing is taken in, and what is under way may use half of
// what the line keeps free. What is left belongs to outcomes and removals, and after
// that comes the ballast. When that is used up too, for somebody else has filled the
// disk, the log waits until there is room again.

// space watches the free space of the queue's disk. It is safe for concurrent use.
type space struct {
	usage func() (free, total int64, err error) // statfs; total 0: unknown
	now   func() time.Time
	log   *slog.Logger
	line  int64

	short  chan struct{} // something was turned away: see Store.reclaim
	noRoom atomic.Bool   // a table could not be written
	coming atomic.Int64  // bytes of bodies in memory, on their way to the disk
	since  atomic.Int64  // bytes written since the disk was asked

	mu      sync.Mutex // guards what follows
	asked   time.Time
	free    int64
	err     error
	ballast *ballast
	isOpen  bool
	closing chan struct{}
}

// open is called when the store is open: before, a full disk is an error of Open.
func (s *space) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isOpen = true
}

// close lets writes that wait for room fail.
func (s *space) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOpen {
		close(s.closing)
	}
	s.isOpen = false
}

// inUse tells whether the store is open, and nobody has begun to close it.
func (s *space) inUse() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isOpen
}

// full is called by the file system of the database when a write to the log finds the
// disk full. Until it returns such writes are held back; then the one that failed is
// tried once more. To fail would be the end of the process.
func (s *space) full() {
	if s.ballast.drop() {
		return
	}
	if !s.inUse() {
		return
	}
	// Asked while the disk is full: someone may have made room just now.
	for first := true; ; first = false {
		free, _, err := s.usage()
		if err != nil || free >= max(s.line/4, leastRoom) {
			break
		}
		if first {
			s.log.Error("queue: disk full; nothing can be recorded until there is room")
		}
		select {
		case <-s.closing:
			return
		case <-time.After(fullPoll):
		}
	}
	s.log.Warn("queue: there is room on the disk again")
}

const (
	fullPoll  = time.Second
	leastRoom = 64 << 10
)

// freshFor is how long an answer of the disk is good; what was written meanwhile is
// counted.
const freshFor = 100 * time.Millisecond

const unknownSpace = -1

// left is the free space less what is on its way; unknownSpace when nobody knows.
func (s *space) left() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.asked.IsZero() || now.Sub(s.asked) >= freshFor || now.Before(s.asked) {
		s.ask(now)
	}
	if s.err != nil || s.free == unknownSpace {
		return unknownSpace, s.err
	}
	return max(s.free-s.since.Load()-s.coming.Load(), 0), nil
}

// ask asks the disk. The caller holds s.mu.
func (s *space) ask(now time.Time) {
	s.since.Store(0)
	free, total, err := s.usage()
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		free, err = unknownSpace, nil
	case err != nil:
		err = fmt.Errorf("queue: ask for free space: %w", err)
	case s.ballast != nil && total > 0:
		free -= s.ballast.restore(free, s.line)
	}
	s.asked, s.free, s.err = now, free, err
}

// admit tells whether a message of about size bytes may come in.
func (s *space) admit(size int64) error { return s.above(s.line, size) }

// more tells whether n more bytes of a message that is coming in may be kept.
func (s *space) more(n int64) error { return s.above(s.line/2, n) }

func (s *space) above(line, n int64) error {
	left, err := s.left()
	switch {
	case err != nil:
		return err
	case left != unknownSpace && left-max(n, 0) < line:
		select {
		case s.short <- struct{}{}:
		default:
		}
		return fmt.Errorf("%d bytes free on the queue's disk, %d wanted and %d kept back: %w", left, n, line, queue.ErrNoSpace)
	}
	return nil
}

// wrote notes bytes on the disk that it was not asked about yet.
func (s *space) wrote(n int64) { s.since.Add(n) }

func (s *space) lastFree() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free
}

// ballast is a file that keeps room on the disk. When the database finds the disk full
// it is removed, and the write that failed is tried again.
type ballast struct {
	fs   vfs.FS
	path string
	size int64
	log  *slog.Logger

	mu   sync.Mutex // guards held: the ballast is there
	held bool
}

// restore makes the ballast if it is not there and leaves the line free. It returns
// how much it took.
func (b *ballast) restore(free, line int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held || b.size <= 0 || free-b.size < line {
		return 0
	}
	f, err := b.fs.OpenReadWrite(b.path, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = f.Preallocate(0, b.size)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil { // not every file system can; it is a second line of defence
		b.size = 0
		b.log.Warn(fmt.Sprintf("queue: no ballast against a full disk: %v", err))
		return 0
	}
	b.held = true
	return b.size
}

// drop gives the room to those who need it now, if there is any to give.
func (b *ballast) drop() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held {
		return false
	}
	b.held = false
	if err := b.fs.Remove(b.path); err != nil {
		b.log.Error(fmt.Sprintf("queue: disk full, and the ballast cannot be removed: %v", err))
		return false
	}
	b.log.Error("queue: disk full; the ballast was given up, make room")
	return true
}
