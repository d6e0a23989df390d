package table

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// checkInterval is how often a running table looks whether its index was replaced.
const checkInterval = time.Second

// indexed is a table of type hash, btree, dbm or lmdb.
//
// Lookups take the generation in force, without a lock. Once in a second one of them
// looks at the file; if it is another one, that lookup opens it and puts it in force.
// A new file that is broken changes nothing but for one warning.
type indexed struct {
	name   string // type:source
	source string // the source text
	file   string // the index
	o      Options

	cur     atomic.Pointer[generation] // nil when closed
	checked atomic.Int64               // when the file was looked at, in nanoseconds

	mu   sync.Mutex // one reload at a time; guards seen
	seen identity   // of the file that was opened, or tried, last
}

// indexSuffix is the name that each type gives to its index. Postfix's dbm has two
// files; ours is one.
func indexSuffix(typ string) string {
	return map[string]string{"hash": ".db", "btree": ".db", "dbm": ".dbm", "lmdb": ".lmdb"}[typ]
}

func openIndexed(typ string) Opener {
	return func(path string, o Options) (Table, error) {
		t := &indexed{name: typ + ":" + path, source: path, file: path + indexSuffix(typ), o: o}
		t.seen = identityAt(t.file)
		g, err := t.load()
		if err != nil {
			return nil, err
		}
		t.checked.Store(o.Now().UnixNano())
		t.cur.Store(g)
		return t, nil
	}
}

func (t *indexed) Name() string { return t.name }

func (t *indexed) Lookup(_ context.Context, key string) (string, bool, error) {
	asked := key
	key, ok := t.o.lookupKey(t.shown(), key)
	if !ok {
		return "", false, nil
	}
	t.refresh()
	var l located
	var found bool
	err := t.use(func(g *generation) (err error) {
		if x, ok := g.store.(*index); ok && !t.o.NullForm.reads(x.head.nullForm()) {
			return nil
		}
		l, found, err = g.find(key)
		return err
	})
	if err != nil || !found {
		return "", false, err
	}
	if err := t.o.checkValue(t.shown(), asked, l.value); err != nil {
		return "", false, err
	}
	return l.value, true, nil
}

// shown is how Postfix names the table in messages: Berkeley DB and dbm by the index,
// LMDB by the source.
func (t *indexed) shown() string {
	typ, _, _ := strings.Cut(t.name, ":")
	if typ == "lmdb" {
		return t.name
	}
	return typ + ":" + t.file
}

// Locate implements Locator.
func (t *indexed) Locate(key string) (at string) {
	key, ok := t.o.keyForm().key(key)
	if !ok {
		return ""
	}
	err := t.use(func(g *generation) error {
		l, found, err := g.find(key)
		if found {
			at = where(g.file, l.line)
		}
		return err
	})
	if err != nil {
		return ""
	}
	return at
}

// Each implements Lister. It goes through the table as it was when it began.
func (t *indexed) Each(yield func(key, value string) bool) error {
	t.refresh()
	return t.use(func(g *generation) error {
		return g.each(func(key string, l located) bool { return yield(key, l.value) })
	})
}

// Close may be called while lookups go on: they finish.
func (t *indexed) Close() error {
	if g := t.cur.Swap(nil); g != nil {
		return g.release()
	}
	return nil
}

// use calls f with the generation in force, and once more with the next one if the
// file of the first was overwritten in place.
func (t *indexed) use(f func(*generation) error) error {
	for again := true; ; again = false {
		g := t.current()
		if g == nil {
			return fmt.Errorf("table %s is closed", t.name)
		}
		err := f(g)
		if err == nil || !errors.Is(err, errRewritten) && !errors.Is(err, errDamaged) {
			t.release(g)
			return err
		}
		replaced := again && t.rescue(g)
		t.release(g)
		if !replaced {
			return fmt.Errorf("database %s: %w", t.file, err)
		}
	}
}

// current is the generation in force, acquired, or nil when the table is closed.
func (t *indexed) current() *generation {
	for {
		g := t.cur.Load()
		if g == nil || g.acquire() {
			return g
		}
	}
}

