package pebblestore

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// message is what is known in memory of a message that has claimed jobs or a change
// under way. All other messages are on disk only. It is guarded by Store.mu.
type message struct {
	id      mail.QueueID
	arrived time.Time
	file    bool // the body is in a file
	held    bool
	fresh   bool   // it has an n record: raw; its jobs are implied
	raw     []byte // envelope record of a fresh message
	jobs    []*job // open ones, and gone ones that are claimed
	next    uint32 // number of the next job
	body    *memBody
	// env is the envelope as long as somebody has it: a message for many recipients has
	// many attempts under way, which share one. Changing the record resets it.
	env weak.Pointer[mail.Envelope]

	counted state // in which it is counted
	pins    int   // changes under way: it stays in memory
	removed bool  // it is going
}

// split makes new jobs of unfinished recipients.
func (m *message) split(env *mail.Envelope, open []int, limits queue.RecipientLimits, now int64) []*job {
	var made []*job
	all := queue.SplitRcpts(env, open, limits)
	for _, rcpts := range all {
		made = append(made, &job{
			n:       m.next,
			dest:    env.Rcpts[rcpts[0]].Dest,
			rcpts:   rcpts,
			reasons: make([]string, len(rcpts)),
			due:     now,
			bulk:    queue.IsBulk(env, len(all)),
			dirty:   true,
		})
		m.next++
	}
	m.jobs = append(m.jobs, made...)
	return made
}

func allRcpts(env *mail.Envelope) []int {
	all := make([]int, len(env.Rcpts))
	for i := range all {
		all[i] = i
	}
	return all
}

func (m *message) find(n int) *job {
	for _, j := range m.jobs {
		if int(j.n) == n {
			return j
		}
	}
	return nil
}

// open are the recipients that are not finished, ascending.
func (m *message) open() []int {
	var open []int
	for _, j := range m.jobs {
		if !j.gone {
			open = append(open, j.rcpts...)
		}
	}
	slices.Sort(open)
	return open
}

func (m *message) finished() bool {
	return !slices.ContainsFunc(m.jobs, func(j *job) bool { return !j.gone && len(j.rcpts) > 0 })
}

func (m *message) claimed() bool {
	return slices.ContainsFunc(m.jobs, func(j *job) bool { return j.claimed })
}

// unclaim ends the claim of a job.
func (m *message) unclaim(j *job) {
	j.claimed = false
	if j.gone {
		m.jobs = slices.DeleteFunc(m.jobs, func(k *job) bool { return k == j })
	}
}

// heads are the destinations of the jobs that can be claimed.
func (m *message) heads() []queue.DestHead {
	var heads []queue.DestHead
	if m.held || m.removed {
		return nil
	}
	for _, j := range m.jobs {
		if j.claimed || j.gone {
			continue
		}
		at := time.UnixMilli(j.due)
		i := slices.IndexFunc(heads, func(h queue.DestHead) bool { return h.Dest == j.dest })
		switch {
		case i < 0:
			heads = append(heads, queue.DestHead{Dest: j.dest, NextDue: at})
		case at.Before(heads[i].NextDue):
			heads[i].NextDue = at
		}
	}
	return heads
}

// hand is a message in the hands of a change that is under way.
type hand struct {
	m    *message
	jobs []*job // that the change touches
}

// pin takes a message in hand: it stays in memory until unpin, and the jobs that the
// change touches are not claimed until it is in the database, for readers may still
// see what was before. The caller holds s.mu.
func (s *Store) pin(m *message, touched []*job) hand {
	m.pins++
	s.active[m.id] = m
	for _, j := range touched {
		j.busy++
	}
	h := hand{m, touched}
	s.inHand = append(s.inHand, h)
	return h
}

// written ends what pin began for the jobs: the change, one of the writer's, can be
// seen in the database. The caller holds s.mu.
func (s *Store) written() {
	for _, h := range s.inHand {
		for _, j := range h.jobs {
			j.busy--
			if j.indexed {
				s.cursors.lower(j.dest, j.at(h.m.id))
			}
		}
	}
	clear(s.inHand)
	s.inHand = s.inHand[:0]
}

// unpin lets a message go, when the change is on stable storage. The caller holds s.mu.
func (s *Store) unpin(h hand) {
	h.m.pins--
	s.idle(h.m)
}

// idle drops a message from memory when nothing holds it there. The caller holds s.mu.
func (s *Store) idle(m *message) {
	if m.pins > 0 || !m.removed && m.claimed() {
		return
	}
	if s.active[m.id] == m {
		delete(s.active, m.id)
	}
	s.dropBody(m)
}

// dropBody gives up the copy of the body in memory. The caller holds s.mu.
func (s *Store) dropBody(m *message) {
	if m.body != nil {
		s.cache.give(m.body.size)
		m.body = nil
	}
}

