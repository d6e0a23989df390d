package pebblestore

import (
	"context"
	"fmt"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// wakeReads bounds the jobs that one Woken looks at: the lock is held meanwhile.
const wakeReads = 256

// wakes remember for a destination how far Woken has gone through its index: a job that
// it passed over, or that went back behind it, does not come again for the same time.
type wakes map[mail.Dest]wake

type wake struct {
	of   queue.Wake
	next due
}

// Woken implements queue.Store. It goes once through the jobs of a destination, the
// earliest due first, a stretch at each call.
func (s *Store) Woken(ctx context.Context, dest mail.Dest, w queue.Wake, limit int) ([]queue.Job, bool, error) {
	more := false
	c, err := s.claiming(ctx, dest, func(c *claiming) (err error) {
		more, err = c.woken(w, limit)
		return err
	})
	return c.jobs, more, err
}

func (c *claiming) woken(w queue.Wake, limit int) (more bool, err error) {
	s := c.store
	at := s.wakes[c.dest]
	if !at.of.Before.Equal(w.Before) || at.of.All != w.All {
		at = wake{of: w}
	}
	defer func() {
		switch {
		case err != nil:
		case more:
			if len(s.wakes) >= maxCursors {
				clear(s.wakes)
			}
			s.wakes[c.dest] = at
		default:
			delete(s.wakes, c.dest)
		}
	}()
	reads := 0
	for ok := c.from(at.next); ok; ok = c.it.Next() {
		_, here, good := parseDueKey(c.it.Key())
		if !good {
			continue
		}
		at.next = here
		if len(c.jobs) >= limit || reads >= wakeReads {
			return true, nil
		}
		m := s.active[here.id]
		if m != nil && !m.claimable(here.n) {
			continue
		}
		reads++
		m, j, err := c.read(m, here)
		if err != nil {
			return false, err
		}
		if j != nil && (w.All || j.trouble) && j.late < w.Before.UnixMilli() {
			c.give(m, j)
		}
	}
	if err := c.it.Error(); err != nil {
		return false, fmt.Errorf("read queue: %w", err)
	}
	return false, nil
}
