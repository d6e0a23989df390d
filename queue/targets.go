package queue

import (
	"log/slog"
	"slices"
	"time"

	"aliasmx/internal/mail"
)

// What a local recipient led to (mail.Target): each has its line in the log and its
// entry in a report, as bounce_append(3) of local(8) makes them. The recipient is
// recorded as one: while any of its targets is deferred all are tried again.

func hasFailed(list []mail.Target) bool {
	return slices.ContainsFunc(list, func(t mail.Target) bool { return t.State == mail.Failed })
}

// classify makes the status codes fit the states.
func classify(list []mail.Target) {
	for i := range list {
		list[i].Status.Enhanced[0] = classOf(list[i].State)
	}
}

// softenTargets is soften for targets.
func softenTargets(list []mail.Target) {
	for i := range list {
		if list[i].State == mail.Failed {
			list[i].State = mail.Deferred
		}
	}
	classify(list)
}

// logTargets is logDelivery for each target. soft: what is deferred would have failed.
func (q *Queue) logTargets(a *attempt, r *mail.Result, soft bool, now time.Time) {
	for i := range r.Targets {
		t := &r.Targets[i]
		at := now
		if !t.At.IsZero() {
			at = t.At
		}
		attrs := make([]slog.Attr, 0, 9)
		attrs = append(attrs, slog.String(mail.KeyTo, t.To.String()))
		if !t.Orig.IsNull() && t.Orig != t.To {
			attrs = append(attrs, slog.String(mail.KeyOrigTo, t.Orig.String()))
		}
		status := statusOf(t.State)
		if soft && t.State == mail.Deferred {
			status = "SOFTBOUNCE"
		}
		q.event(r.Agent, mail.EventDelivery, a.Env.ID, append(attrs,
			slog.String(mail.KeyRelay, r.Relay),
			slog.Duration(mail.KeyDelay, at.Sub(a.Env.Arrived)),
			slog.Any(mail.KeyDelays, delays(a, r, at)),
			slog.String(mail.KeyDSN, t.Status.Enhanced.String()),
			slog.String(mail.KeyStatus, status),
			slog.String(mail.KeyReason, t.Reason))...)
	}
}

// reportees are results to be reported, with who hears of each.
type reportees []reportee

type reportee struct {
	result mail.Result
	// target tells that the result is that of something a recipient led to: to and owner
	// then take the place of the recipient and of the sender.
	target    bool
	to, owner mail.Address
}

func (list *reportees) add(r mail.Result) { *list = append(*list, reportee{result: r}) }

// addTargets sorts the targets of a recipient out. One that was deferred has failed when
// the recipient has, for then the message has expired.
func addTargets(failed, delayed *reportees, r *mail.Result, warn bool) {
	for i := range r.Targets {
		t := &r.Targets[i]
		e := reportee{target: true, to: t.To, owner: t.Owner, result: *r}
		e.result.State, e.result.Status, e.result.Reason = t.State, t.Status, t.Reason
		e.result.RemoteReply, e.result.ReplyType, e.result.Targets = t.Reply, t.ReplyType, nil
		switch {
		case t.State == mail.Failed, t.State == mail.Deferred && r.State == mail.Failed:
			*failed = append(*failed, e)
		case t.State == mail.Deferred && warn:
			*delayed = append(*delayed, e)
		}
	}
}

// reportTo has reports written: one for the sender, and one for each owner of a list.
func (q *Queue) reportTo(list reportees, kind mail.ReportKind, env *mail.Envelope, body mail.Body) ([]notice, error) {
	var notices []notice
	for len(list) > 0 {
		owner := list[0].owner
		same := func(r reportee) bool { return r.owner == owner }
		results, about := envelopeFor(slices.DeleteFunc(slices.Clone(list), func(r reportee) bool { return !same(r) }), env, owner)
		n, err := q.report(kind, about, body, results)
		if err != nil {
			return nil, err
		}
		notices = append(notices, n...)
		list = slices.DeleteFunc(list, same)
	}
	return notices, nil
}

// envelopeFor is the envelope as a report is to see it: with the targets in place of
// the recipients that led to them, from the owner if there is one.
func envelopeFor(list reportees, env *mail.Envelope, owner mail.Address) ([]mail.Result, *mail.Envelope) {
	results := make([]mail.Result, 0, len(list))
	about := env
	if slices.ContainsFunc(list, func(r reportee) bool { return r.target }) {
		seen := *env
		seen.Rcpts = slices.Clone(env.Rcpts)
		if !owner.IsNull() {
			seen.Sender, seen.EnvID, seen.Ret = owner, "", ""
		}
		about = &seen
	}
	for _, r := range list {
		if r.target {
			rcpt := env.Rcpts[r.result.Rcpt]
			rcpt.Final = r.to
			r.result.Rcpt = len(about.Rcpts)
			about.Rcpts = append(about.Rcpts, rcpt)
		}
		results = append(results, r.result)
	}
	return results, about
}