// get returns a message to be changed, from memory or from disk; ErrNotFound when
// there is none. The caller is in the writer and holds s.mu.
func (s *Store) get(id mail.QueueID) (*message, error) {
	if m := s.active[id]; m != nil {
		if m.removed {
			return nil, notFound(id)
		}
		return m, nil
	}
	it, err := s.iter([]byte{keyJob}, []byte{keyJob + 1})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	m, err := s.loadJobs(it, id)
	if err != nil {
		return nil, err
	}
	if len(m.jobs) == 0 {
		return nil, notFound(id)
	}
	_, closer, err := s.db.Get(idKey(keyHold, id))
	switch {
	case err == nil:
		m.held = true
		_ = closer.Close()
	case !errors.Is(err, pebble.ErrNotFound):
		return nil, fmt.Errorf("message %s: %w", id, err)
	}
	for _, j := range m.jobs {
		j.indexed, j.indexAt = !m.held, j.due
	}
	m.counted = m.state()
	return m, nil
}

// loadJobs reads the jobs of a message from an iterator over all jobs. It supposes
// that the message is not on hold.
func (s *Store) loadJobs(it *pebble.Iterator, id mail.QueueID) (*message, error) {
	m := &message{id: id}
	for ok := it.SeekGE(jobKey(id, 0)); ok; ok = it.Next() {
		at, n, good := parseJobKey(it.Key())
		if !good || at != id {
			break
		}
		record, err := it.ValueAndErr()
		if err != nil {
			return nil, fmt.Errorf("message %s: read job: %w", id, err)
		}
		j, err := decodeJob(record, m)
		if err != nil {
			return nil, &damage{id, fmt.Sprintf("job %d: %v", n, err)}
		}
		j.n = n
		j.stored, j.indexed, j.indexAt = true, true, j.due
		m.jobs = append(m.jobs, j)
		m.next = n + 1
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("message %s: read jobs: %w", id, err)
	}
	m.counted = m.state()
	return m, nil
}

// save writes into b what makes the database say of m what memory says: the jobs that
// changed, or, when no recipient is left, that it is gone. It takes the message in
// hand. The caller holds s.mu.
func (s *Store) save(b *pebble.Batch, m *message) hand {
	if m.finished() {
		return s.erase(b, m)
	}
	if m.fresh {
		put(b.Set(idKey(keyMessage, m.id), m.raw, nil))
		put(b.Delete(idKey(keyNew, m.id), nil))
		m.fresh, m.raw = false, nil
	}
	var touched []*job
	for _, j := range m.jobs {
		if saveJob(b, m, j) {
			touched = append(touched, j)
		}
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return !j.gone && len(j.rcpts) == 0 })
	s.count(b, m)
	return s.pin(m, touched)
}

// saveJob writes what changed of a job and tells whether anything did.
func saveJob(b *pebble.Batch, m *message, j *job) (touched bool) {
	open := !j.gone && len(j.rcpts) > 0
	index := open && !m.held
	if j.indexed && (!index || j.indexAt != j.due) {
		put(b.Delete(dueKey(j.dest, due{j.indexAt, m.id, j.n}), nil))
		j.indexed = false
		touched = true
	}
	if index && !j.indexed {
		put(b.Set(dueKey(j.dest, j.at(m.id)), nil, nil))
		j.indexed, j.indexAt = true, j.due
		touched = true
	}
	switch {
	case !open && j.stored:
		put(b.Delete(jobKey(m.id, j.n), nil))
		j.stored = false
		touched = true
	case open && (j.dirty || !j.stored):
		put(b.Set(jobKey(m.id, j.n), encodeJob(m, j), nil))
		j.stored, j.dirty = true, false
		touched = true
	}
	return touched
}

// erase writes into b that a message is gone, and takes it in hand. Its file is
// removed by dropFile, after the batch is on disk: a file without a message is swept,
// a message without its file would be corrupt. The caller holds s.mu.
func (s *Store) erase(b *pebble.Batch, m *message) hand {
	if m.fresh {
		put(b.Delete(idKey(keyNew, m.id), nil))
	} else {
		put(b.Delete(idKey(keyMessage, m.id), nil))
	}
	for _, j := range m.jobs {
		j.rcpts, j.reasons = nil, nil
		saveJob(b, m, j)
	}
	if m.file {
		put(b.Delete(idKey(keyFile, m.id), nil))
	} else {
		put(b.Delete(idKey(keyBody, m.id), nil))
	}
	if m.held {
		put(b.Delete(idKey(keyHold, m.id), nil))
	}
	m.removed = true
	s.count(b, m)
	return s.pin(m, nil)
}

// dropFile removes the file of a message that is gone. A file that cannot be removed
// is swept at the next start.
func (s *Store) dropFile(m *message) {
	if m.file {
		s.spool.remove(m.id)
	}
}

// put takes the error of a batch that is only in memory: there is none.
func put(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *Store) iter(lower, upper []byte) (*pebble.Iterator, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	return it, nil
}

func notFound(id mail.QueueID) error { return fmt.Errorf("message %s: %w", id, queue.ErrNotFound) }
