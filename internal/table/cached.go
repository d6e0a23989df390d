package table

import (
	"context"
	"sync"
	"time"
)

// cached keeps for a short time what a server said, also that it does not know a key;
// never that it failed. Who asks for a key that is being asked for already waits for
// that answer. The price is that a change is seen as much later as results are kept.
type cached struct {
	Table
	keep time.Duration
	now  func() time.Time

	mu      sync.Mutex // guards the rest
	results map[string]*cachedResult
	oldest  []*cachedResult // in order of their end; the first may be gone already
	asked   map[string]*question
}

type cachedResult struct {
	key, value string
	found      bool
	until      time.Time
}

// question is a lookup under way. The others wait for done, then read the rest.
type question struct {
	done  chan struct{}
	value string
	found bool
	err   error
	gone  bool // who asked went away before the answer
}

// maxCachedResults bounds a table's memory; maxCachedBytes is the longest result that
// is kept.
const (
	maxCachedResults = 4096
	maxCachedBytes   = 16 << 10
)

// Cached makes a table keep its results for Options.RemoteCacheTime. With that at zero
// it is the table itself.
func Cached(t Table, o Options) Table {
	if o.RemoteCacheTime <= 0 {
		return t
	}
	return &cached{
		Table: t, keep: o.RemoteCacheTime, now: o.withDefaults().Now,
		results: map[string]*cachedResult{}, asked: map[string]*question{},
	}
}

func (c *cached) Lookup(ctx context.Context, key string) (string, bool, error) {
	for {
		c.mu.Lock()
		if r := c.results[key]; r != nil && c.now().Before(r.until) {
			c.mu.Unlock()
			return r.value, r.found, nil
		}
		q := c.asked[key]
		if q == nil {
			q = &question{done: make(chan struct{}), gone: true}
			c.asked[key] = q
			c.mu.Unlock()
			return c.ask(ctx, key, q)
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-q.done:
		}
		if !q.gone {
			return q.value, q.found, q.err
		}
	}
}

func (c *cached) ask(ctx context.Context, key string, q *question) (string, bool, error) {
	defer func() {
		c.mu.Lock()
		delete(c.asked, key)
		if !q.gone && q.err == nil && len(key)+len(q.value) <= maxCachedBytes {
			c.add(&cachedResult{key, q.value, q.found, c.now().Add(c.keep)})
		}
		c.mu.Unlock()
		close(q.done)
	}()
	q.value, q.found, q.err = c.Table.Lookup(ctx, key)
	q.gone = q.err != nil && ctx.Err() != nil
	return q.value, q.found, q.err
}

// add makes room by what has ended and, if that is not enough, by what ends first.
func (c *cached) add(r *cachedResult) {
	now := c.now()
	for len(c.oldest) > 0 && (len(c.oldest) >= maxCachedResults || !now.Before(c.oldest[0].until)) {
		if old := c.oldest[0]; c.results[old.key] == old {
			delete(c.results, old.key)
		}
		c.oldest[0] = nil
		c.oldest = c.oldest[1:]
	}
	c.results[r.key] = r
	c.oldest = append(c.oldest, r)
}
