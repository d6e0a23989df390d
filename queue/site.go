package queue

import (
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// site is the hosts that answer for one destination or for many. What they bear is
// counted here: connections, the window, whether they are dead, how fast they may be
// given mail. It exists as long as a destination is at it, or there is something to be
// remembered of it.
type site struct {
	key       string // of scheduler.sites
	transport string
	params    TransportParams // of its transport
	limits    mail.SiteLimits // its own
	dests     []*destination

	conns    int // connections
	busy     int // of them, those that may get another job
	leaving  int // of them, those that were refused
	lingers  int // of them, those that wait for a job
	attempts int // under way
	stuck    int // of them, those that have lasted too long
	waiting  int // jobs that wait for a connection
	stored   int // of them, those that came from the store
	hungry   int // destinations that stand in line for a claim
	claiming int // claims under way for its destinations
	win      window
	pace     pace

	deadUntil time.Time // zero: not dead. Past: one attempt is made to see
	deaths    int       // in a row
	why       trouble

	first, more line[*destination] // have a job: without a connection, with
	starved     line[*destination] // have jobs in the store, and enough of the site's are loaded
	line        *line[*site]       // of first and more of the scheduler, the one it stands in
	alarm       alarm
}

// name is its hosts, or the destination that it is the site of.
func (st *site) name() string { return st.key[strings.IndexByte(st.key, 0)+1:] }

// phase says how a site may be used.
type phase uint8

const (
	alive   phase = iota
	dead          // not at all
	probing       // by one attempt at a time
)

func (st *site) phase(now time.Time) phase {
	switch {
	case st.deadUntil.IsZero():
		return alive
	case now.Before(st.deadUntil):
		return dead
	}
	return probing
}

// width is how many connections at once it may have now.
func (st *site) width(now time.Time) int {
	switch st.phase(now) {
	case alive:
		if st.rateDelay() > 0 {
			return 1
		}
		return st.win.size
	case probing:
		return 1
	}
	return 0
}

// most is the widest its window may become.
func (st *site) most(p *Params) int {
	n := st.params.ConcurrencyLimit
	if st.limits.Concurrency > 0 {
		n = st.limits.Concurrency
	}
	for _, limit := range []int{st.params.ProcessLimit, p.ProcessLimit} {
		if limit > 0 && (n <= 0 || limit < n) {
			n = limit
		}
	}
	return n
}

func (st *site) newWindow(p *Params) window {
	n := st.params.InitialConcurrency
	if st.limits.Initial > 0 {
		n = st.limits.Initial
	}
	return window{size: max(1, min(n, st.most(p)))}
}

func (st *site) rateDelay() time.Duration {
	return max(st.params.DestinationRateDelay, st.limits.RateDelay)
}

// wants: a job waits that no open connection is going to fetch, and may go now.
func (st *site) wants(now time.Time) bool {
	return len(st.first)+len(st.more) > 0 && st.conns < st.width(now) && st.pace.ready(now)
}

// full: enough is loaded of what waits in the store to keep it busy. A site of many
// destinations must not fill the memory with a ring of each.
func (st *site) full() bool {
	return st.stored+(st.claiming+st.hungry)*ringSize >= siteShare
}

// next is the destination whose turn it is to get a connection; nil: none has a job.
func (st *site) next() *destination {
	for _, from := range []*line[*destination]{&st.first, &st.more} {
		for len(*from) > 0 {
			d := from.pop()
			d.line = nil
			if d.waiting() > 0 {
				return d
			}
		}
	}
	return nil
}

// idle: nothing is left that would have to be remembered.
func (st *site) idle(now time.Time) bool {
	return len(st.dests) == 0 && st.conns == 0 && st.claiming == 0 && st.phase(now) != dead && st.pace.idle(now)
}

// asksForLess tells whether a reply of its hosts means that they want less mail.
func (st *site) asksForLess(reply trouble) bool {
	code := reply.status.Enhanced
	if code[0] != 4 {
		return false
	}
	if code[1] == 7 && isAboutRate(reply.status.Text) {
		return true
	}
	for _, s := range st.limits.SlowReplies {
		switch text := code.String(); {
		case isCode(s) && (text == s || strings.HasSuffix(s, ".") && strings.HasPrefix(text, s)):
			return true
		case !isCode(s) && strings.Contains(strings.ToLower(reply.status.Text), strings.ToLower(s)):
			return true
		}
	}
	return false
}

// isCode: it is written as an enhanced status code, or the beginning of one.
func isCode(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == ""
}

// isAboutRate tells whether a 4.7 reply is about how much mail came. Those about how many
// connections are there are for the window, those about a stranger (greylisting) for
// nobody but the letter.
func isAboutRate(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{
		"rate limit", "rate-limit", "ratelimit", "unusual rate", "at a rate", "throttl", "too fast", "too quickly",
		"too many messages", "too many mails", "too many emails", "too much mail", "unexpected volume", "volume of",
	}, func(s string) bool { return strings.Contains(text, s) })
}

