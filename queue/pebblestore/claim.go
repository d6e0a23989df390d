package pebblestore

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Heads implements queue.Store: one seek for each destination.
func (s *Store) Heads(ctx context.Context, yield func(queue.DestHead) bool) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	it, err := s.iter([]byte{keyDue}, []byte{keyDue + 1})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; {
		if err := ctx.Err(); err != nil {
			return err
		}
		dest, at, good := parseDueKey(it.Key())
		if !good {
			s.log.Error(fmt.Sprintf("queue: key %q of the index is malformed", it.Key()))
			ok = it.Next()
			continue
		}
		if s.isTaken(at) {
			ok = it.Next()
			continue
		}
		if !yield(queue.DestHead{Dest: dest, NextDue: time.UnixMilli(at.at)}) {
			return nil
		}
		_, end := destBounds(dest)
		ok = it.SeekGE(end)
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	return nil
}

// isTaken tells whether a job must not be given out now.
func (s *Store) isTaken(at due) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.active[at.id]
	return m != nil && !m.claimable(at.n)
}

// claimable tells whether a job that the index has may be given out. While a change is
// under way the index may still say what was before it.
func (m *message) claimable(n uint32) bool {
	if m.removed || m.held {
		return false
	}
	j := m.find(int(n))
	return j != nil && !j.claimed && !j.gone && j.busy == 0
}

// Claim implements queue.Store.
func (s *Store) Claim(ctx context.Context, dest mail.Dest, now time.Time, limit int) ([]queue.Job, time.Time, error) {
	var next time.Time
	c, err := s.claiming(ctx, dest, func(c *claiming) (err error) {
		next, err = c.due(now, limit)
		return err
	})
	return c.jobs, next, err
}

// claiming is a walk over the index of a destination that gives out jobs.
type claiming struct {
	store   *Store
	dest    mail.Dest
	first   []byte           // the first key that there may be
	it      *pebble.Iterator // of the index
	records *pebble.Iterator // of jobs; nil until one is read
	jobs    []queue.Job
	bad     []rejected
}

// claiming runs a walk. The lock is held all the way: an index read later than the
// changes that are under way would give out what is finished.
func (s *Store) claiming(ctx context.Context, dest mail.Dest, walk func(*claiming) error) (*claiming, error) {
	c := &claiming{store: s, dest: dest}
	if err := ctx.Err(); err != nil {
		return c, err
	}
	if err := s.enter(); err != nil {
		return c, err
	}
	defer s.leave()
	err := func() (err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var end []byte
		c.first, end = destBounds(dest)
		if c.it, err = s.iter(c.first, end); err != nil {
			return err
		}
		defer c.close()
		return walk(c)
	}()
	for _, d := range c.bad {
		d.reject(s)
	}
	return c, err
}

func (c *claiming) close() {
	_ = c.it.Close()
	if c.records != nil {
		_ = c.records.Close()
	}
}

// from goes to the first key that is not before at.
func (c *claiming) from(at due) bool { return c.it.SeekGE(appendDue(slices.Clip(c.first), at)) }

// due gives out what is due, and returns when the next is.
func (c *claiming) due(now time.Time, limit int) (next time.Time, err error) {
	s, start := c.store, due{at: nothingLeft}
	defer func() {
		if err == nil {
			s.cursors.set(c.dest, start)
		}
	}()
	for ok := c.from(s.cursors.from(c.dest)); ok; ok = c.it.Next() {
		_, at, good := parseDueKey(c.it.Key())
		if !good {
			continue
		}
		if start.at == nothingLeft {
			start = at
		}
		m := s.active[at.id]
		if m != nil && !m.claimable(at.n) {
			continue
		}
		if len(c.jobs) >= limit || at.at > now.UnixMilli() {
			return time.UnixMilli(at.at), nil
		}
		m, j, err := c.read(m, at)
		if err != nil {
			return time.Time{}, err
		}
		if j != nil {
			c.give(m, j)
		}
	}
	if err := c.it.Error(); err != nil {
		return time.Time{}, fmt.Errorf("read queue: %w", err)
	}
	return time.Time{}, nil
}

// read finds the job of the key at which the walk stands, in m or, when that is nil, on
// disk; nil when there is none to give out.
func (c *claiming) read(m *message, at due) (*message, *job, error) {
	s := c.store
	if m == nil {
		var err error
		if c.records == nil {
			if c.records, err = s.iter([]byte{keyJob}, []byte{keyJob + 1}); err != nil {
				return nil, nil, err
			}
		}
		if m, err = s.loadJobs(c.records, at.id); err != nil {
			d, damaged := asDamage(err)
			if !damaged {
				return nil, nil, err
			}
			c.bad = append(c.bad, rejected{bytes.Clone(c.it.Key()), d})
			return nil, nil, nil
		}
	}
	j := m.find(int(at.n))
	if j == nil || j.indexAt != at.at || j.dest != c.dest {
		c.bad = append(c.bad, rejected{key: bytes.Clone(c.it.Key())})
		return nil, nil, nil
	}
	return m, j, nil
}

func (c *claiming) give(m *message, j *job) {
	j.claimed = true
	c.store.nextJob = max(c.store.nextJob, j.n+1)
	c.store.active[m.id] = m
	c.jobs = append(c.jobs, j.view(m))
}

// rejected is a key that Claim found in the index and whose job it could not give out:
// there is none, or its message is damaged.
type rejected struct {
	key    []byte
	damage *damage
}

func (r rejected) reject(s *Store) {
	if r.damage != nil {
		_ = s.quarantine(r.damage)
	}
	_ = s.do(&change{prepare: func(b *pebble.Batch) error {
		dest, at, _ := parseDueKey(r.key)
		if m, err := s.get(at.id); err == nil {
			if j := m.find(int(at.n)); j != nil && j.dest == dest && j.indexed && j.indexAt == at.at {
				return nil // it has its job by now
			}
		}
		if r.damage == nil {
			s.log.Error(fmt.Sprintf("queue: key %q of the index has no job; removed", r.key))
		}
		put(b.Delete(r.key, nil))
		return nil
	}})
}

// Release implements queue.Store. The jobs of a message that was not tried yet are
// written down, without a sync: after a crash they are made from its envelope again.
func (s *Store) Release(jobs []queue.Job) {
	s.mu.Lock()
	inOrder := false
	for _, job := range jobs {
		m := s.active[job.ID]
		inOrder = inOrder || m != nil && (m.fresh || m.pins > 0)
	}
	if !inOrder {
		s.unclaim(jobs)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	var hands []hand
	_ = s.do(&change{
		noSync: true,
		prepare: func(b *pebble.Batch) error {
			for _, job := range jobs {
				if m := s.active[job.ID]; m != nil && m.fresh && !m.removed {
					hands = append(hands, s.save(b, m))
				}
			}
			return nil
		},
		settle: func(err error) {
			for _, h := range hands {
				s.unpin(h)
			}
			if err == nil {
				s.unclaim(jobs)
			}
		},
	})
}

// unclaim ends the claims of jobs. The caller holds s.mu.
func (s *Store) unclaim(jobs []queue.Job) {
	for _, job := range jobs {
		m := s.active[job.ID]
		if m == nil || m.removed {
			continue
		}
		if j := m.find(job.N); j != nil && j.claimed && j.attempts == job.Attempts {
			m.unclaim(j)
			s.dropBody(m)
			s.idle(m)
		}
	}
}
