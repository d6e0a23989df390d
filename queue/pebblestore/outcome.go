package pebblestore

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Apply implements queue.Store. All that an outcome changes is one batch; it is put in
// line and Apply returns.
func (s *Store) Apply(o queue.Outcome, done func(queue.Applied)) {
	a := &applying{store: s, o: o}
	ok := s.committer.put(&change{
		prepare: a.prepare,
		settle:  a.settle,
		done: func() {
			if a.dropFile {
				s.dropFile(a.h.m)
			}
			done(a.result)
		},
	})
	if !ok {
		done(queue.Applied{Err: s.closedError()})
	}
}

// applying is an outcome on its way. Its methods are called one after the other.
type applying struct {
	store    *Store
	o        queue.Outcome
	h        hand   // of nothing, if the outcome does not apply
	jobs     []*job // whose outcomes apply
	emitted  []queue.Job
	removes  bool // no recipient is left
	result   queue.Applied
	dropFile bool
}

// prepare changes message and job. The caller is in the writer and holds s.mu.
func (a *applying) prepare(b *pebble.Batch) error {
	s := a.store
	m := s.active[a.o.Job.ID]
	if m == nil || m.removed {
		return nil
	}
	emit := a.o.Emit
	for o := range a.o.Each {
		j := m.find(o.Job.N)
		if j == nil || o.Job.ID != m.id || !j.claimed || j.attempts != o.Job.Attempts {
			continue
		}
		a.jobs = append(a.jobs, j)
		if j.gone {
			j.attempts++ // the same outcome does not apply a second time
			if !m.settleGone(o) {
				emit = nil
			}
		} else {
			settleJob(j, o, s.now())
		}
	}
	if len(a.jobs) == 0 {
		return nil
	}
	for _, e := range emit {
		s.emit(b, e, a)
	}
	a.h = s.save(b, m)
	a.removes = m.removed
	s.dropBody(m) // the copy in memory is for the first attempt
	s.counts.outcomes.Add(uint64(len(a.jobs)))
	return nil
}

// settleJob records what the attempt made of a job's recipients. The job is no longer
// what was given out, so that the same outcome does not apply a second time.
func settleJob(j *job, o *queue.Outcome, now time.Time) {
	for _, r := range o.Results {
		if r.State == mail.Deferred {
			j.wait(r.Rcpt, r.Reason)
		} else {
			j.finish(r.Rcpt)
		}
	}
	j.attempts++
	next := o.NextDue
	if next.IsZero() {
		next = now
	}
	j.due, j.late, j.trouble = millis(next), millis(now), o.Trouble
	j.dirty = true
}

// settleGone records the late outcome of a job that was requeued meanwhile: who has
// the message must not get it again, all else is left to the new jobs. It reports
// whether the whole outcome was of that kind, so that what it emits holds.
func (m *message) settleGone(o *queue.Outcome) (whole bool) {
	whole = true
	for _, r := range o.Results {
		open := false
		for _, j := range m.jobs {
			if r.State == mail.Delivered && !j.gone && j.finish(r.Rcpt) {
				open = true
			}
		}
		whole = whole && open
	}
	return whole
}

// emit takes a report in, in the batch of the outcome that causes it.
func (s *Store) emit(b *pebble.Batch, e queue.Emission, a *applying) {
	if e.Env.ID == 0 {
		e.Env.ID = s.ids.Next()
	}
	if len(e.Env.Rcpts) == 0 {
		s.log.Warn(fmt.Sprintf("queue: report %s about %s is for nobody; dropped", e.Env.ID, a.o.Job.ID))
		return
	}
	if s.active[e.Env.ID] != nil {
		s.log.Error(fmt.Sprintf("queue: report about %s dropped: %v", a.o.Job.ID, errTaken(e.Env.ID)))
		return
	}
	body := &memBody{}
	body.append(e.Body)
	var scan queue.BodyScan
	_, _ = scan.Write(e.Body)
	scan.Fill(e.Env)
	m := &message{id: e.Env.ID, arrived: e.Env.Arrived, fresh: true, raw: encodeEnvelope(e.Env)}
	m.split(e.Env, allRcpts(e.Env), s.opts.recipientLimits(), 0)
	writeMessage(b, m, body)
	a.emitted = append(a.emitted, s.admitMessage(b, m, body)...)
}

// settle ends the claim. The caller holds s.mu.
func (a *applying) settle(err error) {
	if err != nil {
		a.result = queue.Applied{Err: err}
		return
	}
	m := a.h.m
	if m == nil {
		return
	}
	s := a.store
	a.result.Removed, a.dropFile = a.removes, a.removes
	a.result.Jobs = a.emitted
	for _, j := range a.jobs {
		m.unclaim(j)
	}
	s.unpin(a.h)
}
