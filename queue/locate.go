package queue

import (
	"context"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// Which site a destination is at, if it is not by itself, is asked when its first job waits for a connection,
// and from time to time again: records in the DNS change. Until it is known the first
// time, the job waits: not behind those whose name servers are silent, however many these are.

const (
	locatesAtOnce = 100                    // questions under way, of those that began just now
	locateYoung   = 100 * time.Millisecond // how long a question counts for that
	locatesMost   = 2000                   // questions under way in all
	locatedFor    = 5 * time.Minute        // how long an answer is good
	// locateRetry is how long none is good: less than the resolver remembers that it had none
	// (RFC 9520), so that an attempt hears at once what the question has waited for.
	locateRetry = 4 * time.Second
)

// locate has somebody asked where a destination is, if that is to be known now.
func (s *scheduler) locate(d *destination) {
	if d.waiting() == 0 && len(d.lends) == 0 || d.locating || d.unlocated || d.hold != nil || !s.asks || (agents{}).serves(d.name.Transport()) {
		return
	}
	switch {
	case d.site != nil && s.now.Sub(d.located) < locatedFor:
	case !s.mayLocate():
		d.unlocated = true
		s.lost.push(d)
	default:
		d.locating = true
		s.locates++
		s.asked[s.nextAsked] = s.now
		s.nextAsked = (s.nextAsked + 1) % locatesAtOnce
		s.do(actLocate{d.name})
	}
}

// mayLocate tells whether one more question may be asked.
func (s *scheduler) mayLocate() bool {
	return s.locates < locatesAtOnce || s.locates < locatesMost && !s.now.Before(s.locateNext())
}

// locateNext is when one of the last so many questions is no longer young.
func (s *scheduler) locateNext() time.Time { return s.asked[s.nextAsked].Add(locateYoung) }

// locateLost asks for those that wait to be located, as many as may be.
func (s *scheduler) locateLost() {
	for len(s.lost) > 0 && s.mayLocate() {
		d := s.lost.pop()
		d.unlocated = false
		s.locate(d)
		s.attend(d)
	}
}

// place takes the answer.
func (s *scheduler) place(ev evLocated) {
	s.locates--
	d := s.dest(ev.dest)
	d.locating = false
	d.located = s.now
	key, limits := string(d.name), ev.site.Limits
	if ev.site.Name != "" {
		key = d.name.Transport() + "\x00" + ev.site.Name
	}
	if d.astray = ev.failed; ev.failed {
		key, limits = string(d.name), mail.SiteLimits{}
		d.located = s.now.Add(locateRetry - locatedFor)
	}
	switch {
	case d.site == nil, d.site.key == key && !ev.failed:
		s.attach(d, key, limits)
		if ev.failed {
			d.site.win.size = 1 // most likely mail cannot find the way either
		}
	case ev.failed, d.conns > 0: // stays where it is for now
	default:
		s.attach(d, key, limits)
	}
	s.serveLends(d)
	s.attend(d)
	s.locateLost()
}

// locate asks where a destination is.
func (q *Queue) locate(a actLocate) {
	ctx, cancel := context.WithTimeout(q.ctx, locateLimit)
	defer cancel()
	site, err := q.sites.Site(ctx, a.dest)
	if err != nil && q.ctx.Err() == nil {
		q.log.Debug("no site of a destination", slog.String("destination", string(a.dest)), slog.Any("error", err))
	}
	q.tell(evLocated{dest: a.dest, site: site, failed: err != nil})
}

// locateLimit is how long an answer may take.
const locateLimit = 30 * time.Second
