package pebblestore

import (
	"context"
	"fmt"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// wakeReads bounds the jobs that one Woken looks at: the lock is held meanwhile.
const wakeReads = 256

// wakes remember for a destination how far Woken has gone through its index: a job that
// it passed over, or that went back behind it, does not come again for the same time.
type wakes map[mail.Dest]wake

type wake struct {
	before int64 // the time that was asked for, milliseconds since 1970
	next   due
}

// Woken implements queue.Store. It goes once through the jobs of a destination, the
// earliest due first, a stretch at each call.
func (s *Store) Woken(ctx context.Context, dest mail.Dest, before time.Time, limit int) ([]queue.Job, bool, error) {
	more := false
	c, err := s.claiming(ctx, dest, func(c *claiming) (err error) {
		more, err = c.woken(before.UnixMilli(), limit)
		return err
	})
	return c.jobs, more, err
}

func (c *claiming) woken(before int64, limit int) (more bool, err error) {
	s := c.store
	at := s.wakes[c.dest]
	if at.before != before {
		at = wake{before: before}
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
		if j != nil && j.late > 0 && j.late < before {
			c.give(m, j)
		}
	}
	if err := c.it.Error(); err != nil {
		return false, fmt.Errorf("read queue: %w", err)
	}
	return false, nil
}
