package dkim

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// A message leaves once for each of its destinations, mostly within seconds, and with the
// same bytes: RSA is not to be paid for each.

const (
	madeMax = 256              // signatures kept, each of a few KiB
	madeAge = 10 * time.Minute // then t= is to be a new one
)

// madeKey is what a signature depends on: a queue ID stands for a body.
type madeKey struct {
	id      mail.QueueID
	domain  string
	prepend [sha256.Size]byte
}

func keyOf(m *mail.Outgoing, domain string) madeKey {
	return madeKey{m.Env.ID, domain, sha256.Sum256(m.Prepend)}
}

// made keeps the signatures made last. The zero value is empty.
type made struct {
	mu    sync.Mutex // guards what follows
	by    map[madeKey]*madeOnce
	order []madeKey // oldest first
}

// madeOnce is one, or the making of one.
type madeOnce struct {
	at     time.Time
	done   chan struct{} // closed when fields and err are there
	fields []byte
	err    error
}

// get returns what make made for a key, or has it made. Whoever comes meanwhile waits.
// Failures are not kept.
func (c *made) get(ctx context.Context, k madeKey, now func() time.Time, make func() ([]byte, error)) ([]byte, error) {
	one, mine := c.take(k, now())
	if mine {
		one.fields, one.err = make()
		if one.err != nil {
			c.forget(k, one)
		}
		close(one.done)
		return one.fields, one.err
	}
	select {
	case <-one.done:
		return one.fields, one.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take returns what there is for a key; if it is mine, I have to make it.
func (c *made) take(k madeKey, now time.Time) (one *madeOnce, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.by[k]; one != nil {
		if now.Sub(one.at) < madeAge {
			return one, false
		}
		c.remove(k)
	}
	if len(c.order) == madeMax {
		c.remove(c.order[0])
	}
	if c.by == nil {
		c.by = make(map[madeKey]*madeOnce)
	}
	one = &madeOnce{at: now, done: make(chan struct{})}
	c.by[k] = one
	c.order = append(c.order, k)
	return one, true
}

func (c *made) forget(k madeKey, one *madeOnce) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[k] == one {
		c.remove(k)
	}
}

// remove takes a key out. The caller holds mu.
func (c *made) remove(k madeKey) {
	delete(c.by, k)
	for i, other := range c.order {
		if other == k {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}
