package table

import (
	"sync"
	"sync/atomic"
)

// watched is what was made of a file, and is made again when the file is replaced. Once
// in a second a lookup looks at the file. A new one that is broken changes nothing but
// for one warning.
type watched[T any] struct {
	name string // of the table, for warnings
	file string // "" for what is in no file
	o    Options
	load func() (*T, error)
	done func(*T) // gives up what is replaced; nil for nothing to do

	cur     atomic.Pointer[T] // nil when closed
	checked atomic.Int64      // when the file was looked at, in nanoseconds

	mu   sync.Mutex // one reload at a time; guards seen
	seen identity   // of the file that was loaded, or tried, last
}

// open loads the file for the first time.
func (w *watched[T]) open() error {
	w.seen = identityAt(w.file)
	t, err := w.load()
	if err != nil {
		return err
	}
	w.checked.Store(w.o.Now().UnixNano())
	w.cur.Store(t)
	return nil
}

// get is what is in force now, nil when closed.
func (w *watched[T]) get() *T {
	if w.file != "" {
		w.refresh()
	}
	return w.cur.Load()
}

func (w *watched[T]) refresh() {
	now, last := w.o.Now().UnixNano(), w.checked.Load()
	// A clock that was set back must not put the next look off.
	if since := now - last; 0 <= since && since < int64(checkInterval) {
		return
	}
	if !w.checked.CompareAndSwap(last, now) || !w.mu.TryLock() {
		return // another lookup is at it
	}
	defer w.mu.Unlock()
	id := identityAt(w.file)
	if id == w.seen {
		return
	}
	w.seen = id
	next, err := w.load()
	if err != nil {
		w.o.warnf("%s: %v; the table as it was stays in force", w.name, err)
		return
	}
	old := w.cur.Load()
	if old == nil || !w.cur.CompareAndSwap(old, next) {
		old = next // closed meanwhile
	}
	w.giveUp(old)
}

func (w *watched[T]) close() {
	if old := w.cur.Swap(nil); old != nil {
		w.giveUp(old)
	}
}

func (w *watched[T]) giveUp(t *T) {
	if w.done != nil {
		w.done(t)
	}
}
