package smtpd

import (
	"io"
	"log/slog"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
)

// What the content of a message decides: header_checks(5) and its relatives, as cleanup(8)
// carries them out.

// check puts the checks before w, where the content goes; without any it is w itself. The
// fields that stand above the message are part of what is looked at.
func (s *session) check(w io.Writer) (io.Writer, error) {
	c := &s.tx.content
	if s.o.Checks == nil || s.tx.Discard {
		return w, nil
	}
	c.checks = s.o.Checks.Filter(w, checks.Message{
		Context:    s.lookup,
		Log:        s.o.cleanupLog.With(slog.String(mail.KeyQueueID, s.tx.idText)),
		Origin:     s.origin(),
		Returnable: s.peer.Local,
		Reserve: func(size int64) bool {
			ok := s.srv.room.more(s.o, size)
			if ok {
				c.reserved += size
			}
			return ok
		},
		Held: s.tx.Hold,
	})
	var err error
	c.above, err = c.checks.Above(s.above())
	return c.checks, err
}

// origin is how cleanup names where a message came from. A client that hands on the
// message of another has said so (XFORWARD).
func (s *session) origin() []slog.Attr {
	client, proto, helo := s.peer.String(), s.proto(), s.helo
	if s.peer.Local {
		client, proto, helo = "", "", "" // "from local", and no more
	}
	if o := &s.original; o.client {
		client, proto, helo = o.String(), o.protocol, o.helo
	}
	attrs := make([]slog.Attr, 0, 5)
	for _, a := range [][2]string{
		{mail.KeyClient, client}, {mail.KeyFrom, s.tx.reverse.Path.String()},
		{mail.KeyTo, s.o.Recipients.Complete(s.tx.last).String()}, {mail.KeyProto, proto}, {mail.KeyHelo, helo},
	} {
		attrs = append(attrs, slog.String(a[0], a[1]))
	}
	return attrs
}

// close ends the content. What was refused on the way has no end: it matters no more.
func (c *content) close() error {
	if c.checks == nil {
		return c.header.Close()
	}
	if err := c.checks.Close(); err != nil {
		return err
	}
	if c.refused() != nil {
		c.header.Cut()
		return nil
	}
	return c.header.Close()
}

// refused is what the checks refuse the message with, nil if they do not.
func (c *content) refused() *mail.Status {
	if c.checks == nil {
		return nil
	}
	return c.checks.Refused()
}

// hops is the number of Received fields, ours included.
func (c *content) hops() int {
	if c.checks == nil {
		return c.header.Hops() + 1
	}
	return c.checks.Hops()
}

// returned makes a message that was refused for good go back to the local user who has
// submitted it: he was told that it was taken (cleanup(8)). What it holds stays here, but
// for its header.
func (s *session) returned(why *mail.Status) {
	s.tx.opts.Return = "HDRS"
	for i := range s.tx.rcpts {
		s.tx.rcpts[i].Dest = why.ErrorDest()
	}
}
