package pebblestore

import "sync"

// line is a first-in first-out hand-over between goroutines without a limit of its
// own: putting never blocks. Those who put are limited: sessions by their number,
// outcomes by the number of claimed jobs.
type line[T any] struct {
	mu     sync.Mutex // guards what follows
	cond   sync.Cond
	items  []T
	closed bool
}

func newLine[T any]() *line[T] {
	l := &line[T]{}
	l.cond.L = &l.mu
	return l
}

// put adds an item. It reports false, and does nothing, once the line is closed.
func (l *line[T]) put(x T) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.items = append(l.items, x)
	l.cond.Signal()
	return true
}

// take waits for items and takes all there are; none when the line is closed and
// empty. The slice given back from the last take is used again.
func (l *line[T]) take(last []T) []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.items) == 0 && !l.closed {
		l.cond.Wait()
	}
	items := l.items
	clear(last)
	l.items = last[:0]
	return items
}

// close lets what is in the line be taken, and nothing more be put.
func (l *line[T]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cond.Broadcast()
}
