package pebblestore

import (
	"context"
	"errors"
	"slices"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// operate changes a message, wherever it is: f changes what memory says of it and may
// write into b; operate saves the rest. It returns ErrNotFound when there is no such
// message, or f returns false, having changed nothing, because it is in no state for
// what was asked.
func (s *Store) operate(ctx context.Context, id mail.QueueID, f func(b *pebble.Batch, m *message) bool) ([]queue.DestHead, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	var h hand
	var heads []queue.DestHead
	err := s.do(&change{
		prepare: func(b *pebble.Batch) error {
			m, err := s.get(id)
			if err != nil {
				return err
			}
			if !f(b, m) {
				return notFound(id)
			}
			h = s.save(b, m)
			return nil
		},
		settle: func(err error) {
			if err == nil {
				heads = h.m.heads()
				s.forgetEnvelope(h.m) // one that was read meanwhile is the old one
				s.unpin(h)
			}
		},
	})
	if d, damaged := asDamage(err); damaged {
		err = s.quarantine(d)
	}
	return heads, err
}

// Hold implements queue.Store.
func (s *Store) Hold(ctx context.Context, id mail.QueueID) error {
	_, err := s.operate(ctx, id, func(b *pebble.Batch, m *message) bool {
		if m.held {
			return false
		}
		m.held = true
		put(b.Set(idKey(keyHold, id), nil, nil))
		return true
	})
	return err
}

// Unhold implements queue.Store.
func (s *Store) Unhold(ctx context.Context, id mail.QueueID) ([]queue.DestHead, error) {
	return s.operate(ctx, id, func(b *pebble.Batch, m *message) bool {
		if !m.held {
			return false
		}
		m.held = false
		put(b.Delete(idKey(keyHold, id), nil))
		m.setDue(millis(s.now()))
		return true
	})
}

// MakeDue implements queue.Store.
func (s *Store) MakeDue(ctx context.Context, id mail.QueueID) ([]queue.DestHead, error) {
	return s.operate(ctx, id, func(_ *pebble.Batch, m *message) bool {
		if m.held {
			return false
		}
		m.setDue(millis(s.now()))
		return true
	})
}

// ForceExpire implements queue.Store. A held message stays held (postsuper(1): -e).
func (s *Store) ForceExpire(ctx context.Context, id mail.QueueID) ([]queue.DestHead, error) {
	return s.operate(ctx, id, func(_ *pebble.Batch, m *message) bool {
		for _, j := range m.jobs {
			j.expired, j.dirty = true, true
		}
		m.setDue(millis(s.now()))
		return true
	})
}

func (m *message) setDue(now int64) {
	for _, j := range m.jobs {
		if j.due != now {
			j.due, j.dirty = now, true
		}
	}
}

// Remove implements queue.Store.
func (s *Store) Remove(ctx context.Context, id mail.QueueID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var h hand
	var file bool
	err := s.do(&change{
		prepare: func(b *pebble.Batch) error {
			m, err := s.get(id)
			switch {
			case err == nil:
				h, file = s.erase(b, m), m.file
				return nil
			case errors.Is(err, queue.ErrNotFound):
				file, err = s.removeCorrupt(b, id)
			}
			return err
		},
		settle: func(err error) {
			if err == nil && h.m != nil {
				s.unpin(h)
			}
		},
	})
	if d, damaged := asDamage(err); damaged { // its jobs cannot be read: so much more a reason
		if err = s.quarantine(d); errors.Is(err, queue.ErrCorrupt) {
			return s.Remove(ctx, id)
		}
	}
	if err == nil && file {
		s.spool.remove(id)
	}
	return err
}

// Requeue implements queue.Store. Routes are asked for before anything is locked: they
// may come from tables that take their time.
func (s *Store) Requeue(ctx context.Context, id mail.QueueID, route queue.Route) ([]queue.DestHead, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	env, open, err := s.openRcpts(id)
	if d, damaged := asDamage(err); damaged {
		return nil, s.quarantine(d)
	}
	if err != nil {
		return nil, err
	}
	routes := make(map[int][]mail.Recipient)
	for _, r := range open {
		routes[r] = route(env.Sender, env.Rcpts[r])
	}
	return s.operate(ctx, id, func(b *pebble.Batch, m *message) bool {
		return s.requeue(b, m, routes)
	})
}

// openRcpts returns the envelope of a message and its unfinished recipients.
func (s *Store) openRcpts(id mail.QueueID) (env *mail.Envelope, open []int, err error) {
	s.mu.Lock()
	m, err := s.get(id)
	if err == nil {
		open = m.open()
	}
	s.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	record, err := s.envelopeRecord(id)
	if err != nil {
		return nil, nil, err
	}
	if env, err = decodeEnvelope(record); err != nil {
		return nil, nil, &damage{id, "envelope: " + err.Error()}
	}
	open = slices.DeleteFunc(open, func(r int) bool { return r >= len(env.Rcpts) })
	return env, open, nil
}

// requeue gives a message new jobs. Jobs whose attempt is under way stay until it is
// reported, but no longer count. The caller is in the writer and holds s.mu.
func (s *Store) requeue(b *pebble.Batch, m *message, routes map[int][]mail.Recipient) bool {
	record := m.raw
	if !m.fresh {
		var err error
		if record, err = s.read(keyMessage, m.id); err != nil {
			return false
		}
	}
	env, err := decodeEnvelope(record)
	if err != nil {
		return false
	}
	open := reroute(env, m.open(), routes)
	s.forgetEnvelope(m)
	if m.fresh {
		m.raw = encodeEnvelope(env) // save writes it
	} else {
		put(b.Set(idKey(keyMessage, m.id), encodeEnvelope(env), nil))
	}
	if m.held {
		m.held = false
		put(b.Delete(idKey(keyHold, m.id), nil))
	}
	for _, j := range m.jobs {
		j.gone = true
		saveJob(b, m, j)
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return !j.claimed })
	// The number of a job that was given out and has ended must not come again: its outcome,
	// applied a second time, would apply to the new job.
	m.next = max(m.next, s.nextJob)
	m.split(env, open, s.opts.recipientLimits(), millis(s.now()))
	return true
}

// forgetEnvelope makes the next Load read the envelope anew. The caller holds s.mu.
func (s *Store) forgetEnvelope(m *message) {
	m.env = weak.Pointer[mail.Envelope]{}
	s.rewritten++
}

// reroute gives unfinished recipients new destinations. A recipient that others take
// the place of keeps its index, finished: attempts under way speak of it by index. One
// without a route, or with a route that leads nowhere, stays as it is.
func reroute(env *mail.Envelope, open []int, routes map[int][]mail.Recipient) []int {
	var now []int
	for _, i := range open {
		old, next := env.Rcpts[i], routes[i]
		switch {
		case len(next) == 0:
			now = append(now, i)
		case len(next) == 1 && sameButDest(next[0], old):
			env.Rcpts[i].Dest = next[0].Dest
			now = append(now, i)
		default:
			for _, r := range next {
				now = append(now, len(env.Rcpts))
				env.Rcpts = append(env.Rcpts, r)
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
