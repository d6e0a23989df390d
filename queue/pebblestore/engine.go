package pebblestore

import (
	"errors"
	"fmt"
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
			FlushEnd:        log.flushed,
			// A bad block is the concern of the message in it, not of the process.
			DataCorruption:    func(i pebble.DataCorruptionInfo) { log.Errorf("%v", i) },
			PossibleAPIMisuse: func(i pebble.PossibleAPIMisuseInfo) { log.Errorf("%v", i) },
			DiskSlow:          func(i pebble.DiskSlowInfo) { log.Errorf("%v", i) },
			WriteStallBegin:   log.stallBegin,
			WriteStallEnd:     log.stallEnd,
		},
		MemTableSize:                uint64(o.MemTableSize),
		MemTableStopWritesThreshold: 4,
		// Never: on a full disk compactions fail, and it is by writing that room is made.
		L0StopWritesThreshold:      1 << 20,
		CacheSize:                  min(64<<20, 4*o.MemTableSize),
		MaxOpenFiles:               1000,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	if o.Compactions != nil {
		opts.Experimental.CompactionScheduler = o.Compactions
	}
	if o.MemTableSize < 16<<20 {
		opts.MemTableStopWritesThreshold = 2 // logs are recycled: each costs a memtable of disk
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })

	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		var r result
		r.err = guarded(func() (err error) {
			r.db, err = pebble.Open(dir, opts)
			return err
		})
		opened <- r
	}()
	select {
	case r := <-opened:
		return r.db, r.err
	case err := <-log.hopeless: // Pebble would try again for ever
		return nil, err
	}
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
