package pebblestore

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func fullSpace(free *atomic.Int64, isOpen bool) *space {
	log := slog.New(slog.DiscardHandler)
	return &space{
		usage:   func() (int64, int64, error) { return free.Load(), 1 << 30, nil },
		now:     time.Now,
		log:     log,
		line:    100 << 20,
		isOpen:  isOpen,
		closing: make(chan struct{}),
		ballast: &ballast{fs: vfs.NewMem(), path: "ballast", size: 1 << 20, log: log},
	}
}

// TestLogWaitsForRoom: a write to the log that finds the disk full gets the ballast;
// the next one waits until there is room, or the store is closed. While the store is
// being opened it does not wait.
func TestLogWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		s := fullSpace(&free, true)
		if took := s.ballast.restore(200<<20, s.line); took != 1<<20 {
			t.Fatalf("the ballast took %d bytes", took)
		}
		s.full() // the ballast
		for _, end := range []func(){
			func() { free.Store(s.line / 4) },
			func() { s.close() },
		} {
			free.Store(s.line/4 - 1)
			var ended atomic.Bool
			go func() {
				s.full()
				ended.Store(true)
			}()
			time.Sleep(time.Hour)
			if ended.Load() {
				t.Error("the log did not wait for room")
			}
			end()
			time.Sleep(fullPoll)
			synctest.Wait()
			if !ended.Load() {
				t.Error("the log still waits")
			}
		}
		fullSpace(&free, false).full()
	})
}

// TestTablesAreCalm: a table that found no room is tried again after a while, not at
// once.
func TestTablesAreCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Int64
		s := fullSpace(&free, true)
		start := time.Now()
		s.calm()
		s.noteFull(nil)
		s.noteFull(syscall.EIO)
		s.calm()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %s for nothing", waited)
		}
		s.noteFull(syscall.ENOSPC)
		s.calm()
		s.calm()
		if waited := time.Since(start); waited != fullPoll {
			t.Errorf("waited %s, want %s", waited, fullPoll)
		}
		s.noteFull(syscall.EDQUOT)
		s.close()
		s.calm()
		if waited := time.Since(start); waited != fullPoll {
			t.Errorf("waited %s with a closed store", waited)
		}
	})
}

func TestDefaultsFitTheDisk(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	for _, tt := range []struct {
		name                   string
		o                      Options
		total                  int64
		memTable, inline, free int64
	}{
		{"large", Options{}, 1000 * gb, 64 * mb, 128 << 10, gb},
		{"large, large messages", Options{MessageSizeLimit: 2 * gb}, 1000 * gb, 64 * mb, 128 << 10, 3 * gb},
		{"4 GB", Options{}, 4 * gb, 32 * mb, 128 << 10, 4 * gb / 10},
		{"64 MB", Options{MessageSizeLimit: 10 * mb}, 64 * mb, 512 << 10, 128 << 10, 64 * mb / 10},
		{"8 MB", Options{}, 8 * mb, 256 << 10, 64 << 10, 8 * mb / 10},
		{"unknown", Options{}, 0, 64 * mb, 128 << 10, gb},
		{"as told", Options{MinFree: 5, MemTableSize: mb, InlineLimit: 1000}, 8 * mb, mb, 1000, 5},
	} {
		o := tt.o
		o.Dir = "/queue"
		if err := o.fill(); err != nil {
			t.Fatal(err)
		}
		o.fitDisk(tt.total)
		if o.MemTableSize != tt.memTable || o.InlineLimit != tt.inline || o.MinFree != tt.free {
			t.Errorf("%s: memtable %d, inline %d, free %d", tt.name, o.MemTableSize, o.InlineLimit, o.MinFree)
		}
	}
}
