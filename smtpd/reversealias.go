package smtpd

import (
	"context"
	"io"
	"log/slog"

	"aliasmx/internal/mail"
)

// Reverse aliases: a message from the owner of an alias to one of them goes on in the name of
// the alias. Recipients has said at RCPT whether the sender is an owner; here, when the
// message has come whole, it must be clear that the sender is who he says he is.

// Replies knows reverse aliases, and makes the message that goes on. It is safe for
// concurrent use.
type Replies interface {
	// Parse reads an address; false: it is no reverse alias.
	Parse(a mail.Address) (mail.Reply, bool)

	// Rewrite writes to dst what the correspondent gets of a message. An error that
	// Unfit knows is one of the message.
	Rewrite(dst io.Writer, message io.Reader, l mail.ReplyLetter) error
	Unfit(err error) bool

	// Author is the author of that message, as mail.Authentic has it.
	Author(r mail.Reply) string
}

// mayReply refuses what cannot stand in one transaction with a reverse alias: its message is
// made anew, for one recipient.
func (s *session) mayReply(to mail.Address) *mail.Status {
	if s.o.Replies == nil {
		return nil
	}
	if s.tx.accepted > 0 {
		_, isReply := s.o.Replies.Parse(s.o.Recipients.Complete(to))
		if isReply || s.tx.reply != nil {
			return status(452, mail.Code(4, 5, 3), "Error: too many recipients")
		}
	}
	return nil
}

// tookReply remembers that the recipient that was accepted is a reverse alias.
func (s *session) tookReply(to mail.Address) {
	if s.o.Replies == nil {
		return
	}
	if r, ok := s.o.Replies.Parse(s.o.Recipients.Complete(to)); ok {
		s.tx.reply = &r
	}
}

// replyInstead makes of a message to a reverse alias the one that goes on: in place of the
// draft, and of what env says of whom it comes from.
func (s *session) replyInstead(env *mail.Envelope) error {
	if s.tx.reply == nil {
		return nil
	}
	if !s.tx.auth.trusted && !env.Auth.Vouched {
		return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), status(550, mail.Code(5, 7, 1), "Recipient address rejected: Sender is not authenticated"))
	}
	c := &s.tx.content
	draft, err := s.o.Queue.Stage(s.ctx)
	if err != nil {
		return s.queueRefusal("cannot begin to write it", err)
	}
	l := mail.ReplyLetter{Reply: *s.tx.reply, Owner: s.tx.reverse.Path, ID: s.tx.id, Now: s.o.Now()}
	if err := s.rewriteReply(draft, l); err != nil {
		draft.Abort()
		if s.o.Replies.Unfit(err) {
			return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), status(550, mail.Code(5, 7, 1), "Message rejected: "+err.Error()))
		}
		return s.queueRefusal("cannot write it", err)
	}
	c.draft.Abort()
	c.draft = draft
	t := s.trace()
	t.hidden, t.only = true, nil
	env.Prepend = t.received(nil)
	env.Sender, env.EnvID = l.Alias, ""
	env.Client = mail.Client{UID: -1}
	env.Auth = mail.Authentic{Author: s.o.Replies.Author(l.Reply), Vouched: true}
	s.o.cleanupLog.LogAttrs(context.Background(), slog.LevelInfo, "reverse alias: from=<"+l.Alias.String()+"> instead of <"+l.Owner.String()+">",
		slog.String(mail.KeyQueueID, s.tx.idText))
	return nil
}

func (s *session) rewriteReply(draft mail.Draft, l mail.ReplyLetter) error {
	body, err := s.tx.content.draft.Body()
	if err != nil {
		return err
	}
	r, err := body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return s.o.Replies.Rewrite(draft, r, l)
}
