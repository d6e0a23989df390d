package verify

import (
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// cache is what is known of addresses, up to a number of them. Whoever uses it holds the
// Verifier's lock.
//
// An address is a key as it is written, but for the case of its domain.
type cache struct {
	max     int
	entries map[string]*entry
}

// entry is what the last probe of an address found. State is never pending.
type entry struct {
	verdict mail.Verdict
	updated time.Time // when the probe came back
	probed  time.Time // when one was sent that has not changed it; zero: none
}

// probeTTL is how long after a probe the next one is not sent, when it did not bring
// anything new. Postfix has the same 1000 seconds.
const probeTTL = 1000 * time.Second

func keyOf(a mail.Address) string {
	return mail.Address{Local: a.Local, Domain: strings.ToLower(a.Domain)}.String()
}

func (e *entry) good() bool { return e.verdict.State == mail.VerdictDeliverable }

func (e *entry) expired(p *Params, now time.Time) bool {
	limit := p.NegativeExpire
	if e.good() {
		limit = p.PositiveExpire
	}
	return e.updated.Add(limit).Before(now)
}

func (e *entry) wantsProbe(p *Params, now time.Time) bool {
	limit := p.NegativeRefresh
	if e.good() {
		limit = p.PositiveRefresh
	}
	return e.updated.Add(limit).Before(now) && now.Sub(e.probed) > probeTTL
}

// find returns what is known and has not expired, or nil.
func (c *cache) find(key string, p *Params, now time.Time) *entry {
	if e := c.entries[key]; e != nil && !e.expired(p, now) {
		return e
	}
	return nil
}

// learn takes what a probe found, and tells whether that changed anything.
func (c *cache) learn(key string, v mail.Verdict, p *Params, now time.Time) bool {
	bad := v.State != mail.VerdictDeliverable
	if old := c.entries[key]; bad && (!p.NegativeCache || old != nil && old.good() && !old.expired(p, now)) {
		return false
	}
	c.put(key, &entry{verdict: v, updated: now})
	return true
}

func (c *cache) put(key string, e *entry) {
	if _, known := c.entries[key]; !known && len(c.entries) >= c.max {
		c.makeRoom()
	}
	c.entries[key] = e
}

// makeRoom looks at this many entries, and at more while all of them are good.
const (
	sampled     = 16
	sampledGood = 1000
)

// makeRoom drops one entry: of some that are met by chance the oldest bad one, or else the
// oldest. So a flood of made up addresses drives out its like, and looking through all
// entries is never needed.
func (c *cache) makeRoom() {
	worst, n := "", 0
	for key, e := range c.entries {
		if w := c.entries[worst]; w == nil || w.good() && !e.good() || w.good() == e.good() && e.updated.Before(w.updated) {
			worst = key
		}
		if n++; n >= sampled && !c.entries[worst].good() || n == sampledGood {
			break
		}
	}
	delete(c.entries, worst)
}

// clean drops what has expired.
func (c *cache) clean(p *Params, now time.Time) (retained, dropped int) {
	for key, e := range c.entries {
		if e.expired(p, now) {
			delete(c.entries, key)
			dropped++
		}
	}
	return len(c.entries), dropped
}
