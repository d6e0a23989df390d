package queue

import (
	"bytes"
	"context"
	"fmt"

	"aliasmx/internal/mail"
)

// Reports to senders are written by the Notifier and put into the queue by the
// commit that records what they report. Here is decided what there is to report.

// notice is a report that is ready to become a message.
type notice struct {
	Emission
	kind mail.ReportKind
}

// reports has written what the outcomes of one message have to tell. What cannot be
// reported must not be final: those outcomes are turned into deferrals.
func (q *Queue) reports(env *mail.Envelope, body mail.Body, out []pending) []notice {
	var failed, delayed reportees
	var emit []notice
	for i := range out {
		p := &out[i]
		if p.removed {
			return nil
		}
		for _, r := range p.results {
			switch {
			case len(r.Targets) > 0:
				addTargets(&failed, &delayed, &r, p.warn)
			case r.State == mail.Failed:
				failed.add(r)
			case r.State == mail.Deferred && p.warn:
				delayed.add(r)
			}
		}
	}
	if e, err := q.reportTo(failed, mail.ReportFailed, env, body); err != nil {
		q.warn("bounce service failure; the message is kept and tried again", err, idAttr(env.ID))
		next := q.now().Add(q.params.Load().MinimalBackoff)
		for i := range out {
			out[i].unfailed(next)
		}
	} else {
		emit = append(emit, e...)
	}
	if e, err := q.reportTo(delayed, mail.ReportDelayed, env, body); err != nil {
		q.warn("trace service failure; a report is lost", err, idAttr(env.ID))
	} else {
		emit = append(emit, e...)
	}
	for _, r := range []struct {
		kind    mail.ReportKind
		results []mail.Result
	}{
		{mail.ReportExpanded, append(expansions(env, out), successes(env, out, mail.ReportExpanded)...)},
		{mail.ReportRelayed, successes(env, out, mail.ReportRelayed)},
		{mail.ReportDelivered, successes(env, out, mail.ReportDelivered)},
	} {
		e, err := q.report(r.kind, env, body, r.results)
		if err != nil {
			q.warn("trace service failure; a report is lost", err, idAttr(env.ID))
		}
		emit = append(emit, e...)
	}
	return emit
}

// report has one report written, and its copy for the postmaster; there is none when
// nobody wants it.
func (q *Queue) report(kind mail.ReportKind, env *mail.Envelope, body mail.Body, results []mail.Result) ([]notice, error) {
	if len(results) == 0 {
		return nil, nil
	}
	r := mail.Report{Kind: kind, Env: env, Body: body, Results: results, Now: q.now()}
	notices, err := q.write(r, q.notifier.Notify)
	if err != nil {
		return nil, err
	}
	if c, ok := q.notifier.(Copier); ok && (kind == mail.ReportFailed || kind == mail.ReportDelayed) {
		copies, err := q.write(r, c.Copy)
		if err != nil {
			q.warn("no copy of a report for the postmaster", err, idAttr(env.ID))
		}
		notices = append(notices, copies...)
	}
	return notices, nil
}

// write calls a function of the Notifier.
func (q *Queue) write(r mail.Report, f func(context.Context, mail.Report) (*mail.Envelope, []byte, error)) (_ []notice, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	r.NewID = q.store.IDs().Next()
	env, body, err := f(q.ctx, r)
	if err != nil || env == nil || len(env.Rcpts) == 0 {
		return nil, err
	}
	env.ID = r.NewID
	env.Flags |= mail.FlagNotice
	if env.Arrived.IsZero() {
		env.Arrived = r.Now
	}
	return []notice{{Emission{Env: env, Body: body}, r.Kind}}, nil
}

// expansions are the reports that an alias led elsewhere, for those who asked to hear
// of success (RFC 3461 section 5.2.7.3): one for each address as it was given.
func expansions(env *mail.Envelope, out []pending) []mail.Result {
	var results []mail.Result
	told := make(map[mail.Address]bool)
	for i := range out {
		for _, n := range out[i].expand {
			r := &env.Rcpts[n]
			if r.Notify&mail.NotifyExpanded == 0 || told[r.Orig] {
				continue
			}
			told[r.Orig] = true
			results = append(results, mail.Result{
				Rcpt:   n,
				State:  mail.Delivered,
				Status: mail.Status{Enhanced: mail.Code(2, 0, 0), Text: "alias expanded"},
				Reason: "alias expanded",
				Agent:  "cleanup",
				Relay:  "none",
			})
		}
	}
	return results
}

// successes are the recipients whose delivery is to be reported and by nobody else
// will be: a next hop that knows DSN reports itself what it delivers.
func successes(env *mail.Envelope, out []pending, kind mail.ReportKind) []mail.Result {
	var results []mail.Result
	for i := range out {
		for _, r := range out[i].results {
			if r.State != mail.Delivered || env.Rcpts[r.Rcpt].Notify&mail.NotifySuccess == 0 || r.DSNPassed {
				continue
			}
			is := mail.ReportDelivered
			switch {
			case r.Expanded:
				is = mail.ReportExpanded
			case r.Relayed:
				is = mail.ReportRelayed
			}
			if is == kind {
				results = append(results, r)
			}
		}
	}
	return results
}

// messageID finds the Message-ID of a message of our own making, "" when it has none.
func messageID(parts ...[]byte) string {
	const name = "message-id:"
	for _, part := range parts {
		for line := range bytes.Lines(part) {
			if len(bytes.TrimRight(line, "\r\n")) == 0 {
				break
			}
			if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
				return string(bytes.TrimSpace(line[len(name):]))
			}
		}
	}
	return ""
}
