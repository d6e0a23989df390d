package maillog

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// stream writes lines to somebody who may stop reading: a pipe, a terminal. Mail must not
// wait for whoever reads its log: lines that do not fit in the buffer are lost, as those
// of a full disk are.
type stream struct {
	w       io.Writer
	pending atomic.Int64 // bytes in lines
	err     atomic.Pointer[error]

	mu     sync.Mutex // guards closed against Write
	closed bool
	lines  chan []byte
	done   chan struct{} // closed when all was written
}

const (
	streamLines = 10_000
	streamBytes = 4 << 20
	// streamFarewell is how long the last lines may take.
	streamFarewell = 2 * time.Second
)

// errSlow: nobody reads, or too slowly.
var errSlow = errors.New("its reader does not keep up")

func newStream(w io.Writer) *stream {
	s := &stream{w: w, lines: make(chan []byte, streamLines), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *stream) run() {
	defer close(s.done)
	for line := range s.lines {
		_, err := s.w.Write(line)
		s.pending.Add(-int64(len(line)))
		if err != nil {
			s.err.Store(&err)
		}
	}
}

// Write takes a line. An error is that of an earlier one.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.err.Swap(nil); err != nil {
		return 0, *err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	if s.pending.Add(int64(len(p))) > streamBytes {
		s.pending.Add(-int64(len(p)))
		return 0, errSlow
	}
	select {
	case s.lines <- append([]byte(nil), p...):
		return len(p), nil
	default:
		s.pending.Add(-int64(len(p)))
		return 0, errSlow
	}
}

// close waits for what is still to be written, but not for ever.
func (s *stream) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.lines)
	}
	s.mu.Unlock()
	t := time.NewTimer(streamFarewell)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
}
