package mtasts

import (
	"fmt"
	"time"

	"aliasmx/internal/cachefile"
)

// Keeping what is known: policies are refreshed before they expire, and written to the
// file.

const (
	// saveDelay is how long it may be missing in the file when mail was sent somewhere, and
	// learntDelay how long a policy that was learnt: a crash must not forget it.
	saveDelay   = time.Minute
	learntDelay = time.Second
	// maxRenewing bounds the refreshes at a time: they have all day.
	maxRenewing = 4
	// keepUnused is how long policies are refreshed of domains that get no mail. Then they
	// expire.
	keepUnused = 30 * 24 * time.Hour
)

// keep refreshes and saves when it is time, until Close.
func (s *Source) keep() {
	for {
		now := s.now()
		save, next := s.tend(now)
		if !save.IsZero() && !now.Before(save) {
			s.save()
			continue
		}
		var alarm <-chan time.Time
		var timer *time.Timer
		if !save.IsZero() && (next.IsZero() || save.Before(next)) {
			next = save
		}
		if !next.IsZero() {
			timer = time.NewTimer(next.Sub(now))
			alarm = timer.C
		}
		select {
		case <-s.ctx.Done():
		case <-s.wake:
		case <-alarm:
		}
		if timer != nil {
			timer.Stop()
		}
		if s.ctx.Err() != nil {
			return
		}
	}
}

// tend begins the refreshes that are due, and drops what has expired. It tells when to save
// and when to come back; zero: not before something changes.
func (s *Source) tend(now time.Time) (save, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for domain, e := range s.entries {
		due := e.refresh
		switch {
		case e.flight != nil:
			continue
		case e.id != "" && !e.valid(now):
			if now.Sub(e.used) >= lookAgain {
				s.drop(domain)
				s.touch(now, saveDelay)
			}
			continue
		case e.id == "" || due.IsZero() || now.Sub(e.used) >= keepUnused || s.fetcher == nil:
			continue
		case !now.Before(due):
			if s.renewed < maxRenewing {
				s.look(e, domain, true)
			}
			continue // whoever ends pokes
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if !s.dirty.IsZero() && s.file != "" {
		save = s.dirty
	}
	return save, next
}

// touch has the file written not later than after a delay. The caller holds s.mu.
func (s *Source) touch(now time.Time, delay time.Duration) {
	if at := now.Add(delay); s.dirty.IsZero() || at.Before(s.dirty) {
		s.dirty = at
		s.poke()
	}
}

func (s *Source) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// load reads the file. The caller holds s.mu.
func (s *Source) load() {
	if s.file == "" {
		return
	}
	now := s.now()
	entries, err := readFile(s.file, now)
	if err != nil {
		s.log.Warn(fmt.Sprintf("smtp_tls_mta_sts_cache %s: %v; starting without policies", s.file, err))
		return
	}
	for domain, e := range entries {
		if !e.valid(now) {
			continue
		}
		// What was missed meanwhile is made up for within the hour, not at once.
		e.refresh = due(now, min(max(refreshTime-now.Sub(e.fetched), retryTime), e.expires().Sub(now)/2))
		kept := s.entry(domain, now)
		*kept = *e
		s.hold(kept, domain, e.policy)
	}
}

// save writes the file if it lacks something.
func (s *Source) save() {
	s.mu.Lock()
	if s.dirty.IsZero() || s.file == "" {
		s.dirty = time.Time{}
		s.mu.Unlock()
		return
	}
	now := s.now()
	content, file, log := encode(s.entries, now), s.file, s.log
	s.dirty = time.Time{}
	s.mu.Unlock()
	if err := cachefile.Write(file, content); err != nil {
		log.Warn(fmt.Sprintf("smtp_tls_mta_sts_cache: %v; MTA-STS policies are kept in memory only", err))
		s.mu.Lock()
		s.dirty = now.Add(retryTime)
		s.mu.Unlock()
	}
}
