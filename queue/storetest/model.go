package storetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Model is what a store has to hold, said as plainly as it can be: messages by their ID,
// each with its jobs. What a store answers is held against it. It is used by one
// goroutine.
type Model struct {
	Limit    int // recipients a job has at most
	messages map[mail.QueueID]*message
}

// NewModel makes an empty model.
func NewModel(limit int) *Model {
	return &Model{Limit: limit, messages: make(map[mail.QueueID]*message)}
}

// message is one message. A recipient is unfinished exactly when one of the jobs that are
// not gone has it.
type message struct {
	env  *mail.Envelope // replaced, never changed
	body []byte
	held bool
	jobs []*job
}

type job struct {
	dest     mail.Dest
	rcpts    []int
	reasons  map[int]string
	attempts int
	due      time.Time
	late     time.Time // when it was deferred; zero: it was not
	trouble  bool      // because of its destination
	bulk     bool
	expired  bool
	claimed  bool
	gone     bool // replaced while its attempt was under way
}

// clone is a copy that the model does not change any more.
func (m *message) clone() *message {
	c := *m
	c.jobs = nil
	for _, j := range m.jobs {
		k := *j
		k.rcpts, k.reasons = slices.Clone(j.rcpts), maps.Clone(j.reasons)
		c.jobs = append(c.jobs, &k)
	}
	return &c
}

// restarted is what another process finds: nothing is claimed.
func (m *message) restarted() *message {
	c := m.clone()
	c.jobs = slices.DeleteFunc(c.jobs, func(j *job) bool { return j.gone })
	for _, j := range c.jobs {
		j.claimed = false
	}
	return c
}

func (m *message) open() (open []int) {
	for _, j := range m.jobs {
		if !j.gone {
			open = append(open, j.rcpts...)
		}
	}
	slices.Sort(open)
	return open
}

func (m *message) queue() string {
	tried, claimed := false, false
	for _, j := range m.jobs {
		tried = tried || !j.gone && j.attempts > 0
		claimed = claimed || j.claimed
	}
	switch {
	case m.held:
		return "hold"
	case claimed:
		return "active"
	case tried:
		return "deferred"
	}
	return "incoming"
}

func (m *message) listed() mail.Listed {
	l := mail.Listed{
		Queue: m.queue(), ID: m.env.ID, Arrived: m.env.Arrived, Sender: m.env.Sender,
		Size: m.env.Size + int64(len(m.env.Prepend)),
	}
	reasons := make(map[int]string)
	for _, j := range m.jobs {
		if j.gone {
			continue
		}
		l.Expired = l.Expired || j.expired
		for _, r := range j.rcpts {
			reasons[r] = j.reasons[r]
		}
	}
	for _, r := range m.open() {
		to := &m.env.Rcpts[r]
		l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: to.Final, Orig: to.OrigTo(), Reason: reasons[r], Dest: to.Dest})
	}
	return l
}

// check tells what is wrong with the model itself.
func (m *message) check() error {
	has := make(map[int]bool)
	for _, j := range m.jobs {
		for _, r := range j.rcpts {
			switch {
			case j.gone:
			case has[r]:
				return fmt.Errorf("%s: recipient %d is in two jobs", m.env.ID, r)
			case m.env.Rcpts[r].Dest != j.dest:
				return fmt.Errorf("%s: recipient %d is in a job for %s", m.env.ID, r, j.dest)
			default:
				has[r] = true
			}
		}
		if !j.gone && len(j.rcpts) == 0 {
			return fmt.Errorf("%s: a job is empty", m.env.ID)
		}
	}
	if len(has) == 0 {
		return fmt.Errorf("%s: no recipient is left", m.env.ID)
	}
	return nil
}

// split makes jobs of recipients.
func (m *message) split(open []int, limit int, now time.Time) (made []*job) {
	all := queue.SplitRcpts(m.env, open, queue.RecipientLimits{Default: limit})
	for _, rcpts := range all {
		made = append(made, &job{
			dest: m.env.Rcpts[rcpts[0]].Dest, rcpts: rcpts, reasons: make(map[int]string),
			due: now, bulk: queue.IsBulk(m.env, len(all)),
		})
	}
	m.jobs = append(m.jobs, made...)
	return made
}

