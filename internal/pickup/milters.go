package pickup

import (
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Milters and local mail (non_smtpd_milters). A refusal is told the user who submits: in
// Postfix he has left by then, and gets a report.

// filter has milters look at a message, and makes their changes in its envelope. over: it
// goes no further.
func (s *session) filter(env *mail.Envelope, given []mail.Address) (reply Reply, over bool) {
	log := s.Log.With(slog.String(mail.KeyDaemon, "cleanup"))
	m := &mail.MilterMessage{
		ID: s.id, Prepend: env.Prepend, Received: len(env.Prepend), Draft: s.draft,
		Stage:     func() (mail.Draft, error) { return s.Queue.Stage(s.ctx) },
		SizeLimit: s.MessageSizeLimit, Log: log,
	}
	from := mail.MilterSubmission{Sender: s.reverse.Path}
	for _, a := range given {
		from.Rcpts = append(from.Rcpts, s.Recipients.Complete(a))
	}
	r, err := s.Milters.Submit(s.ctx, from, m)
	s.draft = m.Draft
	if err != nil {
		return s.refuse("", err), true
	}
	switch r.Action {
	case mail.MilterDiscard:
		return s.dropped(), true
	case mail.MilterRefuse, mail.MilterShutdown:
		said := r.Said()
		reply = Reply{Status: ExitTempFail, Text: strings.ReplaceAll(said[min(len(said), 4):], "\r\n", " ")}
		if said[0] == '5' {
			reply.Status = ExitUnavailable
		}
		return reply, true
	case mail.MilterHold:
		env.Flags |= mail.FlagHold
	}
	env.Prepend = m.Prepend
	if m.EightBitHeader {
		env.Flags |= mail.FlagEightBit
		if s.SMTPUTF8Autodetect {
			env.Flags |= mail.FlagSMTPUTF8
		}
	}
	for _, c := range m.Changes {
		if refused := s.change(env, c); refused != nil {
			return *refused, true
		}
	}
	if len(env.Rcpts) == 0 {
		log.Info("milter removed all recipients", slog.String(mail.KeyQueueID, s.id.String()))
		return s.dropped(), true
	}
	return Reply{}, false
}

// dropped is the answer to a message that is taken, and that nobody gets.
func (s *session) dropped() Reply { return Reply{Status: ExitOK, ID: s.id} }

// change makes one change that a milter wants in the envelope.
func (s *session) change(env *mail.Envelope, c mail.EnvelopeChange) *Reply {
	switch c.Kind {
	case mail.ChangeSender:
		rev, err := s.Recipients.Sender(s.ctx, c.Addr)
		if err != nil {
			reply := s.refuse("", err)
			return &reply
		}
		env.Sender = rev.Path
		s.add(env, rev.First)
		if c.Ret != "" {
			env.Ret = c.Ret
		}
		if c.EnvID != "" {
			env.EnvID = c.EnvID
		}
	case mail.AddRecipient:
		a := s.Recipients.Complete(c.Addr)
		rcpts, err := s.Recipients.Expand(s.ctx, mail.RcptRequest{Addr: a, ORcpt: c.ORcpt, Notify: c.Notify, Sender: env.Sender})
		if err != nil {
			status := mail.StatusOf(err)
			if status.Temporary() {
				reply := s.refuse(a.String(), err)
				return &reply
			}
			rcpts = []mail.Recipient{{Final: a, Orig: a, ORcpt: c.ORcpt, Notify: c.Notify, Dest: errorDest(status)}}
		}
		s.add(env, rcpts)
		if len(env.Rcpts) > s.ExpandedLimit {
			return &Reply{Status: ExitUnavailable, Text: "too many recipients"}
		}
	case mail.DeleteRecipient:
		env.Rcpts = slices.DeleteFunc(env.Rcpts, func(r mail.Recipient) bool {
			return r.Orig == c.Addr || s.Recipients.Complete(r.Orig) == c.Addr
		})
	}
	return nil
}

// add takes recipients that are not there yet.
func (s *session) add(env *mail.Envelope, more []mail.Recipient) {
	seen := mail.NewDuplicates(0, s.EnableOriginalRecipient)
	for i := range env.Rcpts {
		seen.Seen(&env.Rcpts[i])
	}
	for i := range more {
		if !seen.Seen(&more[i]) {
			env.Rcpts = append(env.Rcpts, more[i])
		}
	}
}
