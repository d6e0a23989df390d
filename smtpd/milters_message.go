package smtpd

import (
	"bytes"
	"log/slog"
	"slices"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// Milters at the end of a message, and what their modifications do to it.

// filterMessage has milters look at a message that has come whole. prepend is what stands
// above it then; nil: they had no say. dropped: it is taken, and nobody gets it.
func (s *session) filterMessage() (prepend []byte, dropped bool, refused error) {
	submitted := s.peer.Local && s.o.Submitted != nil
	if !submitted && s.filter.session == nil {
		return nil, false, nil
	}
	c := &s.tx.content
	t := s.trace()
	received, above := t.received(nil), c.above
	if c.checks == nil {
		above = append(s.prepended(), received...)
	}
	own := len(received)
	if !bytes.HasSuffix(above, received) {
		own = 0 // checks have made another of it
	}
	m := &mail.MilterMessage{
		ID: s.tx.id, Prepend: above, Received: own, Draft: c.draft,
		Stage:     func() (mail.Draft, error) { return s.o.Queue.Stage(s.ctx) },
		SizeLimit: s.o.MessageSizeLimit, Macros: s.milterEndMacro, Log: s.o.cleanupLog,
	}
	var r mail.MilterReply
	var err error
	if submitted {
		r, err = s.o.Submitted.Submit(s.ctx, mail.MilterSubmission{Sender: s.tx.reverse.Path, Rcpts: s.filter.submitted}, m)
	} else if r, err = s.filter.session.Message(m); err == nil {
		s.logEnd(r, m.HoldReason)
	}
	c.draft = m.Draft
	switch {
	case err != nil:
		return nil, false, s.queueRefusal("cannot have milters look at it", err)
	case r.Action == mail.MilterDiscard:
		return nil, true, nil
	case r.Action == mail.MilterHold:
		s.tx.Hold = true
	case r.Action != mail.MilterContinue:
		return nil, false, &milterRefusal{r.Said()}
	}
	s.filter.eightBit = m.EightBitHeader
	if refused := s.change(m.Changes); refused != nil {
		return nil, false, refused
	}
	if len(s.tx.rcpts) == 0 {
		s.o.cleanupLog.Info("milter removed all recipients", slog.String(mail.KeyQueueID, s.tx.idText))
		return nil, true, nil
	}
	return m.Prepend, false, nil
}

// logEnd logs what milters have decided about a message, as cleanup(8) does.
func (s *session) logEnd(r mail.MilterReply, holdReason string) {
	if r.Action == mail.MilterContinue || r.Action == mail.MilterHold && s.tx.Hold {
		return
	}
	attrs := []slog.Attr{
		slog.String(mail.KeyQueueID, s.tx.idText), slog.String(mail.KeyKind, r.Kind()),
		slog.String(mail.KeyStage, "END-OF-MESSAGE"), slog.String(mail.KeyClient, s.peer.String()),
		slog.String(mail.KeyReason, r.AtEnd(holdReason)), slog.String(mail.KeyFrom, s.tx.reverse.Path.String()),
		slog.String(mail.KeyTo, s.o.Recipients.Complete(s.filter.last).String()), slog.String(mail.KeyProto, s.proto()),
	}
	if s.helo != "" {
		attrs = append(attrs, slog.String(mail.KeyHelo, s.helo))
	}
	s.o.cleanupLog.LogAttrs(s.ctx, slog.LevelInfo, mail.EventCleanup, attrs...)
}

// change makes the changes that milters want in the envelope.
func (s *session) change(changes []mail.EnvelopeChange) *mail.Status {
	ctx := s.lookup()
	for _, c := range changes {
		switch c.Kind {
		case mail.ChangeSender:
			rev, err := s.o.Recipients.Sender(ctx, c.Addr)
			if err != nil {
				return s.lookupFailed(err)
			}
			s.tx.reverse.Path = rev.Path
			s.add(rev.First)
			if c.Ret != "" {
				s.tx.opts.Return = smtp.DSNReturn(c.Ret)
			}
			if c.EnvID != "" {
				s.tx.opts.EnvelopeID = c.EnvID
			}
		case mail.AddRecipient:
			rcpts, refused := s.destination(ctx, mail.RcptRequest{
				Addr: s.o.Recipients.Complete(c.Addr), ORcpt: c.ORcpt, Notify: c.Notify, Sender: s.tx.from,
			})
			if refused != nil {
				return refused
			}
			s.add(rcpts)
			if len(s.tx.rcpts) > maxTargets {
				return status(452, mail.Code(4, 5, 3), "Error: too many recipients")
			}
		case mail.DeleteRecipient:
			s.tx.rcpts = slices.DeleteFunc(s.tx.rcpts, func(r mail.Recipient) bool {
				if r.Orig != c.Addr {
					return false
				}
				s.tx.seen.Forget(&r)
				return true
			})
		}
	}
	return nil
}
