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
	if err := ctx.Err(); err != nil {
		return nil, time.Time{}, err
	}
	if err := s.enter(); err != nil {
		return nil, time.Time{}, err
	}
	defer s.leave()
	jobs, next, bad, err := s.claim(dest, now, limit)
	for _, d := range bad {
		d.reject(s)
	}
	return jobs, next, err
}

// claim walks the index of a destination. The lock is held all the way: an index read
// later than the changes that are under way would give out what is finished.
func (s *Store) claim(dest mail.Dest, now time.Time, limit int) (jobs []queue.Job, next time.Time, bad []rejected, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, end := destBounds(dest)
	it, err := s.iter(first, end)
	if err != nil {
		return nil, time.Time{}, nil, err
	}
	defer it.Close()
	var records *pebble.Iterator
	defer func() {
		if records != nil {
			_ = records.Close()
		}
	}()

	start := due{at: nothingLeft}
	defer func() {
		if err == nil {
			s.cursors.set(dest, start)
		}
	}()
	for ok := it.SeekGE(appendDue(slices.Clip(first), s.cursors.from(dest))); ok; ok = it.Next() {
		_, at, good := parseDueKey(it.Key())
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
		if len(jobs) >= limit || at.at > now.UnixMilli() {
			return jobs, time.UnixMilli(at.at), bad, nil
		}
		if m == nil {
			if records == nil {
				if records, err = s.iter([]byte{keyJob}, []byte{keyJob + 1}); err != nil {
					return jobs, time.Time{}, bad, err
				}
			}
			if m, err = s.loadJobs(records, at.id); err != nil {
				d, damaged := asDamage(err)
				if !damaged {
					return jobs, time.Time{}, bad, err
				}
				bad, err = append(bad, rejected{bytes.Clone(it.Key()), d}), nil
				continue
			}
		}
		j := m.find(int(at.n))
		if j == nil || j.indexAt != at.at || j.dest != dest {
			bad = append(bad, rejected{key: bytes.Clone(it.Key())})
			continue
		}
		j.claimed = true
		s.active[m.id] = m
		jobs = append(jobs, j.view(m))
	}
	if err = it.Error(); err != nil {
		return jobs, time.Time{}, bad, fmt.Errorf("read queue: %w", err)
	}
	return jobs, time.Time{}, bad, nil
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
