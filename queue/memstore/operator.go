package memstore

import (
	"context"
	"fmt"
	"slices"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// with calls f with a message, or returns ErrNotFound when there is none, or f says
// that it is in no state for what was asked.
func (s *Store) with(id mail.QueueID, f func(m *message) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	if m := s.messages[id]; m == nil || !f(m) {
		return fmt.Errorf("message %s: %w", id, queue.ErrNotFound)
	}
	return nil
}

// Hold implements queue.Store.
func (s *Store) Hold(_ context.Context, id mail.QueueID) error {
	return s.with(id, func(m *message) bool {
		was := m.held
		m.held = true
		return !was
	})
}

// Unhold implements queue.Store.
func (s *Store) Unhold(_ context.Context, id mail.QueueID) (heads []queue.DestHead, err error) {
	err = s.with(id, func(m *message) bool {
		was := m.held
		m.held = false
		if was {
			heads = s.dueNow(m)
		}
		return was
	})
	return heads, err
}

// Remove implements queue.Store.
func (s *Store) Remove(_ context.Context, id mail.QueueID) error {
	return s.with(id, func(*message) bool {
		delete(s.messages, id)
		return true
	})
}

// MakeDue implements queue.Store.
func (s *Store) MakeDue(_ context.Context, id mail.QueueID) (heads []queue.DestHead, err error) {
	err = s.with(id, func(m *message) bool {
		if m.held {
			return false
		}
		heads = s.dueNow(m)
		return true
	})
	return heads, err
}

// ForceExpire implements queue.Store. A held message stays held (postsuper(1): -e).
func (s *Store) ForceExpire(_ context.Context, id mail.QueueID) (heads []queue.DestHead, err error) {
	err = s.with(id, func(m *message) bool {
		for _, j := range m.jobs {
			j.expired = true
		}
		heads = s.dueNow(m)
		return true
	})
	return heads, err
}

func (s *Store) dueNow(m *message) []queue.DestHead {
	for _, j := range m.jobs {
		j.due = s.millis()
	}
	return m.heads()
}

// Requeue implements queue.Store.
func (s *Store) Requeue(_ context.Context, id mail.QueueID, route queue.Route) (heads []queue.DestHead, err error) {
	err = s.with(id, func(m *message) bool {
		m.env = clone(m.env)
		var open []int
		for _, j := range m.jobs {
			if !j.gone {
				open = append(open, j.rcpts...)
			}
		}
		slices.Sort(open)
		open = m.reroute(open, route)

		m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return !j.claimed })
		for _, j := range m.jobs {
			j.gone = true
		}
		m.held = false
		m.split(open, s.limit, s.millis())
		heads = m.heads()
		return true
	})
	return heads, err
}

// reroute gives open recipients new destinations. A recipient that another takes the
// place of keeps its index, finished: attempts under way speak of it by index.
func (m *message) reroute(open []int, route queue.Route) []int {
	var now []int
	for _, i := range open {
		old := m.env.Rcpts[i]
		next := route(m.env.Sender, old)
		switch {
		case len(next) == 0:
			now = append(now, i)
		case len(next) == 1 && sameButDest(next[0], old):
			m.env.Rcpts[i].Dest = next[0].Dest
			now = append(now, i)
		default:
			for _, r := range next {
				now = append(now, len(m.env.Rcpts))
				m.env.Rcpts = append(m.env.Rcpts, r)
			}
		}
	}
	slices.Sort(now)
	return now
}

func sameButDest(a, b mail.Recipient) bool {
	a.Dest = b.Dest
	return a == b
}
