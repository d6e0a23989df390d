package local

import (
	"context"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// turns bounds how many deliveries to one recipient go on at a time
// (local_destination_concurrency_limit): a command that hangs must not take up all the
// places that local names share. Those who wait longer than patience are deferred.
type turns struct {
	mu   sync.Mutex // guards what follows
	busy map[string]int
	gone chan struct{} // closed at the next end of a delivery; nil: nobody waits
}

const patience = 30 * time.Second

func (t *turns) take(ctx context.Context, name string, limit int) bool {
	var timer <-chan time.Time
	for {
		t.mu.Lock()
		if t.busy == nil {
			t.busy = make(map[string]int)
		}
		if t.busy[name] < limit {
			t.busy[name]++
			t.mu.Unlock()
			return true
		}
		if t.gone == nil {
			t.gone = make(chan struct{})
		}
		gone := t.gone
		t.mu.Unlock()
		if timer == nil {
			timer = time.After(patience)
		}
		select {
		case <-gone:
		case <-timer:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (t *turns) give(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy[name]--; t.busy[name] == 0 {
		delete(t.busy, name)
	}
	if t.gone != nil {
		close(t.gone)
		t.gone = nil
	}
}

// memory holds what has been delivered of recipients that are to be tried again, so that
// a command that did its work is not run again because another target was deferred.
// Postfix runs it again. It is lost with the process, and bounded: the oldest goes first.
type memory struct {
	mu    sync.Mutex // guards what follows
	done  map[memoryKey]map[string]bool
	order []memoryKey
}

type memoryKey struct {
	id   mail.QueueID
	rcpt int
}

// memoryLimit is for how many recipients there is a memory.
const memoryLimit = 10000

// take returns what is known of a recipient, and forgets it.
func (m *memory) take(key memoryKey) map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.done[key]
	delete(m.done, key)
	if known == nil {
		known = make(map[string]bool)
	}
	return known
}

func (m *memory) keep(key memoryKey, done map[string]bool) {
	if len(done) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done == nil {
		m.done = make(map[memoryKey]map[string]bool)
	}
	m.done[key] = done
	m.order = append(m.order, key)
	for len(m.order) > memoryLimit {
		delete(m.done, m.order[0])
		m.order = m.order[1:]
	}
}
