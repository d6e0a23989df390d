package queue

import (
	"context"
	"slices"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// A message may have jobs at several destinations, which go their own ways. What
// belongs to the message as a whole is kept here while any of its jobs is loaded: that
// it has been logged as active, and the failures that wait to be reported together.
//
// bounce(8) sends one report when the delivery of a message has come to its end for
// now. So a failed job is not recorded as long as other jobs of its message are under
// way. A crash meanwhile only means that it fails again. A job that was delivered to
// somebody is recorded at once: there a crash would mean a duplicate.

// rounds are the loaded jobs by message.
type rounds struct {
	mu     sync.Mutex // guards what follows, and all rounds but for their logging
	byID   map[mail.QueueID]*round
	warned warnings
}

type round struct {
	active time.Time // since when
	jobs   []Job     // loaded
	open   int       // of them, those without an outcome
	held   []pending // outcomes that wait for those
	// expanded: whether the reports of alias expansion have been taken care of.
	expanded bool
	// requeued: an operator has rerouted the message while an attempt was under way.
	// What is claimed of it meanwhile is put aside. Attempts that end later can deliver,
	// but fail nothing: the new way is to be tried.
	requeued bool
	aside    []Job
	removed  bool          // by an operator: nobody is told anything
	changed  chan struct{} // closed at the next change, when somebody waits for one

	logged sync.Once // the line "queue active"
}

func newRounds() *rounds { return &rounds{byID: make(map[mail.QueueID]*round)} }

// enter notes claimed jobs of any messages, and returns those that may be loaded.
func (rs *rounds) enter(jobs []Job, now time.Time) []Job {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	loaded := make([]Job, 0, len(jobs))
	for _, j := range jobs {
		r := rs.byID[j.ID]
		if r == nil {
			r = &round{active: now}
			rs.byID[j.ID] = r
		}
		if r.requeued {
			r.aside = append(r.aside, j)
			continue
		}
		r.jobs = append(r.jobs, j)
		r.open++
		loaded = append(loaded, j)
	}
	return loaded
}

// of returns the round of a message, nil when nothing of it is loaded.
func (rs *rounds) of(id mail.QueueID) *round {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byID[id]
}

// isRemoved tells whether an operator has deleted a message that is loaded.
func (rs *rounds) isRemoved(id mail.QueueID) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[id]
	return r != nil && r.removed
}

// isRequeued tells whether an operator has rerouted a message that is loaded.
func (rs *rounds) isRequeued(id mail.QueueID) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[id]
	return r != nil && r.requeued
}

// rcpts is how many recipients are being served.
func (rs *rounds) rcpts(r *round) int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	n := 0
	for _, j := range r.jobs {
		n += len(j.Rcpts)
	}
	return n
}

// untried tells whether no outcome was ever recorded of some job.
func (rs *rounds) untried(r *round) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.ContainsFunc(r.jobs, func(j Job) bool { return j.Attempts == 0 })
}

// dests are the destinations of a message's loaded jobs.
func (rs *rounds) dests(id mail.QueueID) []mail.Dest {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[id]
	if r == nil {
		return nil
	}
	var dests []mail.Dest
	for _, j := range r.jobs {
		if !slices.Contains(dests, j.Dest) {
			dests = append(dests, j.Dest)
		}
	}
	return dests
}

// finish takes the outcome of a loaded job and returns what is to be recorded now, in
// this order; these jobs stay loaded until written.
func (rs *rounds) finish(p pending) []pending {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[p.job.ID]
	r.open--
	if r.open > 0 && p.canWait() && (len(r.held) == 0 || p.at.Sub(r.held[0].at) < holdLimit) {
		r.held = append(r.held, p)
		return nil
	}
	if r.open > 0 && !p.canWait() {
		return rs.ready(r, []pending{p})
	}
	out := append(r.held, p)
	r.held = nil
	return rs.ready(r, out)
}

// ready makes outcomes fit what belongs to the message as a whole. It needs rs.mu.
func (rs *rounds) ready(r *round, out []pending) []pending {
	warn := false
	for i := range out {
		out[i].removed, out[i].requeued = r.removed, r.requeued
		warn = warn || out[i].warn
	}
	if warn && !rs.warned.first(out[0].job.ID) {
		for i := range out {
			out[i].warn = false
		}
	}
	return rs.expansion(r, out)
}

// expansion marks the outcome that carries the reports of alias expansion: the first
// of a message's first round.
func (rs *rounds) expansion(r *round, out []pending) []pending {
	first := !slices.ContainsFunc(r.jobs, func(j Job) bool { return j.Attempts > 0 })
	if first && !r.expanded {
		for _, j := range r.jobs {
			out[0].expand = append(out[0].expand, j.Rcpts...)
		}
	}
	r.expanded = true
	return out
}

// told notes that the reports of alias expansion have been taken care of.
func (rs *rounds) told(r *round) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.expanded = true
}

// written takes a job whose outcome is recorded out of memory. If it was the last of
// its message, the jobs that were put aside are returned.
func (rs *rounds) written(job Job) (aside []Job) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.forget(job)
}

// leave takes a job out of memory that has no outcome. What waited for it is to be
// recorded now.
func (rs *rounds) leave(job Job) (out []pending, aside []Job) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[job.ID]
	r.open--
	if r.open == 0 && len(r.held) > 0 {
		out = rs.ready(r, r.held)
		r.held = nil
	}
	return out, rs.forget(job)
}

// forget needs rs.mu. The store may have given out a job again, with another count of
// attempts, before it is forgotten here.
func (rs *rounds) forget(job Job) (aside []Job) {
	r := rs.byID[job.ID]
	i := slices.IndexFunc(r.jobs, func(j Job) bool { return j.N == job.N && j.Attempts == job.Attempts })
	r.jobs = slices.Delete(r.jobs, i, i+1)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	if len(r.jobs) > 0 {
		return nil
	}
	delete(rs.byID, job.ID)
	return r.aside
}

// await returns when no outcome of a message is on its way to the store any more, so
// that an operator's wish meets the state that the log shows.
func (rs *rounds) await(ctx context.Context, id mail.QueueID) {
	for {
		rs.mu.Lock()
		r := rs.byID[id]
		if r == nil || len(r.jobs) == r.open+len(r.held) {
			rs.mu.Unlock()
			return
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		rs.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// mark changes the round of a message, if there is one. It returns when the outcomes that
// were decided without knowing of that are written.
func (rs *rounds) mark(id mail.QueueID, f func(*round)) {
	rs.mu.Lock()
	if r := rs.byID[id]; r != nil {
		f(r)
	}
	rs.mu.Unlock()
	rs.await(context.Background(), id)
}
