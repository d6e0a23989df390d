package delivery

import (
	"sync"
	"time"
)

// distrust remembers the hosts that offer CHUNKING and do not know BDAT: they get DATA
// for a while.
type distrust struct {
	mu    sync.Mutex           // guards what follows
	until map[string]time.Time // by name[address]:port
}

const (
	distrustTime = time.Hour
	distrustMost = 1000 // hosts; one more forgets all of them
)

func (d *distrust) add(relay string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil || len(d.until) >= distrustMost {
		d.until = make(map[string]time.Time)
	}
	d.until[relay] = now.Add(distrustTime)
}

func (d *distrust) has(relay string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.until[relay]
	if ok && !now.Before(until) {
		delete(d.until, relay)
		ok = false
	}
	return ok
}
