package memstore

import (
	"cmp"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// message is one message with its jobs. A recipient is unfinished exactly when one of
// the jobs that are not gone has it.
type message struct {
	env  *mail.Envelope
	body []byte
	held bool
	jobs []*job
	next int // number of the next job
}

type job struct {
	n        int
	dest     mail.Dest
	rcpts    []int
	reasons  map[int]string
	attempts int
	due      time.Time
	late     time.Time // when it was deferred last
	trouble  bool      // because of its destination
	bulk     bool
	expired  bool
	claimed  bool
	gone     bool // replaced by requeueing while its attempt was under way
}

func (m *message) allRcpts() []int {
	all := make([]int, len(m.env.Rcpts))
	for i := range all {
		all[i] = i
	}
	return all
}

// split makes new jobs of unfinished recipients.
func (m *message) split(open []int, limit queue.RecipientLimits, due time.Time) {
	all := queue.SplitRcpts(m.env, open, limit)
	for _, rcpts := range all {
		m.jobs = append(m.jobs, &job{
			n:       m.next,
			dest:    m.env.Rcpts[rcpts[0]].Dest,
			rcpts:   rcpts,
			reasons: make(map[int]string),
			due:     due,
			bulk:    queue.IsBulk(m.env, len(all)),
		})
		m.next++
	}
}

// job is what callers see of a job.
func (m *message) job(j *job) queue.Job {
	return queue.Job{
		ID:       m.env.ID,
		N:        j.n,
		Dest:     j.dest,
		Rcpts:    slices.Clone(j.rcpts),
		Attempts: j.attempts,
		Bulk:     j.bulk,
		Due:      j.due,
		Arrived:  m.env.Arrived,
		Expired:  j.expired,
	}
}

func (m *message) find(n int) *job {
	for _, j := range m.jobs {
		if j.n == n {
			return j
		}
	}
	return nil
}

// finish takes a recipient out of whichever job has it.
func (m *message) finish(rcpt int) bool {
	for _, j := range m.jobs {
		if i := slices.Index(j.rcpts, rcpt); i >= 0 && !j.gone {
			j.rcpts = slices.Delete(j.rcpts, i, i+1)
			return true
		}
	}
	return false
}

func (m *message) isOpen(rcpt int) bool {
	return slices.ContainsFunc(m.jobs, func(j *job) bool {
		return !j.gone && slices.Contains(j.rcpts, rcpt)
	})
}

// sweep drops the jobs that have nothing left and tells whether the message has.
func (m *message) sweep() (finished bool) {
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return !j.gone && len(j.rcpts) == 0 })
	return !slices.ContainsFunc(m.jobs, func(j *job) bool { return !j.gone })
}

// claimable tells whether a job may be given out when it is due.
func (m *message) claimable(j *job) bool { return !m.held && !j.claimed && !j.gone }

// heads are the destinations of the jobs that can be claimed.
func (m *message) heads() []queue.DestHead {
	var heads []queue.DestHead
	for _, j := range m.jobs {
		if !m.claimable(j) {
			continue
		}
		i := slices.IndexFunc(heads, func(h queue.DestHead) bool { return h.Dest == j.dest })
		switch {
		case i < 0:
			heads = append(heads, queue.DestHead{Dest: j.dest, NextDue: j.due})
		case j.due.Before(heads[i].NextDue):
			heads[i].NextDue = j.due
		}
	}
	return heads
}

// listed is the message as postqueue(1) shows it.
func (m *message) listed() mail.Listed {
	l := mail.Listed{
		Queue:   m.queue(),
		ID:      m.env.ID,
		Arrived: m.env.Arrived,
		Size:    m.env.Size + int64(len(m.env.Prepend)),
		Sender:  m.env.Sender,
	}
	type open struct {
		rcpt   int
		reason string
	}
	var all []open
	for _, j := range m.jobs {
		if j.gone {
			continue
		}
		l.Expired = l.Expired || j.expired
		for _, r := range j.rcpts {
			all = append(all, open{r, j.reasons[r]})
		}
	}
	slices.SortFunc(all, func(a, b open) int { return cmp.Compare(a.rcpt, b.rcpt) })
	for _, o := range all {
		r := &m.env.Rcpts[o.rcpt]
		l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: r.Final, Orig: r.OrigTo(), Reason: o.reason})
	}
	return l
}

func (m *message) queue() string {
	tried := false
	for _, j := range m.jobs {
		if j.claimed && !m.held {
			return "active"
		}
		tried = tried || j.attempts > 0
	}
	switch {
	case m.held:
		return "hold"
	case tried:
		return "deferred"
	}
	return "incoming"
}
