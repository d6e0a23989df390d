package reputation

import (
	"hash/maphash"
	"time"
)

// Who guesses addresses finds that a domain with an @domain entry has all of them. Known are
// then the addresses that had mail in this hour: they go on getting it, further ones do not.

const catchAllUnit = time.Hour

// maxCatchAll is how many domains are counted at a time.
const maxCatchAll = 10_000

// catchAlls are the addresses of each domain. Its user has the lock.
type catchAlls struct {
	seed  maphash.Seed
	hours map[string]*hour
	swept time.Time
}

type hour struct {
	began time.Time
	seen  map[uint64]struct{} // local parts: no more than the limit
	told  bool
}

// of is the hour of a domain that is under way.
func (c *catchAlls) of(domain string, now time.Time) *hour {
	if c.hours == nil {
		c.seed, c.hours = maphash.MakeSeed(), make(map[string]*hour)
	}
	h := c.hours[domain]
	if h == nil || now.Sub(h.began) >= catchAllUnit {
		if h == nil {
			c.room(now)
		}
		h = &hour{began: now, seen: map[uint64]struct{}{}}
		c.hours[domain] = h
	}
	return h
}

// admits tells whether an address is one of those seen, or may become one.
func (c *catchAlls) admits(h *hour, alias string, limit int) bool {
	_, seen := h.seen[c.sum(alias)]
	return seen || len(h.seen) < limit
}

func (c *catchAlls) note(h *hour, alias string) { h.seen[c.sum(alias)] = struct{}{} }

func (c *catchAlls) sum(alias string) uint64 { return maphash.String(c.seed, alias) }

// room makes room for one more domain.
func (c *catchAlls) room(now time.Time) {
	if now.Sub(c.swept) >= catchAllUnit {
		c.swept = now
		for domain, h := range c.hours {
			if now.Sub(h.began) >= catchAllUnit {
				delete(c.hours, domain)
			}
		}
	}
	if len(c.hours) >= maxCatchAll {
		for domain := range c.hours { // any
			delete(c.hours, domain)
			break
		}
	}
}
