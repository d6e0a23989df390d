package memstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// What operators do to destinations, and how much there is.

// HoldDest implements queue.Store.
func (s *Store) HoldDest(ctx context.Context, dest mail.Dest, reason string) error {
	return s.alive(ctx, func() error {
		h, there := s.held[dest]
		if !there {
			h = mail.HeldDest{Dest: dest, Since: s.now()}
		}
		h.Reason = reason
		s.held[dest] = h
		return nil
	})
}

// ReleaseDest implements queue.Store.
func (s *Store) ReleaseDest(ctx context.Context, dest mail.Dest) error {
	return s.alive(ctx, func() error {
		if _, there := s.held[dest]; !there {
			return fmt.Errorf("destination %s is not on hold: %w", dest, queue.ErrNotFound)
		}
		delete(s.held, dest)
		return nil
	})
}

// HeldDests implements queue.Store.
func (s *Store) HeldDests(ctx context.Context) (all []mail.HeldDest, err error) {
	err = s.alive(ctx, func() error {
		for _, dest := range slices.Sorted(maps.Keys(s.held)) {
			all = append(all, s.held[dest])
		}
		return nil
	})
	return all, err
}

// Counts implements queue.Store.
func (s *Store) Counts(ctx context.Context) (c mail.QueueCounts, err error) {
	err = s.alive(ctx, func() error {
		for _, m := range s.messages {
			switch m.queue() {
			case "incoming":
				c.Incoming++
			case "active":
				c.Active++
			case "deferred":
				c.Deferred++
			case "hold":
				c.Hold++
			}
		}
		return nil
	})
	return c, err
}

// alive calls f under the lock, unless it is over.
func (s *Store) alive(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return queue.ErrClosed
	}
	return f()
}

// Find implements queue.Store.
func (s *Store) Find(ctx context.Context, id mail.QueueID) (l mail.Listed, err error) {
	err = s.alive(ctx, func() error {
		m := s.messages[id]
		if m == nil {
			return fmt.Errorf("message %s: %w", id, queue.ErrNotFound)
		}
		l = m.listed()
		return nil
	})
	return l, err
}
