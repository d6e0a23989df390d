package queue

import (
	"time"

	"aliasmx/internal/mail"
)

// destination is what the scheduler knows of one transport and next hop. It exists
// as long as there is mail for it or a connection to it.
type destination struct {
	name mail.Dest

	// In the store: when the first unclaimed job is due (zero: there is none), and, if
	// that was implausibly far away, until when a claim has to reach to find it.
	due   time.Time
	reach time.Time
	wake  Wake // jobs that need not wait until they are due
	// A claim is under way: how many jobs it may bring, for which site it is counted, and
	// what became due meanwhile.
	claiming int
	claimFor *site
	heard    time.Time

	jobs *ring // loaded, waiting; nil, or empty: none

	site     *site // nil: not known yet
	place    int   // in site.dests
	locating bool  // somebody has been asked
	located  time.Time

	hold *trouble // an operator wants nothing to be tried

	conns    int // connections
	busy     int // of them, those that may get another job
	attempts int // under way

	lends []lendID // wishes for a connection that wait until it is known where it is

	lastDone time.Time // when an attempt ended last
	streak   int       // how many ended without a pause of streakPause between two

	line      *line[*destination] // of first and more of its site, the one it stands in
	hungry    bool                // it stands in the scheduler's line of that name
	starved   bool                // it stands in its site's
	astray    bool                // nobody could say where it is; its jobs wait while that is asked again
	unlocated bool                // it stands in the scheduler's line lost
	alarm     alarm
}

func (d *destination) phase(now time.Time) phase {
	switch {
	case d.hold != nil:
		return dead
	case d.site == nil:
		return alive
	}
	return d.site.phase(now)
}

// why is why a dead destination is not tried.
func (d *destination) why() trouble {
	if d.hold != nil {
		return *d.hold
	}
	return d.site.why
}

// waiting is how many jobs are loaded and wait.
func (d *destination) waiting() int {
	if d.jobs == nil {
		return 0
	}
	return d.jobs.len()
}

// stored is how many of them came from the store.
func (d *destination) stored() int {
	if d.jobs == nil {
		return 0
	}
	return d.jobs.stored.len()
}

func (d *destination) push(j Job, stored bool) {
	defer d.tally(d.waiting(), d.stored())
	if d.jobs == nil {
		d.jobs = &ring{}
	}
	if stored {
		d.jobs.stored.push(j)
	} else {
		d.jobs.fresh.push(j)
	}
}

func (d *destination) pop() Job {
	defer d.tally(d.waiting(), d.stored())
	return d.jobs.pop()
}

// take takes the waiting jobs out that match.
func (d *destination) take(match func(*Job) bool) []Job {
	if d.jobs == nil {
		return nil
	}
	defer d.tally(d.waiting(), d.stored())
	return d.jobs.take(match)
}

// tally keeps the site's account of what waits, after a change of what there was.
func (d *destination) tally(waiting, stored int) {
	if d.site != nil {
		d.site.waiting += d.waiting() - waiting
		d.site.stored += d.stored() - stored
	}
	d.spare()
}

// spare gives up the ring when it is empty and not about to be used again.
func (d *destination) spare() {
	if d.waiting() == 0 && d.conns == 0 {
		d.jobs = nil
	}
}

func every(*Job) bool { return true }

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
	if d.due.IsZero() || d.claiming > 0 || d.stored() > ringSize/2 {
		return time.Time{}
	}
	switch d.phase(now) {
	case dead:
		overdue := d.due.Add(p.MaximalBackoff)
		if d.hold != nil || overdue.Before(d.site.deadUntil) {
			return overdue
		}
		return later(d.due, d.site.deadUntil)
	case probing:
		if st := d.site; st.waiting > 0 || st.attempts > 0 || st.claiming > 0 {
			return time.Time{}
		}
	}
	if !d.wake.Before.IsZero() {
		return sooner(d.due, now)
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

// rouse makes jobs that wait in the store be claimed before they are due.
func (d *destination) rouse(w Wake) {
	if d.due.IsZero() && d.claiming == 0 {
		return // there are none
	}
	w.All = w.All || d.wake.All
	d.wake = w
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
	return d.waiting() == 0 && d.claiming == 0 && d.conns == 0 && d.due.IsZero() &&
		len(d.lends) == 0 && !d.locating && !d.unlocated && !d.hungry && !d.starved && !d.lately(now) && (d.hold != nil || d.phase(now) != dead)
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
