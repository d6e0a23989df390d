package dane

import (
	"log/slog"
	"sync"
	"time"
)

// A warning about a host is given once in a while, not with each connection to it.
const (
	toldFor = time.Hour
	toldMax = 1000 // warnings remembered; beyond it they may be given again
)

type told struct {
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex // guards last
	last map[string]time.Time
}

// once warns, unless it did so a short time ago.
func (t *told) once(text string) {
	now := t.now()
	t.mu.Lock()
	at, known := t.last[text]
	fresh := known && now.Sub(at) < toldFor
	if !fresh {
		if t.last == nil || len(t.last) >= toldMax {
			t.last = map[string]time.Time{}
		}
		t.last[text] = now
	}
	t.mu.Unlock()
	if !fresh {
		t.log.Warn(text)
	}
}
