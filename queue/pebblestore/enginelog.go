package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// engineLog is what Pebble tells: errors to the operator, fatal ones to the store.
type engineLog struct {
	log *slog.Logger
	now func() time.Time
	// hopeless gets the error that keeps Pebble from opening the database.
	hopeless chan error

	// park: fatal returns, and whoever met the error must not go on, not even to its end:
	// Pebble would panic in places where that ends the process.
	park bool

	mu        sync.Mutex  // guards what follows
	fatal     func(error) // nil while the database is being opened
	last      string      // background error, so that a repeated one is told once
	flushErr  error       // of the last flush; Pebble also calls an empty one an error
	confirmed bool        // it was a failure
	failures  int         // of flushes, one after the other
	stalled   time.Time
	stall     string // why
}

var _ pebble.Logger = (*engineLog)(nil)

func newEngineLog(log *slog.Logger, now func() time.Time) *engineLog {
	return &engineLog{log: log, now: now, hopeless: make(chan error, 1)}
}

// Infof is quiet.
func (l *engineLog) Infof(string, ...any) {}

// Errorf tells the operator.
func (l *engineLog) Errorf(format string, args ...any) {
	l.log.Error("queue database: " + fmt.Sprintf(format, args...))
}

// Fatalf does not return: Pebble would go on as if nothing had happened.
func (l *engineLog) Fatalf(format string, args ...any) {
	l.die(fmt.Errorf("queue database: %s", fmt.Sprintf(format, args...)))
}

// die ends the process, or the attempt to open the database. It does not return.
func (l *engineLog) die(err error) {
	l.giveUpOpening(err)
	l.mu.Lock()
	fatal := l.fatal
	l.mu.Unlock()
	fatal(err)
	if l.park {
		select {}
	}
	runtime.Goexit()
}

// giveUpOpening does nothing once the database is open. Before, it does not return: it
// lets openEngine report the error, and parks the goroutine that met it. If that went
// on, Pebble would try again for ever, or take down what its other goroutines still
// use, which panics.
func (l *engineLog) giveUpOpening(err error) {
	l.mu.Lock()
	opening := l.fatal == nil
	l.mu.Unlock()
	if !opening {
		return
	}
	select {
	case l.hopeless <- err:
	default:
	}
	select {}
}

func (l *engineLog) setFatal(f func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = f
}

// maxFlushFailures is how often a flush may fail in a row: Pebble tries again at once
// and for ever. What is not flushed is in the log, so that nothing is lost by ending.
const maxFlushFailures = 5

// flushed notes how a flush ended.
func (l *engineLog) flushed(i pebble.FlushInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i.Err == nil || !l.confirmed {
		l.failures = 0
	}
	l.flushErr, l.confirmed = i.Err, false
}

// background tells of a flush or compaction that failed.
func (l *engineLog) background(err error) {
	l.mu.Lock()
	again := err.Error() == l.last
	l.last = err.Error()
	if l.flushErr != nil && errors.Is(err, l.flushErr) {
		l.confirmed = true
		l.failures++
	}
	hopeless := l.failures >= maxFlushFailures || l.failures > 0 && l.fatal == nil
	// When there is no room each try has waited for some; then there is no hurry.
	if l.fatal != nil && full(err) {
		hopeless = false
	}
	l.mu.Unlock()
	switch {
	case again:
	case full(err): // it is tried again later
		l.log.Warn(fmt.Sprintf("queue database: no room for background work: %v", err))
	default:
		l.Errorf("background work: %v", err)
	}
	if hopeless {
		l.die(fmt.Errorf("queue database: flush: %w", err))
	}
}

// longStall is how long writes may be held back without a word.
const longStall = time.Second

// stallBegin and stallEnd are called when Pebble holds writes back, because what is in
// memory does not get to the disk as fast as mail comes in.
func (l *engineLog) stallBegin(i pebble.WriteStallBeginInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled, l.stall = l.now(), i.Reason
}

func (l *engineLog) stallEnd() {
	l.mu.Lock()
	took, why := l.now().Sub(l.stalled), l.stall
	l.mu.Unlock()
	if took >= longStall {
		l.log.Warn(fmt.Sprintf("queue database: nothing could be written for %s: %s", took.Round(time.Millisecond), why))
	}
}
