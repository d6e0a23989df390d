package queue

import (
	"context"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// Which site a destination is at, if it is not by itself, is asked when its first job waits for a connection,
// and from time to time again: records in the DNS change. Until it is known the first
// time, the job waits.

const (
	locatesAtOnce = 100             // questions under way
	locatedFor    = 5 * time.Minute // how long an answer is good
	locateRetry   = time.Minute     // how long none is
)

// locate has somebody asked where a destination is, if that is to be known now.
func (s *scheduler) locate(d *destination) {
	if d.waiting() == 0 || d.locating || d.unlocated || d.hold != nil || !s.asks || (agents{}).serves(d.name.Transport()) {
		return
	}
	switch {
	case d.site != nil && s.now.Sub(d.located) < locatedFor:
	case s.locates >= locatesAtOnce:
		d.unlocated = true
		s.lost.push(d)
	default:
		d.locating = true
		s.locates++
		s.do(actLocate{d.name})
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
	if ev.failed {
		key, limits = string(d.name), mail.SiteLimits{}
		d.located = s.now.Add(locateRetry - locatedFor)
	}
	switch {
	case d.site == nil, d.site.key == key && !ev.failed:
		s.attach(d, key, limits)
	case ev.failed, d.conns > 0: // stays where it is for now
	default:
		s.attach(d, key, limits)
	}
	s.attend(d)
	for s.locates < locatesAtOnce && len(s.lost) > 0 {
		d := s.lost.pop()
		d.unlocated = false
		s.locate(d)
		s.attend(d)
	}
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
