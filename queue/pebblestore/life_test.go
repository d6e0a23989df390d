package pebblestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// cutPercents are how much of what was not synced a power cut leaves.
var cutPercents = []int{0, 30, 70, 100}

// onlyKilled is in place of a percentage when the process dies and the power stays on.
const onlyKilled = -1

// life is a queue that is opened, worked on, closed, killed and cut off from power, with a
// history of what its users know.
type life struct {
	seed    uint64
	disk    *disk
	history *storetest.History
	clock   *storetest.Clock
	flushes bool // large bodies go through memory, which is flushed again and again; else they go to files
	rng     *rand.Rand

	// look is told of each operation of the disk, before and after it.
	look func(l *life, o op, after bool) verdict

	mu       sync.Mutex // guards what follows
	opened   bool       // Open has returned once
	closed   bool       // Close has returned, and nobody has begun to open
	pictures []picture
}

// picture is one state that the disk may be in when the power is cut, and what was known.
type picture struct {
	disk           *disk
	from, to       int // states of the history that it may hold
	opened, closed bool
	what           string
}

func newLife(seed uint64, flushes bool) *life {
	l := &life{
		seed: seed, disk: newDisk(), history: storetest.NewHistory(), clock: storetest.NewClock(testTime),
		flushes: flushes, rng: rand.New(rand.NewPCG(seed, 77)),
	}
	l.disk.usage = vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 31} // enough for a ballast
	return l
}

func (l *life) options(d *disk) (pebblestore.Options, *logBook, *death) {
	log, died := &logBook{}, newDeath()
	o := pebblestore.Options{
		Dir: queueDir, FS: d, Now: l.clock.Now, Log: log.logger(), RecipientLimit: 3, MinFree: 1,
		InlineLimit: 4000, MemTableSize: 1, BodyMemory: 8 << 20, Fatal: died.die,
	}
	if l.flushes {
		o.InlineLimit = 64 << 10
	}
	return o, log, died
}

// death is the end of a process by a failed store. What called Fatal inside Pebble does not
// go on; the store itself knows that it has failed, and its users are told so.
type death struct {
	once sync.Once
	err  error
	at   chan struct{} // closed when it has come
}

func newDeath() *death { return &death{at: make(chan struct{})} }

func (d *death) die(err error) {
	d.once.Do(func() {
		d.err = err
		close(d.at)
	})
	if within("pebble/v2.", "pebble/v2/") {
		select {}
	}
}

// within tells whether one of some functions is being called here.
func within(functions ...string) bool {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		f, more := frames.Next()
		for _, name := range functions {
			if strings.Contains(f.Function, name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}

// close closes a store, unless it dies of that.
func (d *death) close(s *pebblestore.Store) error {
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		return err
	case <-d.at:
		return d.err
	}
}

// cause is why it came, if it has.
func (d *death) cause() error {
	select {
	case <-d.at:
		return d.err
	default:
		return nil
	}
}

// play is work for a store that is in a state of the history.
func (l *life) play(s queue.Store, state int, seed uint64) *storetest.Play {
	p := &storetest.Play{Seed: seed, Clock: l.clock, Store: s, Model: l.history.Model(state, 3), History: l.history, Large: 8000}
	if l.flushes {
		p.Large, p.Often = 64<<10, true
	}
	return p
}

// shoot takes a picture of the disk as a power cut leaves it.
func (l *life) shoot(d *disk, percent int, seed uint64, what string) {
	l.mu.Lock()
	p := picture{opened: l.opened, closed: l.closed}
	l.mu.Unlock()
	p.what = fmt.Sprintf("life %d, power cut %s, %d %% of what was not synced (seed %d)", l.seed, what, percent, seed)
	p.from = l.history.Sure() // before the picture: it must be in there
	if percent == onlyKilled {
		p.what = fmt.Sprintf("life %d, killed %s", l.seed, what)
		p.disk = d.killed()
	} else {
		p.disk = d.cut(percent, rand.New(rand.NewPCG(seed, 1)))
	}
	p.to = l.history.Asked()
	l.mu.Lock()
	l.pictures = append(l.pictures, p)
	l.mu.Unlock()
}

func (l *life) set(opened, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened, l.closed = l.opened || opened, closed
}

// live opens the queue, works on it for so many steps, and closes it. The store that was
// opened may be in one of several states after a crash; it goes on from there.
func (l *life) live(steps int, seed uint64) error {
	d := l.disk
	if l.look != nil {
		d.watch(func(o op) verdict { return l.look(l, o, false) }, func(o op) { l.look(l, o, true) })
	}
	l.set(false, false)
	o, log, died := l.options(d)
	s, err := pebblestore.Open(o)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	l.set(true, false)
	state, err := l.history.Find(s, l.history.Sure(), l.history.Asked())
	if err == nil {
		l.history.Back(l.history.Sure(), state)
		p := l.play(s, state, seed)
		p.Dead = died.at
		if err = p.Begin(); err == nil {
			err = p.Run(steps)
		}
	}
	if cerr := died.close(s); err == nil && cerr != nil {
		err = fmt.Errorf("Close: %w", cerr)
	}
	l.set(true, true)
	if err == nil {
		err = died.cause()
	}
	if err == nil && strings.Contains(log.String(), "level=ERROR") {
		err = errors.New("log: " + log.String())
	}
	return err
}

// verify opens what a power cut left and holds it against the history: nothing lost that
// was safe, nothing altered, nothing half done, nothing left over.
func (l *life) verify(p picture) error {
	err := l.judge(p)
	if err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	return nil
}

func (l *life) judge(p picture) error {
	p.disk = p.disk.killed() // somebody may want to go on from there
	if _, err := p.disk.Stat(queueDir + "/format"); p.opened && err != nil {
		return fmt.Errorf("the mark of the format is lost: %w", err)
	}
	if _, err := p.disk.Stat(queueDir + "/clean"); p.closed && err != nil {
		return fmt.Errorf("the mark of a clean shutdown is lost: %w", err)
	}
	o, log, died := l.options(p.disk)
	s, err := pebblestore.Open(o)
	if err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	_, err = l.history.Find(s, p.from, p.to)
	if err == nil && s.Stats().Corrupt > 0 {
		err = errors.New("something is corrupt")
	}
	if err == nil {
		err = noStrays(s, p.disk)
	}
	if cerr := died.close(s); err == nil {
		err = cerr
	}
	if err == nil {
		err = died.cause()
	}
	if err == nil && strings.Contains(log.String(), "level=ERROR") {
		err = errors.New("it complains")
	}
	if err != nil {
		return fmt.Errorf("%w; log: %s", err, log)
	}
	return nil
}

// verifyAll judges all pictures, until one is not as it should be.
func (l *life) verifyAll() (cycles int, err error) {
	for _, p := range l.pictures {
		cycles++
		if err := l.verify(p); err != nil {
			return cycles, err
		}
	}
	return cycles, nil
}

// goOn continues from one of the pictures, or from where the life has come to.
func (l *life) goOn() {
	l.disk = l.disk.killed()
	if k := l.rng.IntN(len(l.pictures) + 1); k < len(l.pictures) {
		p := l.pictures[k]
		l.disk = p.disk
		l.history.Back(p.from, p.to)
		l.mu.Lock()
		l.opened = p.opened
		l.mu.Unlock()
	}
	l.pictures = nil
}

// begun tells whether the queue was open.
func (l *life) begun() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.opened }

