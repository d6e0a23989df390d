package pebblestore_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) queue.Store {
		return mustOpen(t, pebblestore.Options{Dir: t.TempDir(), Now: o.Now, RecipientLimit: o.RecipientLimit})
	})
}

// TestConformanceSmall is the suite again with everything small: bodies go to files,
// nothing is kept in memory, memtables are flushed while we look.
func TestConformanceSmall(t *testing.T) {
	storetest.Run(t, func(t *testing.T, o storetest.Options) queue.Store {
		return mustOpen(t, pebblestore.Options{
			Dir: "/queue", FS: vfs.NewMem(), Now: o.Now, RecipientLimit: o.RecipientLimit,
			InlineLimit: 3000, BodyMemory: 5000, MemTableSize: 1,
		})
	})
}

// mustOpen opens a store that is closed with the test. A failure of the store is a
// failure of the test.
func mustOpen(t testing.TB, o pebblestore.Options) *pebblestore.Store {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	}
	s, err := pebblestore.Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// testLog takes what is logged; an error in the log is a failure of the test.
type testLog struct{ testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if strings.Contains(text, "level=ERROR") {
		l.Errorf("log: %s", text)
	} else {
		l.Logf("log: %s", text)
	}
	return len(p), nil
}

// logBook is a slog.Handler's writer that can be asked what was said.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
