package smtpd

import (
	"context"
	"log/slog"
	"strings"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// How a session asks the rooms beside it, and how it says no.

// refuse logs a refusal and returns it as an error; nil for nil. to is the recipient it
// is about, if it is about one.
func (s *session) refuse(stage string, to *mail.Address, refused *mail.Status) error {
	if refused == nil {
		return nil
	}
	if s.o.SoftBounce {
		refused = soften(refused)
	}
	s.logReject(stage, to, refused.Error())
	return refused
}

// logReject logs a refusal.
func (s *session) logReject(stage string, to *mail.Address, reason string) {
	if to == nil && s.tx.accepted > 0 && !s.judged.several {
		to = &s.tx.first
	}
	s.logWhat("", stage, to, reason)
}

// logWhat logs what was done at a command, in the form of a refusal. kind is "" for one.
func (s *session) logWhat(kind, stage string, to *mail.Address, text string) {
	attrs := make([]slog.Attr, 0, 9)
	if s.tx.id != 0 {
		attrs = append(attrs, slog.String(mail.KeyQueueID, s.tx.idText))
	}
	if kind != "" {
		attrs = append(attrs, slog.String(mail.KeyKind, kind))
	}
	attrs = append(attrs, slog.String(mail.KeyStage, stage), slog.String(mail.KeyClient, s.peer.String()),
		slog.String(mail.KeyReason, text))
	if s.tx.active {
		attrs = append(attrs, slog.String(mail.KeyFrom, s.tx.sender.String()))
	}
	if to != nil {
		attrs = append(attrs, slog.String(mail.KeyTo, to.String()))
	}
	attrs = append(attrs, slog.String(mail.KeyProto, s.proto()))
	if s.helo != "" {
		attrs = append(attrs, slog.String(mail.KeyHelo, s.helo))
	}
	s.log.LogAttrs(s.ctx, slog.LevelInfo, mail.EventReject, attrs...)
}

// proto is the protocol that the client speaks, or that XCLIENT says it does.
func (s *session) proto() string {
	switch {
	case s.protocol != "":
		return s.protocol
	case s.esmtp:
		return "ESMTP"
	}
	return "SMTP"
}

// logClient logs that a transaction has its queue ID, and where its message came from.
func (s *session) logClient() {
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs, slog.String(mail.KeyQueueID, s.tx.idText), slog.String(mail.KeyClient, s.peer.String()))
	attrs = s.loginAttrs(attrs)
	s.log.LogAttrs(s.ctx, slog.LevelInfo, mail.EventClient, s.original.attrs(attrs)...)
}

func (s *session) warn(text string) { s.log.Warn(text) }

// lookupFailed is the reply to an error of Recipients. What is no reply is for the
// operator.
func (s *session) lookupFailed(err error) *mail.Status {
	if _, ok := statusIn(err); !ok {
		s.warn(err.Error())
	}
	refused := *refusal(err)
	refused.Text = s.foreign(refused.Text)
	return &refused
}

// queueRefusal is the reply to an error of the queue.
func (s *session) queueRefusal(what string, err error) *mail.Status {
	if st, ok := statusIn(err); ok && st.Code >= 400 && st.Code <= 599 {
		return st
	}
	var attrs []any
	if s.tx.id != 0 {
		attrs = append(attrs, slog.String(mail.KeyQueueID, s.tx.idText))
	}
	s.log.Warn("message not accepted: "+what+": "+err.Error(), attrs...)
	return errQueue()
}

// expand asks where the recipient under way leads, once.
func (s *session) expand(ctx context.Context, to mail.Address) ([]mail.Recipient, *mail.Status) {
	x := &s.tx.cached
	if x.known {
		return x.rcpts, x.refused
	}
	x.known = true
	rcpts, err := s.o.Recipients.Expand(ctx, x.request)
	switch {
	case err != nil:
		refused := s.lookupFailed(err)
		if refused.Code != 501 { // "Bad recipient address syntax" is about the command
			refused = about(to, refused)
		}
		x.refused = refused
	case len(rcpts) == 0:
		s.warn("no destination for " + to.String())
		x.refused = about(to, errLookup())
	default:
		x.rcpts = rcpts
	}
	return x.rcpts, x.refused
}

// request is one RCPT TO for Recipients.
func request(to, from mail.Address, opts *smtp.RcptOptions) mail.RcptRequest {
	r := mail.RcptRequest{Addr: to, Sender: from}
	if opts == nil {
		return r
	}
	if opts.OriginalRecipientType != "" {
		r.ORcpt = string(opts.OriginalRecipientType) + ";" + opts.OriginalRecipient
	}
	for _, n := range opts.Notify {
		switch n {
		case smtp.DSNNotifyNever:
			r.Notify |= mail.NotifyNever
		case smtp.DSNNotifySuccess:
			r.Notify |= mail.NotifySuccess
		case smtp.DSNNotifyFailure:
			r.Notify |= mail.NotifyFailure
		case smtp.DSNNotifyDelayed:
			r.Notify |= mail.NotifyDelay
		}
	}
	return r
}

// undeliverable is a recipient that is accepted only to be returned.
func undeliverable(r mail.RcptRequest, final mail.Address, why *mail.Status) mail.Recipient {
	text := why.Text
	if _, rest, ok := strings.Cut(text, ">: "); ok {
		text = rest
	}
	text = strings.TrimPrefix(text, "Recipient address rejected: ")
	return mail.Recipient{
		Final: final, Orig: r.Addr, ORcpt: r.ORcpt, Notify: r.Notify,
		Dest: mail.MakeDest("error", why.Enhanced.String()+" "+text),
	}
}
