package table

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// watched is what was made of files, and is made again when one of them changes. Once in
// a second a lookup looks at the files. A new version that is broken changes nothing but
// for one warning.
//
// A file that was replaced by renaming is whole and is read at once. One that is written
// in place, or where there was none, may be half there: it is read when it has been left
// alone for settleTime.
type watched[T any] struct {
	name string // of the table, for warnings
	kind string // what it is; "": a table
	o    Options

	// load makes it, and says of each file by reads, before it opens it, that it does so.
	load func() (*T, error)
	done func(*T) error // gives up what is replaced and no longer used; nil: nothing to do

	cur     atomic.Pointer[held[T]] // nil when closed
	checked atomic.Int64            // when the files were looked at, in nanoseconds
	idle    atomic.Bool             // there is no file

	mu   sync.Mutex // one reload at a time; guards seen
	seen []seenFile // that were loaded, or tried, last
}

// seenFile is a file as it was before it was read.
type seenFile struct {
	path string
	id   identity
}

// held is counted: the old one is given up when the last lookup in it is done.
type held[T any] struct {
	it   *T
	refs atomic.Int64 // the watched's own, and one for each lookup
}

// settleTime is how long nobody must have written to a file before it is read.
const settleTime = 250 * time.Millisecond

func newHeld[T any](it *T) *held[T] {
	h := &held[T]{it: it}
	h.refs.Store(1)
	return h
}

// acquire fails for what is given up already.
func (h *held[T]) acquire() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// open loads for the first time.
func (w *watched[T]) open() error {
	it, err := w.load()
	if err != nil {
		return err
	}
	w.idle.Store(len(w.seen) == 0)
	w.checked.Store(w.o.Now().UnixNano())
	w.cur.Store(newHeld(it))
	return nil
}

// reads is called by load before it opens a file.
func (w *watched[T]) reads(path string) {
	w.seen = append(w.seen, seenFile{path, identityAt(path)})
}

// use calls f with what is in force now.
func (w *watched[T]) use(f func(*T) error) error {
	if !w.idle.Load() {
		w.refresh()
	}
	for {
		h := w.cur.Load()
		switch {
		case h == nil:
			return fmt.Errorf("%s %s is closed", cmp.Or(w.kind, "table"), w.name)
		case !h.acquire():
			continue // replaced meanwhile
		}
		err := f(h.it)
		w.release(h)
		return err
	}
}

// get is what is in force now, nil when closed. It may be given up at any moment: what
// it was made of may be closed then.
func (w *watched[T]) get() (it *T) {
	err := w.use(func(now *T) error {
		it = now
		return nil
	})
	if err != nil {
		return nil
	}
	return it
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
	changed, settled := w.look(now)
	switch {
	case !changed:
		return
	case !settled:
		w.lookSoon(now)
		return
	}
	before := w.seen
	w.seen = nil
	next, err := w.load()
	if moving, _ := w.look(now); moving {
		w.lookSoon(now)
		if err == nil {
			w.giveUp(next)
		}
		return
	}
	if err != nil {
		if len(w.seen) == 0 {
			w.seen = before
		}
		w.o.warnf("%s: %v; the %s as it was stays in force", w.name, err, cmp.Or(w.kind, "table"))
		return
	}
	w.idle.Store(len(w.seen) == 0)
	h := newHeld(next)
	old := w.cur.Load()
	if old == nil || !w.cur.CompareAndSwap(old, h) {
		old = h // closed meanwhile
	}
	w.release(old)
}

// look tells whether a file is another one than was read, and whether all that are so
// can be read now.
func (w *watched[T]) look(now int64) (changed, settled bool) {
	settled = true
	for _, s := range w.seen {
		id := identityAt(s.path)
		if id == s.id {
			continue
		}
		changed = true
		age := now - id.sec*int64(time.Second) - id.nanosc
		inPlace := id.dev == s.id.dev && id.ino == s.id.ino || s.id == identity{}
		if inPlace && 0 <= age && age < int64(settleTime) {
			settled = false
		}
	}
	return changed, settled
}

// lookSoon makes the next look due in settleTime.
func (w *watched[T]) lookSoon(now int64) {
	w.checked.Store(now - int64(checkInterval-settleTime))
}

func (w *watched[T]) close() error {
	if h := w.cur.Swap(nil); h != nil && h.refs.Add(-1) == 0 {
		return w.finish(h.it)
	}
	return nil
}

func (w *watched[T]) release(h *held[T]) {
	if h.refs.Add(-1) == 0 {
		w.giveUp(h.it)
	}
}

func (w *watched[T]) giveUp(it *T) {
	if err := w.finish(it); err != nil {
		w.o.warnf("close %s: %s", w.name, reason(err))
	}
}

func (w *watched[T]) finish(it *T) error {
	if w.done == nil {
		return nil
	}
	return w.done(it)
}