// refresh looks at the file if that is due.
func (t *indexed) refresh() {
	now, last := t.o.Now().UnixNano(), t.checked.Load()
	// A clock that was set back must not put the next look off.
	if since := now - last; 0 <= since && since < int64(checkInterval) {
		return
	}
	if !t.checked.CompareAndSwap(last, now) || !t.mu.TryLock() {
		return // another lookup is at it
	}
	defer t.mu.Unlock()
	if g := t.current(); g != nil {
		t.reload(g)
		t.release(g)
	}
}

// rescue is for a file that was overwritten while in use: what was in force is gone.
// It tells whether there is something to ask again.
func (t *indexed) rescue(broken *generation) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cur.Load() != broken || t.reload(broken)
}

// reload puts what is in the file now in force, if that is another file than the one
// tried last. A broken one changes nothing, unless it was written over the one in
// force: then the source text takes its place. The caller holds t.mu and a reference
// to the generation in force.
func (t *indexed) reload(inForce *generation) bool {
	id := identityAt(t.file)
	if id == t.seen {
		return false
	}
	t.seen = id
	g, err := t.load()
	if err != nil {
		x, ok := inForce.store.(*index)
		if !ok || x.unchanged() == nil {
			t.o.warnf("%s: %v; the table as it was stays in force", t.name, err)
			return false
		}
		m, sourceErr := readMemory(t.source, t.o)
		if sourceErr != nil {
			t.o.warnf("%s: %v; it was overwritten while in use, and its source cannot be read: %v", t.name, err, sourceErr)
			return false
		}
		t.o.warnf("%s: %v; it was overwritten while in use: reading the source file %s instead", t.name, err, t.source)
		g = newGeneration(m, t.source)
	}
	t.swap(g)
	return true
}

// swap puts a generation in force. The caller holds t.mu.
func (t *indexed) swap(g *generation) {
	old := t.cur.Load()
	if old == nil || !t.cur.CompareAndSwap(old, g) {
		old = g // closed meanwhile
	}
	t.release(old)
}

func (t *indexed) release(g *generation) {
	if err := g.release(); err != nil {
		t.o.warnf("close database %s: %s", t.file, reason(err))
	}
}

// load opens what the table is to answer from. An index made by Postfix itself we
// cannot read, but we can read what it was made from.
func (t *indexed) load() (*generation, error) {
	x, err := openIndex(t.file, t.source)
	if err == nil {
		t.warnIfOlder(x.id)
		return newGeneration(x, t.source), nil
	}
	if !errors.Is(err, errNotOurs) {
		return nil, t.openError(err)
	}
	kind := foreignKind(t.file)
	if kind == "" {
		return nil, t.openError(err)
	}
	m, sourceErr := readMemory(t.source, t.o)
	if sourceErr != nil {
		return nil, fmt.Errorf("database %s was made by Postfix (%s), and its source cannot be read: %w; "+
			`provide it and run "aliasmx %s %s"`, t.file, kind, sourceErr, t.o.builder(), t.name)
	}
	t.o.warnf("database %s was made by Postfix (%s): reading the source file %s into memory instead; "+
		`run "aliasmx %s %s" for an index that is shared and replaced while running`,
		t.file, kind, t.source, t.o.builder(), t.name)
	return newGeneration(m, t.source), nil
}

// openError adds what to do.
func (t *indexed) openError(err error) error {
	remedy := fmt.Sprintf(`run "aliasmx %s %s"`, t.o.builder(), t.name)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR):
		return &fileError{"open database", t.file, err}
	case errors.Is(err, fs.ErrNotExist):
		if info, statErr := os.Stat(t.source); statErr == nil && info.IsDir() {
			return fmt.Errorf("%w; %s is a directory: name the source file of the table",
				&fileError{"open database", t.file, err}, t.source)
		}
	}
	return fmt.Errorf("%w; %s", &fileError{"open database", t.file, err}, remedy)
}

// warnIfOlder warns of a source that was edited and not indexed. An edit of the last
// seconds is probably still going on.
func (t *indexed) warnIfOlder(index identity) {
	source := identityAt(t.source)
	if source.sec > index.sec && source.sec < t.o.Now().Unix()-100 {
		t.o.warnf("database %s is older than source file %s", t.file, t.source)
	}
}