// commit takes a message in. Its jobs are claimed.
func (m *Model) commit(env *mail.Envelope, body []byte, now time.Time) []*job {
	x := &message{env: env, body: body, held: env.Flags&mail.FlagHold != 0}
	m.messages[env.ID] = x
	var all []int
	for i := range env.Rcpts {
		all = append(all, i)
	}
	made := x.split(all, m.Limit, now)
	if x.held {
		return nil
	}
	for _, j := range made {
		j.claimed = true
	}
	return made
}

// emission is a report that goes with an outcome.
type emission struct {
	env  *mail.Envelope
	body []byte
}

// settle applies an outcome of several jobs. It reports whether it was of any account,
// whether the message is gone with it, and the jobs of the reports that came with it.
func (m *Model) settle(jobs []*job, o queue.Outcome, emit []emission, now time.Time) (applied, removed bool, made []*job) {
	x := m.messages[o.Job.ID]
	if x == nil {
		return false, false, nil
	}
	var done []*job
	all := append([]queue.Outcome{o}, o.Also...)
	for i, j := range jobs {
		if !slices.Contains(x.jobs, j) || !j.claimed || j.attempts != all[i].Job.Attempts {
			continue
		}
		done = append(done, j)
		j.claimed = false
		if j.gone {
			if !x.settleGone(all[i].Results) {
				emit = nil
			}
		} else {
			j.settle(all[i], now)
		}
	}
	if len(done) == 0 {
		return false, false, nil
	}
	for _, e := range emit {
		made = append(made, m.commit(e.env, e.body, now)...)
	}
	x.jobs = slices.DeleteFunc(x.jobs, func(k *job) bool {
		return slices.Contains(done, k) && k.gone || !k.gone && len(k.rcpts) == 0
	})
	if len(x.open()) == 0 {
		delete(m.messages, o.Job.ID)
		removed = true
	}
	return true, removed, made
}

func (j *job) settle(o queue.Outcome, now time.Time) {
	for _, r := range o.Results {
		if r.State == mail.Deferred {
			j.reasons[r.Rcpt] = r.Reason
		} else {
			j.rcpts = slices.DeleteFunc(j.rcpts, func(i int) bool { return i == r.Rcpt })
		}
	}
	j.attempts++
	j.due, j.late, j.trouble = o.NextDue, now, o.Trouble
}

// settleGone applies the outcome of a job that was replaced meanwhile: only who has the
// message counts. It reports whether that is all the outcome says.
func (m *message) settleGone(results []mail.Result) (whole bool) {
	whole = true
	for _, r := range results {
		found := false
		for _, j := range m.jobs {
			if r.State == mail.Delivered && !j.gone && slices.Contains(j.rcpts, r.Rcpt) {
				j.rcpts = slices.DeleteFunc(j.rcpts, func(i int) bool { return i == r.Rcpt })
				found = true
			}
		}
		whole = whole && found
	}
	return whole
}

// claimable tells whether a job can be given out when it is due.
func (m *message) claimable(j *job) bool { return !m.held && !j.claimed && !j.gone }

// waiting calls f with each job of a destination that can be claimed.
func (m *Model) waiting(dest mail.Dest, f func(m *message, j *job)) {
	for _, x := range m.messages {
		for _, j := range x.jobs {
			if j.dest == dest && x.claimable(j) {
				f(x, j)
			}
		}
	}
}

func (m *message) heads() (heads []queue.DestHead) { return addHeads(nil, m) }

// Heads are the destinations of the jobs that can be claimed, in order.
func (m *Model) Heads() (heads []queue.DestHead) {
	for _, x := range m.messages {
		heads = addHeads(heads, x)
	}
	SortHeads(heads)
	return heads
}

func addHeads(heads []queue.DestHead, m *message) []queue.DestHead {
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

// release gives a claimed job back, if that is what it is.
func (m *Model) release(id mail.QueueID, j *job) {
	x := m.messages[id]
	if x == nil || !slices.Contains(x.jobs, j) {
		return
	}
	j.claimed = false
	if j.gone {
		x.jobs = slices.DeleteFunc(x.jobs, func(k *job) bool { return k == j })
	}
}

// restart makes all that is claimed claimable.
func (m *Model) restart() {
	for id, x := range m.messages {
		m.messages[id] = x.restarted()
	}
}
