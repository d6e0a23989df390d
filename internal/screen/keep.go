package screen

import (
	"fmt"
	"time"

	"aliasmx/internal/cachefile"
)

// Keeping the allow list: its file, and that what has expired is dropped.

// saveDelay is how long what was learnt may be missing in the file. After a crash those
// clients take their tests again.
const saveDelay = time.Minute

// load reads the file.
func (c *Clients) load() {
	if c.file == "" {
		return
	}
	lines, cleaned, err := readFile(c.file)
	if err != nil {
		c.log.Warn(fmt.Sprintf("postscreen_cache_map %s: %v; starting with an empty allow list", c.file, err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !cleaned.IsZero() {
		c.cleaned = cleaned
	}
	for _, l := range lines {
		c.allowed.put(l.addr, l.stamps)
	}
}

// save writes the file if it lacks something.
func (c *Clients) save() {
	c.mu.Lock()
	if c.dirty.IsZero() || c.file == "" {
		c.dirty = time.Time{}
		c.mu.Unlock()
		return
	}
	lines, cleaned := c.allowed.lines(), c.cleaned
	c.dirty = time.Time{}
	c.mu.Unlock()
	if err := cachefile.Write(c.file, encode(lines, cleaned)); err != nil {
		c.log.Warn(fmt.Sprintf("postscreen_cache_map: %v; the allow list is kept in memory only", err))
		c.mu.Lock()
		c.dirty = c.now() // try again
		c.mu.Unlock()
	}
}

// changed notes that the file lacks something. The caller holds c.mu.
func (c *Clients) changed() {
	if c.dirty.IsZero() {
		c.dirty = c.now()
		c.poke()
	}
}

func (c *Clients) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// keep saves and cleans when it is time, until Close, which saves what is left.
func (c *Clients) keep() {
	for {
		save, clean := c.due()
		var alarm <-chan time.Time
		var timer *time.Timer
		if next := earlier(save, clean); !next.IsZero() {
			timer = time.NewTimer(next.Sub(c.now()))
			alarm = timer.C
		}
		select {
		case <-c.ctx.Done():
		case <-c.wake:
		case <-alarm:
		}
		if timer != nil {
			timer.Stop()
		}
		if c.ctx.Err() != nil {
			return
		}
		now := c.now()
		if !clean.IsZero() && !now.Before(clean) {
			c.clean(now)
		}
		if !save.IsZero() && !now.Before(save) {
			c.save()
		}
	}
}

// due is when to save and when to clean; zero: never.
func (c *Clients) due() (save, clean time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty.IsZero() && c.file != "" {
		save = c.dirty.Add(saveDelay)
	}
	if c.params.Cleanup > 0 && len(c.allowed.entries) > 0 {
		clean = c.cleaned.Add(c.params.Cleanup)
	}
	return save, clean
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// clean drops the clients all of whose tests have expired longer ago than the retention
// time: until then a client that passes again is an old one in the log.
func (c *Clients) clean(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	retained, dropped := c.allowed.clean(now.Add(-c.params.Retention).Unix())
	c.cleaned = now
	c.changed()
	c.log.Info(fmt.Sprintf("cache %s full cleanup: retained=%d dropped=%d entries", c.name, retained, dropped))
}