// noStrays wants each body file to belong to a message.
func noStrays(s *pebblestore.Store, d *disk) error {
	list, err := storetest.List(s)
	if err != nil {
		return err
	}
	ids := make(map[mail.QueueID]bool)
	for _, l := range list {
		ids[l.ID] = true
	}
	dirs, err := d.List(queueDir + "/big")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		names, err := d.List(queueDir + "/big/" + dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if id, err := mail.ParseQueueID(name); err != nil || !ids[id] {
				return fmt.Errorf("big/%s/%s belongs to no message", dir, name)
			}
		}
	}
	return nil
}

// atSyncs takes pictures before and after each sync, at all percentages. Tables are slow: a
// flush begins when the log that comes after it has been synced a few times, so that
// nothing of the flush is done for that log by chance.
func atSyncs(lie func(path string) bool) func(l *life, o op, after bool) verdict {
	var k, logs atomic.Uint64
	return func(l *life, o op, after bool) verdict {
		if o.kind == "create" && strings.HasSuffix(o.path, ".sst") && !after && l.begun() {
			for begin, tries := logs.Load(), 0; logs.Load() < begin+3 && tries < 30; tries++ {
				<-time.After(time.Millisecond)
			}
		}
		if o.kind != "sync" {
			return verdict{}
		}
		if after && strings.HasSuffix(o.path, ".log") {
			logs.Add(1)
		}
		n := k.Add(1)
		what := fmt.Sprintf("at boundary %d, %s %v", n, when(after), o)
		for i, percent := range cutPercents {
			l.shoot(l.disk, percent, n*10+uint64(i), what)
		}
		if !after && n%16 == 1 {
			l.shoot(l.disk, onlyKilled, 0, what)
		}
		return verdict{swallow: lie != nil && !after && lie(o.path)}
	}
}

func when(after bool) string {
	if after {
		return "after"
	}
	return "before"
}

// atRandom takes a picture in so many operations, on the average.
func atRandom(every int) func(l *life, o op, after bool) verdict {
	var mu sync.Mutex
	kinds := append([]int{onlyKilled}, cutPercents...)
	return func(l *life, o op, after bool) verdict {
		if !o.changes() {
			return verdict{}
		}
		mu.Lock()
		hit := l.rng.IntN(every) == 0
		percent, seed := kinds[l.rng.IntN(len(kinds))], l.rng.Uint64()
		mu.Unlock()
		if hit {
			l.shoot(l.disk, percent, seed, when(after)+" "+o.String())
		}
		return verdict{}
	}
}
