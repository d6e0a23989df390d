package queue

import (
	"time"

	"aliasmx/internal/mail"
)

// destination is what the scheduler knows of one transport and next hop. It exists
// as long as there is mail for it, a connection to it, or trouble with it.
type destination struct {
	name mail.Dest

	// In the store: when the first unclaimed job is due (zero: there is none), and, if
	// that was implausibly far away, until when a claim has to reach to find it.
	due   time.Time
	reach time.Time
	// A claim is under way: how many jobs it may bring, and what became due meanwhile.
	claiming int
	heard    time.Time

	ring []Job // loaded, waiting, in order of arrival

	conns    int // connections
	busy     int // of them, those that may get another job
	attempts int // under way
	win      window

	lastDone time.Time // when an attempt ended last
	streak   int       // how many ended without a pause of streakPause between two

	deadUntil time.Time // zero: not dead. Past: one attempt is made to see
	deaths    int       // in a row
	why       trouble

	line   *line     // of first and more of the scheduler, the one it stands in
	hungry bool      // it stands in the scheduler's line of that name
	wake   time.Time // its place in timers; slot -1: none
	slot   int
}

// phase says how a destination may be used.
type phase uint8

const (
	alive   phase = iota
	dead          // not at all
	probing       // by one attempt at a time
)

func (d *destination) phase(now time.Time) phase {
	switch {
	case d.deadUntil.IsZero():
		return alive
	case now.Before(d.deadUntil):
		return dead
	}
	return probing
}

// width is how many attempts at once it may have now.
func (d *destination) width(now time.Time) int {
	switch d.phase(now) {
	case alive:
		return d.win.size
	case probing:
		return 1
	}
	return 0
}

// wantsConnection: a job waits that no open connection is going to fetch.
func (d *destination) wantsConnection(now time.Time) bool {
	return len(d.ring) > 0 && d.busy < d.width(now)
}

// wantsJobs: there is something to claim, and room for it. Of a dead destination
// only what is overdue by a whole maximal_backoff_time is fetched, to be deferred
// again or to expire: what sleeps in the store costs nothing.
func (d *destination) wantsJobs(now time.Time, p *Params) bool {
	at := d.nextLook(now, p)
	return !at.IsZero() && !at.After(now)
}

// nextLook is when the store is to be asked for jobs; zero: not before something
// else happens.
func (d *destination) nextLook(now time.Time, p *Params) time.Time {
	if d.due.IsZero() || d.claiming > 0 || len(d.ring) > ringSize/2 {
		return time.Time{}
	}
	switch d.phase(now) {
	case dead:
		if overdue := d.due.Add(p.MaximalBackoff); overdue.Before(d.deadUntil) {
			return overdue
		}
		return later(d.due, d.deadUntil)
	case probing:
		if len(d.ring) > 0 || d.attempts > 0 {
			return time.Time{}
		}
	}
	return d.due
}

// hear notes that the store has a job for it that is due then.
func (d *destination) hear(due, now time.Time, p *Params) {
	if due.IsZero() {
		return
	}
	// A due time is never further away than a backoff: else the clock was set back
	// since, or the setting lowered.
	if far := now.Add(2 * p.MaximalBackoff); due.After(far) {
		d.reach = later(d.reach, due)
		due = far
	}
	if d.claiming > 0 {
		d.heard = sooner(d.heard, due)
		return
	}
	d.due = sooner(d.due, due)
}

func (d *destination) pop() Job {
	j := d.ring[0]
	d.ring[0] = Job{}
	if d.ring = d.ring[1:]; len(d.ring) == 0 {
		d.ring = nil
	}
	return j
}

// count notes that an attempt has ended.
func (d *destination) count(now time.Time) {
	if !d.lately(now) {
		d.streak = 0
	}
	d.streak++
	d.lastDone = now
}

func (d *destination) lately(now time.Time) bool {
	return d.streak > 0 && now.Sub(d.lastDone) < streakPause
}

// lively: so much mail goes there that an idle connection is worth keeping
// (postconf(5): smtp_connection_cache_on_demand). A single letter, or a few, are no
// reason to hold a connection of somebody else's server.
func (d *destination) lively(now time.Time) bool {
	return d.streak > livelyStreak && d.lately(now)
}

// idle: nothing is left that would have to be remembered.
func (d *destination) idle(now time.Time) bool {
	return len(d.ring) == 0 && d.claiming == 0 && d.conns == 0 && d.due.IsZero() && d.phase(now) != dead && !d.lately(now)
}

// sooner is the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// later is the later of two times, of which zero means never was.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
