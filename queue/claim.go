package queue

import "time"

// Work comes from the store by claims: a batch of due jobs for one destination. Few
// are under way at once, and destinations take turns, so that room in memory is
// shared whatever the backlog of one of them.

// claimHungry has jobs claimed for the destinations that want some, while there is
// room.
func (s *scheduler) claimHungry() {
	for len(s.hungry) > 0 && s.claims < claimsAtOnce {
		room := s.params.MessageActiveLimit - s.loaded - s.coming
		if room <= 0 {
			return
		}
		d := s.hungry.pop()
		d.hungry = false
		if d.site != nil {
			d.site.hungry--
		}
		if !d.wantsJobs(s.now, &s.params) {
			s.attend(d) // the reason is gone, and so may the destination be
			continue
		}
		s.claim(d, room)
	}
}

func (s *scheduler) claim(d *destination, room int) {
	a := actClaim{dest: d.name, until: later(s.now, d.reach), max: min(room, ringSize-d.stored()), wake: d.wake}
	switch d.phase(s.now) {
	case dead:
		a.until, a.wake = s.now.Add(-s.params.MaximalBackoff), Wake{}
	case probing:
		a.max = 1
	}
	d.claiming = a.max
	if d.claimFor = d.site; d.site != nil {
		d.site.claiming++
	}
	d.due, d.reach, d.heard = time.Time{}, time.Time{}, time.Time{}
	s.claims++
	s.coming += a.max
	s.do(a)
}

// claimed takes what a claim has brought.
func (s *scheduler) claimed(ev evClaimed) {
	d := s.dest(ev.dest)
	s.claims--
	s.coming -= d.claiming
	d.claiming = 0
	if st := d.claimFor; st != nil {
		st.claiming--
		d.claimFor = nil
		if st != d.site { // d has left it meanwhile
			s.attendSite(st)
		}
	}
	d.due = d.heard
	if s.closing {
		if len(ev.jobs) > 0 {
			s.do(actRelease{ev.jobs})
		}
		return
	}
	if ev.failed {
		ev.next = s.now.Add(claimRetry)
	}
	if !ev.more && ev.wake == d.wake {
		d.wake = Wake{}
	}
	d.hear(ev.next, s.now, &s.params)
	s.loaded += len(ev.jobs)
	for _, j := range ev.jobs {
		if j.Attempts == 0 {
			s.behind = max(s.behind-1, 0)
		}
		switch {
		case j.Expired:
			s.suspend([]Job{j}, expiredByHand())
		case d.phase(s.now) == dead:
			s.suspend([]Job{j}, d.why())
		default:
			d.push(j, true)
		}
	}
	s.attend(d)
	s.probe(d.site)
}

// probe looks for another job to find out with whether a site answers again, if the one
// there was has come to nothing.
func (s *scheduler) probe(st *site) {
	if st != nil && st.phase(s.now) == probing && st.waiting == 0 && st.attempts == 0 && st.claiming == 0 {
		s.attendDests(st)
	}
}
