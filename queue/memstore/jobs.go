package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Heads implements queue.Store.
func (s *Store) Heads(ctx context.Context, yield func(queue.DestHead) bool) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return queue.ErrClosed
	}
	due := make(map[mail.Dest]time.Time)
	for _, m := range s.messages {
		for _, h := range m.heads() {
			if t, ok := due[h.Dest]; !ok || h.NextDue.Before(t) {
				due[h.Dest] = h.NextDue
			}
		}
	}
	s.mu.Unlock()
	for dest, t := range due {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(queue.DestHead{Dest: dest, NextDue: t}) {
			return nil
		}
	}
	return nil
}

// Claim implements queue.Store.
func (s *Store) Claim(_ context.Context, dest mail.Dest, now time.Time, limit int) ([]queue.Job, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, time.Time{}, queue.ErrClosed
	}
	all := s.waiting(dest)
	var jobs []queue.Job
	for _, c := range all {
		if len(jobs) >= limit || c.j.due.After(now) {
			return jobs, c.j.due, nil
		}
		c.j.claimed = true
		jobs = append(jobs, c.m.job(c.j))
	}
	return jobs, time.Time{}, nil
}

// candidate is a job that can be claimed.
type candidate struct {
	m *message
	j *job
}

// waiting are the jobs of a destination that can be claimed, the earliest due first. The
// caller holds s.mu.
func (s *Store) waiting(dest mail.Dest) []candidate {
	var all []candidate
	for _, m := range s.messages {
		for _, j := range m.jobs {
			if j.dest == dest && m.claimable(j) {
				all = append(all, candidate{m, j})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(a.j.due.Compare(b.j.due), cmp.Compare(a.m.env.ID, b.m.env.ID), cmp.Compare(a.j.n, b.j.n))
	})
	return all
}

// Woken implements queue.Store.
func (s *Store) Woken(_ context.Context, dest mail.Dest, w queue.Wake, limit int) (jobs []queue.Job, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, queue.ErrClosed
	}
	for _, c := range s.waiting(dest) {
		if !c.j.late.Before(w.Before) || !w.All && !c.j.trouble {
			continue
		}
		if len(jobs) >= limit {
			return jobs, true, nil
		}
		c.j.claimed = true
		jobs = append(jobs, c.m.job(c.j))
	}
	return jobs, false, nil
}

// Release implements queue.Store.
func (s *Store) Release(jobs []queue.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, job := range jobs {
		if m := s.messages[job.ID]; m != nil {
			if j := m.find(job.N); j != nil {
				m.unclaim(j)
			}
		}
	}
}

func (m *message) unclaim(j *job) {
	j.claimed = false
	if j.gone {
		m.jobs = slices.DeleteFunc(m.jobs, func(k *job) bool { return k == j })
	}
}

// Apply implements queue.Store. The outcome takes effect before it returns.
func (s *Store) Apply(o queue.Outcome, done func(queue.Applied)) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		done(queue.Applied{Err: queue.ErrClosed})
		return
	}
	defer s.mu.Unlock()
	applied := s.apply(o)
	s.dones.add(func() { done(applied) })
}

func (s *Store) apply(o queue.Outcome) queue.Applied {
	m := s.messages[o.Job.ID]
	if m == nil {
		return queue.Applied{}
	}
	emit, applies := o.Emit, false
	for o := range o.Each {
		j := m.find(o.Job.N)
		if j == nil || o.Job.ID != m.env.ID || !j.claimed || j.attempts != o.Job.Attempts {
			continue
		}
		applies = true
		m.unclaim(j)
		if j.gone {
			if !m.settleGone(o) {
				emit = nil
			}
		} else {
			m.settle(j, o, s.millis())
		}
	}
	if !applies {
		return queue.Applied{}
	}
	var a queue.Applied
	for _, e := range emit {
		if len(e.Env.Rcpts) == 0 {
			continue
		}
		if e.Env.ID == 0 {
			e.Env.ID = s.ids.Next()
		}
		var scan queue.BodyScan
		_, _ = scan.Write(e.Body)
		scan.Fill(e.Env)
		a.Jobs = append(a.Jobs, s.add(e.Env, e.Body)...)
	}
	if m.sweep() {
		delete(s.messages, o.Job.ID)
		a.Removed = true
	}
	return a
}

// settle records what the attempt made of a job's recipients.
func (m *message) settle(j *job, o *queue.Outcome, now time.Time) {
	for _, r := range o.Results {
		i := slices.Index(j.rcpts, r.Rcpt)
		switch {
		case i < 0:
		case r.State == mail.Deferred:
			j.reasons[r.Rcpt] = r.Reason
		default:
			j.rcpts = slices.Delete(j.rcpts, i, i+1)
		}
	}
	j.attempts++
	j.late, j.trouble = now, o.Trouble
	j.due = now
	if !o.NextDue.IsZero() {
		j.due = ceilMilli(o.NextDue)
	}
}

// settleGone records the late outcome of a job that was requeued meanwhile: who has
// the message must not get it again, all else is left to the new jobs. It reports
// whether the whole outcome was of that kind, so that what it emits holds.
func (m *message) settleGone(o *queue.Outcome) (whole bool) {
	whole = true
	for _, r := range o.Results {
		if r.State != mail.Delivered || !m.isOpen(r.Rcpt) {
			whole = false
		}
	}
	for _, r := range o.Results {
		if r.State == mail.Delivered {
			m.finish(r.Rcpt)
		}
	}
	return whole
}

// doneLine calls done functions one after the other, in a goroutine of its own, so
// that they may call the store.
type doneLine struct {
	mu      sync.Mutex // guards what follows
	cond    sync.Cond
	waiting []func()
	closing bool
	ended   chan struct{}
}

func newDoneLine() *doneLine {
	l := &doneLine{ended: make(chan struct{})}
	l.cond.L = &l.mu
	go l.run()
	return l
}

func (l *doneLine) add(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, f)
	l.cond.Signal()
}

func (l *doneLine) close() {
	l.mu.Lock()
	l.closing = true
	l.cond.Signal()
	l.mu.Unlock()
	<-l.ended
}

func (l *doneLine) run() {
	defer close(l.ended)
	for {
		l.mu.Lock()
		for len(l.waiting) == 0 && !l.closing {
			l.cond.Wait()
		}
		batch := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, f := range batch {
			f()
		}
	}
}