// attach makes a destination one of a site's, which is made when it is new.
func (s *scheduler) attach(d *destination, key string, limits mail.SiteLimits) {
	st := s.sites[key]
	if st == nil {
		st = &site{key: key, transport: d.name.Transport(), limits: limits}
		st.alarm = alarm{slot: -1, site: st}
		s.configure(st)
		st.win = st.newWindow(&s.params)
		s.sites[key] = st
	} else if !sameLimits(&st.limits, &limits) {
		st.limits = limits
		s.configure(st)
	}
	if d.site == st {
		return
	}
	s.detach(d)
	d.site, d.place = st, len(st.dests)
	st.dests = append(st.dests, d)
	st.waiting += d.waiting()
	st.stored += d.stored()
	if d.hungry {
		st.hungry++
	}
}

func sameLimits(a, b *mail.SiteLimits) bool {
	return a.Concurrency == b.Concurrency && a.Initial == b.Initial && a.RateDelay == b.RateDelay &&
		a.Rate == b.Rate && a.Per == b.Per && slices.Equal(a.SlowReplies, b.SlowReplies)
}

// configure applies the settings of now to a site.
func (s *scheduler) configure(st *site) {
	st.params = s.params.of(st.transport)
	st.pace.gate = nil
	if st.params.TransportRateDelay > 0 {
		if s.gates[st.transport] == nil {
			s.gates[st.transport] = &gate{}
		}
		st.pace.gate = s.gates[st.transport]
	}
	st.win.limit(st.most(&s.params))
}

// detach takes a destination, which has no connection, away from its site.
func (s *scheduler) detach(d *destination) {
	st := d.site
	if st == nil {
		return
	}
	if d.line != nil {
		d.line.remove(d)
		d.line = nil
	}
	last := len(st.dests) - 1
	st.dests[d.place] = st.dests[last]
	st.dests[d.place].place = d.place
	st.dests[last] = nil
	st.dests = st.dests[:last]
	st.waiting -= d.waiting()
	st.stored -= d.stored()
	if d.hungry {
		d.hungry = false
		s.hungry.remove(d)
		st.hungry--
	}
	if d.starved {
		d.starved = false
		st.starved.remove(d)
	}
	d.site = nil
	s.attendSite(st)
}

// attendSite does what a change at a site allows, and is called after each: jobs go to
// connections that wait for one, it gets in line for a new one, its alarm is set, or it
// is forgotten.
func (s *scheduler) attendSite(st *site) {
	if !s.open || s.closing {
		return
	}
	for len(st.starved) > 0 && !st.full() {
		d := st.starved.pop()
		d.starved = false
		s.lookForJobs(d)
	}
	if st.waiting > 0 {
		if st.lingers > 0 {
			s.serveWaiting(st)
		}
		s.queueUp(st)
	}
	if st.idle(s.now) && st.line == nil {
		s.timers.set(&st.alarm, time.Time{})
		delete(s.sites, st.key)
		return
	}
	var at time.Time
	switch {
	case st.waiting > 0 && !st.pace.ready(s.now):
		at = st.pace.from()
	case len(st.dests) == 0 && st.conns == 0:
		at = later(st.deadUntil, st.pace.until())
	}
	if !at.After(s.now) {
		at = time.Time{}
	}
	s.timers.set(&st.alarm, at)
}

// attendDests attends all destinations of a site: what it may do has changed for all.
func (s *scheduler) attendDests(st *site) {
	for _, d := range slices.Clone(st.dests) {
		s.attend(d)
	}
}

// kill stops the use of a site for a while: minimal_backoff_time, twice as long after
// each try that fails, up to maximal_backoff_time. What is loaded for it is deferred.
func (s *scheduler) kill(st *site, why trouble) {
	if st.phase(s.now) == dead {
		return
	}
	pause := s.params.MinimalBackoff
	for range min(st.deaths, 32) {
		pause = min(2*pause, s.params.MaximalBackoff)
	}
	st.deaths++
	st.deadUntil = s.now.Add(time.Duration(float64(pause) * s.jitter()))
	st.why = why.suspended()
	for _, c := range slices.Clone(s.waiting) {
		if c.dest.site == st {
			s.refuse(c)
		}
	}
	for _, d := range st.dests {
		d.streak, d.wake = 0, Wake{}
	}
	s.attendDests(st)
}

// probeNow lets one attempt see whether a dead site answers again.
func (s *scheduler) probeNow(st *site) {
	if st == nil || st.phase(s.now) != dead {
		return
	}
	st.deadUntil = s.now
	s.attendDests(st)
}

// revive forgets that a site was dead. All that has waited for it is due.
func (s *scheduler) revive(st *site) {
	if st == nil || st.deadUntil.IsZero() {
		return
	}
	st.win = st.newWindow(&s.params)
	if st.phase(s.now) == dead { // by a connection from before: it bears those that are left
		st.win.size = max(1, min(st.win.size, st.attempts))
	}
	st.deadUntil, st.deaths = time.Time{}, 0
	for _, d := range st.dests {
		d.rouse(Wake{Before: s.now})
	}
	s.attendDests(st)
}
