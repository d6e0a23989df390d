package dns

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// What was answered, for as long as the answer holds; and what is being asked, so that
// a hundred deliveries to one domain ask once.

type cacheKey struct {
	name  string // lower case
	qtype uint16
}

// cacheBytes bounds what is kept in all, whoever writes long records into his zone.
const cacheBytes = 16 << 20

// cache keeps at most max answers and maxBytes, the least recently used go first.
type cache struct {
	max      int
	maxBytes int
	now      func() time.Time

	mu    sync.Mutex // guards what follows
	byKey map[cacheKey]*list.Element
	used  *list.List // of cached, most recently used first
	bytes int
}

type cached struct {
	key cacheKey
	answer
	bytes int
}

func newCache(max int, now func() time.Time) *cache {
	return &cache{max: max, maxBytes: cacheBytes, now: now, byKey: map[cacheKey]*list.Element{}, used: list.New()}
}

func (c *cache) get(k cacheKey) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[k]
	if e == nil {
		return answer{}, false
	}
	a := e.Value.(*cached).answer
	if !c.now().Before(a.expires) {
		c.drop(e)
		return answer{}, false
	}
	c.used.MoveToFront(e)
	return a, true
}

// put keeps an answer that says for how long.
func (c *cache) put(k cacheKey, a answer) {
	if a.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.expires = c.now().Add(a.ttl)
	if e := c.byKey[k]; e != nil {
		c.drop(e)
	}
	e := &cached{k, a, size(k, a)}
	for c.used.Len() > 0 && (c.used.Len() >= c.max || c.bytes+e.bytes > c.maxBytes) {
		c.drop(c.used.Back())
	}
	if c.max > 0 && e.bytes <= c.maxBytes {
		c.byKey[k] = c.used.PushFront(e)
		c.bytes += e.bytes
	}
}

// size is about what an answer takes.
func size(k cacheKey, a answer) int {
	const entry, record = 300, 100
	n := entry + 2*len(k.name)
	for _, rr := range a.rrs {
		n += record + dns.Len(rr)
	}
	return n
}

// drop removes an entry. The caller holds c.mu.
func (c *cache) drop(e *list.Element) {
	c.used.Remove(e)
	c.bytes -= e.Value.(*cached).bytes
	delete(c.byKey, e.Value.(*cached).key)
}

// flight lets callers share a question that is under way. It is asked in the goroutine
// of the first; the others wait for the answer, or until their own time is over.
type flight struct {
	mu  sync.Mutex // guards now
	now map[cacheKey]*asking
}

type asking struct {
	done   chan struct{}
	answer answer // set when done is closed
}

// do returns the answer of ask, or of an equal question under way (shared). The error
// is that of ctx.
func (f *flight) do(ctx context.Context, k cacheKey, ask func() answer) (a answer, shared bool, err error) {
	f.mu.Lock()
	if q := f.now[k]; q != nil {
		f.mu.Unlock()
		select {
		case <-q.done:
			return q.answer, true, nil
		case <-ctx.Done():
			return answer{}, true, context.Cause(ctx)
		}
	}
	if f.now == nil {
		f.now = map[cacheKey]*asking{}
	}
	// Should ask panic, those who wait get the zero answer: a temporary failure.
	q := &asking{done: make(chan struct{})}
	f.now[k] = q
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.now, k)
		f.mu.Unlock()
		close(q.done)
	}()
	q.answer = ask()
	return q.answer, false, nil
}
