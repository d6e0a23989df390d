package queue

import (
	"context"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// The lines of the mail log that the queue is the source of: qmgr(8), bounce(8), and
// one line for each recipient of an attempt, in the name of the delivery agent.

// event logs one of mail's events for a message.
func (q *Queue) event(daemon, event string, id mail.QueueID, attrs ...slog.Attr) {
	all := make([]slog.Attr, 0, len(attrs)+2)
	all = append(all, slog.String(mail.KeyDaemon, daemon), slog.String(mail.KeyQueueID, id.String()))
	q.log.LogAttrs(context.Background(), slog.LevelInfo, event, append(all, attrs...)...)
}

// logActive logs that a message is in the active queue, once a round. Whoever logs
// something else of the round calls it first; it returns when the line is out.
func (q *Queue) logActive(r *round, env *mail.Envelope) {
	r.logged.Do(func() {
		q.event("qmgr", mail.EventActive, env.ID,
			slog.String(mail.KeyFrom, env.Sender.String()),
			slog.Int64(mail.KeySize, env.Size+int64(len(env.Prepend))),
			slog.Int(mail.KeyNrcpt, q.rounds.rcpts(r)))
		q.warnTwice(r, env)
	})
}

// logDelivery logs the result of one recipient. soft: it would have been a failure.
func (q *Queue) logDelivery(a *attempt, r *mail.Result, soft bool, now time.Time) {
	status := statusOf(r.State)
	switch {
	case len(r.Targets) > 0:
		q.logTargets(a, r, soft, now)
		return
	case soft:
		status = "SOFTBOUNCE"
	}
	q.logResult(a, r, status, now)
}

// logResult is the line of a recipient, with a status.
func (q *Queue) logResult(a *attempt, r *mail.Result, status string, now time.Time) {
	to := &a.Env.Rcpts[r.Rcpt]
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String(mail.KeyTo, to.Final.String()))
	if to.OrigTo() != "" {
		attrs = append(attrs, slog.String(mail.KeyOrigTo, to.Orig.String()))
	}
	attrs = append(attrs, slog.String(mail.KeyRelay, r.Relay))
	if r.ConnUse > 1 {
		attrs = append(attrs, slog.Int(mail.KeyConnUse, r.ConnUse))
	}
	if r.TLS != "" {
		attrs = append(attrs, slog.String(mail.KeyTLS, r.TLS))
	}
	q.event(r.Agent, mail.EventDelivery, a.Env.ID, append(attrs,
		slog.Duration(mail.KeyDelay, now.Sub(a.Env.Arrived)),
		slog.Any(mail.KeyDelays, delays(a, r, now)),
		slog.String(mail.KeyDSN, r.Status.Enhanced.String()),
		slog.String(mail.KeyStatus, status),
		slog.String(mail.KeyReason, r.Reason))...)
}

func statusOf(s mail.State) string {
	switch s {
	case mail.Delivered:
		return "sent"
	case mail.Failed:
		return "bounced"
	}
	return "deferred"
}

// delays are the four parts of a delay: before the queue manager, in its active
// queue, setting up the connection, transmission. An agent without a network tells
// neither of the last two: all its time is the fourth.
func delays(a *attempt, r *mail.Result, now time.Time) [4]time.Duration {
	d := [4]time.Duration{
		max(a.Active.Sub(a.Env.Arrived), 0),
		max(a.Started.Sub(a.Active), 0),
		r.Connected,
		r.Transmitted,
	}
	if r.Connected == 0 && r.Transmitted == 0 {
		d[3] = max(now.Sub(a.Started), 0)
	}
	return d
}

// logNotice logs a report that is in the queue now.
func (q *Queue) logNotice(about mail.QueueID, n notice) {
	if id := messageID(n.Env.Prepend, n.Body); id != "" {
		q.event("cleanup", mail.EventMessageID, n.Env.ID, slog.String(mail.KeyMessage, id))
	}
	kind := kindOf(n.kind)
	if !n.Env.Sender.IsNull() { // double_bounce_sender: it goes to the postmaster
		kind = "postmaster " + kind
	}
	q.event("bounce", mail.EventReported, about,
		slog.String(mail.KeyKind, kind), slog.String(mail.KeyNewID, n.Env.ID.String()))
}

func kindOf(k mail.ReportKind) string {
	switch k {
	case mail.ReportFailed:
		return "failed"
	case mail.ReportDelayed:
		return "delayed"
	}
	return "delivered"
}

// warn logs trouble of the queue's own.
func (q *Queue) warn(text string, err error, attrs ...slog.Attr) {
	all := append([]slog.Attr{slog.String(mail.KeyDaemon, "qmgr"), slog.Any("error", err)}, attrs...)
	q.log.LogAttrs(context.Background(), slog.LevelWarn, text, all...)
}

func idAttr(id mail.QueueID) slog.Attr { return slog.String(mail.KeyQueueID, id.String()) }
