package maillog

import (
	"bytes"
	"sync"
	"time"
)

// gatherer writes many lines at once: at the rate at which mail passes, a write for each
// line costs more than the line. A line waits for no longer than gatherTime, and not at all
// when nothing was written just before; a warning, the beginning
// and the end of a connection, and a message that is about to be accepted take along what waits:
// whoever has seen the greeting, the 250 or the end finds it told.
type gatherer struct {
	write func([]byte) (int, error)

	writing sync.Mutex // held while lines are written: they stay in order
	mu      sync.Mutex // guards what follows
	lines   []byte
	spare   []byte
	lost    *lostLines // whose writers are gone
	closed  bool

	wake chan struct{} // there are lines
	stop chan struct{}
	done chan struct{}
}

var newline = []byte{'\n'}

const (
	gatherTime  = time.Millisecond
	gatherBytes = 64 << 10 // more is written by whoever comes
)

func newGatherer(write func([]byte) (int, error)) *gatherer {
	g := &gatherer{write: write, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go g.run()
	return g
}

func (g *gatherer) run() {
	defer close(g.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-g.wake:
		case <-g.stop:
			return
		}
		g.flush()
		pause.Reset(gatherTime)
		select {
		case <-pause.C:
		case <-g.stop:
			return
		}
	}
}

// lostLines are lines that were taken and then not written.
type lostLines struct {
	n   int
	err error
}

func (l *lostLines) Error() string { return l.err.Error() }
func (l *lostLines) Unwrap() error { return l.err }

// add takes a line. A *lostLines tells of earlier ones: this one is taken all the same.
func (g *gatherer) add(line []byte) error {
	g.mu.Lock()
	first := len(g.lines) == 0
	g.lines = append(g.lines, line...)
	full, closed := len(g.lines) >= gatherBytes, g.closed
	g.mu.Unlock()
	switch {
	case full || closed:
		g.flush()
	case first:
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if lost := g.lost; lost != nil {
		g.lost = nil
		return lost
	}
	return nil
}

// flush writes what waits. What cannot be written is told to the next who writes a line.
func (g *gatherer) flush() {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	lines := g.lines
	if len(lines) == 0 {
		g.mu.Unlock()
		return
	}
	g.lines, g.spare = g.spare[:0], nil
	g.mu.Unlock()
	n, err := g.write(lines)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		if g.lost == nil {
			g.lost = &lostLines{err: err}
		}
		g.lost.n += bytes.Count(lines[n:], newline)
	}
	if cap(lines) <= 2*gatherBytes {
		g.spare = lines
	}
}

// close writes what is left. What is added afterwards is written at once.
func (g *gatherer) close() {
	g.mu.Lock()
	was := g.closed
	g.closed = true
	g.mu.Unlock()
	if !was {
		close(g.stop)
		<-g.done
	}
	g.flush()
}
