package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// How Pebble is set up. The numbers are chosen for mail that is written, read once
// from memory, and removed before its memtable is flushed.

// openEngine opens the database, or makes it. One that exists must not be made anew.
func openEngine(dir string, fs vfs.FS, exists bool, o *Options, log *engineLog) (*pebble.DB, error) {
	opts := &pebble.Options{
		FS:                 fs,
		FormatMajorVersion: pebble.FormatNewest,
		ErrorIfNotExists:   exists,
		Logger:             log,
		EventListener: &pebble.EventListener{
			BackgroundError: log.background,
			// A bad block is the concern of the message in it, not of the process.
			DataCorruption: func(i pebble.DataCorruptionInfo) { log.Errorf("%v", i) },
			DiskSlow:       func(i pebble.DiskSlowInfo) { log.Errorf("%v", i) },
			WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
				log.log.Warn("queue database: writes wait for the disk: " + i.Reason)
			},
		},
		MemTableSize:                uint64(o.MemTableSize),
		MemTableStopWritesThreshold: 4,
		L0StopWritesThreshold:       32, // a stall costs more than a slow read
		CacheSize:                   min(64<<20, 4*o.MemTableSize),
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	if o.MemTableSize < 16<<20 {
		opts.MemTableStopWritesThreshold = 2 // logs are recycled: each costs a memtable of disk
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })

	var db *pebble.DB
	err := guarded(func() (err error) {
		db, err = pebble.Open(dir, opts)
		return err
	})
	return db, err
}

// orderedFS puts the names of new files on stable storage before a marker is made that
// may speak of one of them. Pebble leaves that to file systems that keep the order of
// changes to a directory; most do, none has to.
type orderedFS struct{ vfs.FS }

// Create implements vfs.FS.
func (o orderedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(o.PathBase(name), "marker.") {
		if err := syncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return o.FS.Create(name, category)
}

// guarded runs f and turns a panic, or the end of its goroutine by a fatal error,
// into an error. Pebble panics on errors it has no way to return.
func guarded(f func() error) error {
	var err error
	var ended sync.WaitGroup
	ended.Go(func() {
		finished := false
		defer func() {
			if p := recover(); p != nil {
				err = asError(p)
			} else if !finished {
				err = errors.New("fatal error in the queue database")
			}
		}()
		err = f()
		finished = true
	})
	ended.Wait()
	return err
}

func asError(p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("queue database: %w", err)
	}
	return fmt.Errorf("queue database: %v", p)
}

// engineLog is what Pebble tells: errors only, and fatal ones to the store.
type engineLog struct {
	log *slog.Logger

	mu    sync.Mutex // guards what follows
	fatal func(error)
	last  string // background error, so that a repeated one is told once
}

var _ pebble.Logger = (*engineLog)(nil)

// Infof is quiet.
func (l *engineLog) Infof(string, ...any) {}

// Errorf tells the operator.
func (l *engineLog) Errorf(format string, args ...any) {
	l.log.Error("queue database: " + fmt.Sprintf(format, args...))
}

// Fatalf does not return: Pebble would go on as if nothing had happened.
func (l *engineLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf("queue database: %s", fmt.Sprintf(format, args...))
	l.mu.Lock()
	fatal := l.fatal
	l.mu.Unlock()
	if fatal != nil { // nil while opening: Open returns the error
		fatal(err)
	} else {
		l.log.Error(err.Error())
	}
	runtime.Goexit()
}

func (l *engineLog) setFatal(f func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = f
}

// background tells of a flush or compaction that failed. Pebble tries again at once,
// so the same error comes again and again.
func (l *engineLog) background(err error) {
	l.mu.Lock()
	again := err.Error() == l.last
	l.last = err.Error()
	l.mu.Unlock()
	if !again {
		l.Errorf("background work: %v", err)
	}
}
