package queue

import (
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Destinations that an operator holds, as the scheduler sees them. They are remembered by
// name: one that nobody has heard of yet is held from its first message on.

// hold stops the use of destinations by an operator's will, or ends that.
func (s *scheduler) hold(ev evHold) {
	for _, name := range ev.dests {
		if ev.on {
			s.held[name] = heldByHand(ev.reason)
		} else {
			delete(s.held, name)
		}
	}
	for _, name := range s.names() {
		d := s.dests[name]
		if d == nil { // it was forgotten when another was attended
			continue
		}
		why := s.heldBy(name)
		if why == d.hold {
			continue
		}
		if why == nil {
			d.rouse(Wake{Before: s.now})
		}
		d.hold = why
		if s.closing {
			continue
		}
		for _, c := range slices.Clone(s.waiting) {
			if why != nil && c.dest == d {
				s.refuse(c)
			}
		}
		s.attend(d)
	}
}

// heldBy is why a destination is held, by its whole name or by its next hop; nil: it is
// not.
func (s *scheduler) heldBy(name mail.Dest) *trouble {
	if len(s.held) == 0 {
		return nil
	}
	name = mail.Dest(strings.ToLower(string(name)))
	if why := s.held[name]; why != nil {
		return why
	}
	return s.held[mail.Dest(name.NextHop())]
}
