package queue

import (
	"time"

	"aliasmx/internal/mail"
)

// What an attempt says becomes an outcome here: every recipient has a result, soft
// bounces and expiry are taken into account, and the time of the next attempt is set.

// attempt is a job that was handed out.
type attempt struct {
	mail.Attempt
	job     Job
	trouble bool // it is the destination's that it does not succeed
}

// pending is an outcome before it is recorded.
type pending struct {
	job     Job
	at      time.Time
	results []mail.Result // one for each recipient of the job
	next    time.Time     // for those deferred
	expired string        // "", or in which way: the status to be logged
	warn    bool          // the sender is to be told of the delay
	expand  []int         // recipients whose alias expansion is to be reported
	removed bool          // by an operator: nobody is told anything
	trouble bool          // what is deferred waits because of the destination
}

// canWait: recording it later, or doing it again after a crash, harms nobody, and it
// has something to tell that others may join.
func (p *pending) canWait() bool {
	return p.count(mail.Delivered) == 0 && (p.warn || p.count(mail.Failed) > 0)
}

func (p *pending) count(s mail.State) int {
	n := 0
	for i := range p.results {
		if p.results[i].State == s {
			n++
		}
	}
	return n
}

// unfailed makes what was to be reported as failed be tried again.
func (p *pending) unfailed(next time.Time) {
	for i := range p.results {
		if r := &p.results[i]; r.State == mail.Failed || hasFailed(r.Targets) {
			r.State = mail.Deferred
		}
	}
	p.next, p.expired = later(p.next, next), ""
}

// complete gives each recipient of an attempt exactly one result that makes sense.
func complete(a *attempt, results []mail.Result) []mail.Result {
	out := make([]mail.Result, 0, len(a.Rcpts))
	seen := make(map[int]bool, len(a.Rcpts))
	for _, i := range a.Rcpts {
		seen[i] = false
	}
	add := func(r mail.Result) {
		if done, ours := seen[r.Rcpt]; done || !ours {
			return
		}
		seen[r.Rcpt] = true
		if r.Agent == "" {
			r.Agent = a.Dest.Transport()
		}
		if r.Relay == "" {
			r.Relay = "none"
		}
		r.Status.Enhanced[0] = classOf(r.State)
		classify(r.Targets)
		out = append(out, r)
	}
	for _, r := range results {
		add(r)
	}
	for _, i := range a.Rcpts {
		if !seen[i] {
			add(unanswered(i))
		}
	}
	return out
}

// unanswered is the result of a recipient of whom the delivery agent said nothing, in
// the words of Postfix when an agent has crashed.
func unanswered(rcpt int) mail.Result {
	const text = "unknown mail transport error"
	return mail.Result{Rcpt: rcpt, Status: mail.Status{Enhanced: mail.Code(4, 3, 0), Text: text}, Reason: text, Agent: "error"}
}

// classOf is the first figure of the enhanced status code that goes with a state
// (RFC 3463 section 3.1).
func classOf(s mail.State) uint16 {
	switch s {
	case mail.Delivered:
		return 2
	case mail.Failed:
		return 5
	}
	return 4
}

// soften turns failures into deferrals (postconf(5): soft_bounce) and tells which.
func soften(results []mail.Result) map[int]bool {
	soft := make(map[int]bool)
	for i := range results {
		if r := &results[i]; r.State == mail.Failed {
			r.State = mail.Deferred
			r.Status.Enhanced[0] = 4
			soft[r.Rcpt] = true
		}
		if r := &results[i]; hasFailed(r.Targets) {
			r.State = mail.Deferred
			r.Status.Enhanced[0] = 4
			softenTargets(r.Targets)
			soft[r.Rcpt] = true
		}
	}
	return soft
}

// decide makes the outcome of an attempt that ended now. U is the jitter: what failed
// together need not be tried together.
func decide(p *Params, a *attempt, results []mail.Result, now time.Time, u float64) pending {
	out := pending{job: a.job, at: now, results: results, trouble: a.trouble}
	if out.count(mail.Deferred) == 0 {
		return out
	}
	age := now.Sub(a.Env.Arrived)
	lifetime := p.MaximalQueueLifetime
	if a.Env.Sender.IsNull() {
		lifetime = p.BounceQueueLifetime
	}
	switch {
	case a.job.Expired:
		out.expired = "force-expired"
	case age >= lifetime:
		out.expired = "expired"
	}
	if out.expired != "" {
		for i := range results {
			if results[i].State == mail.Deferred {
				results[i].State = mail.Failed
			}
		}
		return out
	}
	out.next = now.Add(time.Duration(float64(p.backoff(age)) * u))
	if p.DelayWarningTime > 0 {
		out.scheduleWarning(p, a.Env.Arrived.Add(p.DelayWarningTime))
	}
	return out
}

// scheduleWarning decides whether the sender is told now that the mail is late
// (postconf(5): delay_warning_time). No record is kept of a warning: the first attempt
// after the time for it gives it, and knows that it is the first by when it was due.
// For that, attempts before are made due no later than one minimal_backoff_time after
// that time, and the ones that follow a warning later.
func (p *pending) scheduleWarning(s *Params, at time.Time) {
	last := at.Add(s.MinimalBackoff).Truncate(time.Millisecond) // as due times are kept
	switch {
	case p.job.Due.After(last):
	case p.at.Before(at):
		p.next = sooner(p.next, last)
	default:
		p.warn = true
		p.next = later(p.next, last.Add(time.Second))
	}
}
