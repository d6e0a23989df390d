package main

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// How many bounces come back to one sender, counted as anvil(8) counts clients: in units of
// time that are fixed.

// maxBounced bounds the senders of a unit. Only who holds a token of ours can add one; those
// beyond are not counted.
const maxBounced = 100000

// bounceCounts are kept over reloads. The zero value is ready.
type bounceCounts struct {
	mu    sync.Mutex // guards what follows
	began time.Time  // of the unit
	of    map[string]int
}

// count counts a bounce to a sender and tells how many there were in this unit of time, with
// this one. known is false for senders that are too many to be counted.
func (c *bounceCounts) count(sender mail.Address, unit time.Duration, now time.Time) (n int, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.began); c.of == nil || since >= unit || since < 0 {
		c.began, c.of = now, make(map[string]int)
	}
	key := strings.ToLower(sender.Internal())
	n, known = c.of[key]
	if !known && len(c.of) >= maxBounced {
		return 0, false
	}
	c.of[key] = n + 1
	return n + 1, true
}

func itoa(n int) string { return strconv.Itoa(n) }
