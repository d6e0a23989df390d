package queue

import "time"

// Slots are for who uses them. Hosts that take connections and say nothing keep each for
// minutes, and many such sites together would keep all: then nobody else's mail would go.
// So a connection whose attempt has lasted too long does not count any more, until there
// are twice as many as ProcessLimit in all.

const (
	// stuckAfter is how long an attempt takes before it may be one that hangs.
	stuckAfter = time.Minute
	stuckLook  = time.Second // between two looks for such
)

// room tells whether a connection may be opened.
func (s *scheduler) room() bool {
	limit := s.params.ProcessLimit
	return len(s.conns)-s.stuck < limit && len(s.conns) < 2*limit
}

// tooMany: attempts that had lasted too long have ended, and their connections count again.
func (s *scheduler) tooMany() bool {
	return len(s.conns)-s.stuck-s.leaving > s.params.ProcessLimit
}

// crowded: some site waits for a slot, and there is none for it.
func (s *scheduler) crowded() bool { return s.wanted() > 0 && !s.room() }

// findStuck notes which attempts have lasted too long. It is called when there is no room.
func (s *scheduler) findStuck() {
	if s.now.Sub(s.looked) < stuckLook {
		return
	}
	s.looked = s.now
	for _, c := range s.conns {
		if c.state == attempting && !c.stuck && s.now.Sub(c.asked) >= stuckAfter {
			c.stuck = true
			s.stuck++
			c.dest.site.stuck++
		}
	}
}

// unstick notes that an attempt has ended.
func (s *scheduler) unstick(c *conn) {
	if c.stuck {
		c.stuck = false
		s.stuck--
		c.dest.site.stuck--
	}
}
