package smtpd

import (
	"fmt"
	"io"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// unboundedDrain is how much of a refused message is read where there is no
// message_size_limit.
const unboundedDrain = 100 << 20

// leastDrain is how much is always read beyond the limit.
const leastDrain = 1 << 20

// data carries out DATA (RFC 5321 section 4.1.1.4).
func (c *conn) data(arg string) reply {
	switch {
	case c.bdat != bdatNone:
		return say(503, mail.Code(5, 5, 1), "Error: DATA after BDAT")
	case !c.mail:
		return say(503, mail.Code(5, 5, 1), "Error: need RCPT command")
	case c.rcpts == 0:
		return answer(errNoRecipients(), reply{})
	case arg != "":
		return say(501, mail.Code(5, 5, 4), "Syntax: DATA")
	}
	if s, ok := c.sess.(DataSession); ok {
		if err := s.BeforeData("DATA"); err != nil {
			return answer(err, reply{})
		}
	}
	if c.o.ForbidUnauthPipelining && !c.peer.Local && c.wc.Pending() {
		r := say(554, mail.Code(5, 5, 0), "Error: SMTP protocol synchronization")
		r.close = true
		return r
	}
	c.say(plain(354, "End data with <CR><LF>.<CR><LF>"))
	if err := c.wc.Flush(); err != nil {
		c.where = "DATA (0 bytes)"
		c.readFailed(err)
		return reply{silent: true}
	}
	c.allowForContent()
	c.dot.Reset(c.wc.Reader(), c.o.bareLF(c.bareLF), c.o.ReplaceStrayCR)
	return c.finish(c.sess.Data(&c.dot), &c.dot)
}

// allowForCommand sets how long a command may take (smtpd_per_request_deadline).
func (c *conn) allowForCommand() {
	c.wc.NoBudget()
	if c.o.PerRequestDeadline {
		c.wc.SetBudget(c.o.Timeout, 0)
	}
}

// allowForContent sets how long the content of a message may take: no end is in sight,
// but a rate can be asked for (smtpd_min_data_rate).
func (c *conn) allowForContent() {
	c.wc.NoBudget()
	if c.o.PerRequestDeadline && c.o.MinDataRate > 0 {
		c.wc.SetBudget(c.o.Timeout, c.o.MinDataRate)
	}
}

// finish is the reply to a message after DATA. err is the session's. What it has not read
// is read here: the rest of a refused message must not be taken for commands, and the
// client looks for the reply only behind it (RFC 5321 section 3.3).
func (c *conn) finish(err error, dot *wire.DotReader) reply {
	tooLong := false
	if drained := dot.Drain(c.mostContent()); drained == wire.ErrNotEnded {
		tooLong = true
	} else if drained != nil {
		c.where = fmt.Sprintf("DATA (%d bytes)", dot.Whole)
		c.readFailed(drained)
		return reply{silent: true}
	}
	return c.ended(err, tooLong)
}

// ended is the reply at the end of a message. The transaction is over.
func (c *conn) ended(err error, tooLong bool) reply {
	c.where = "END-OF-MESSAGE"
	r := answer(err, say(250, mail.Code(2, 0, 0), "Ok"))
	c.noteReply()
	c.reset()
	if r.code == 250 {
		c.errors, c.junk = 0, 0
	}
	if tooLong {
		r.close = true
	}
	return r
}

// mostContent is how much of a message is read at all: one and a half times
// message_size_limit, and if that is small, somewhat more.
func (c *conn) mostContent() int64 {
	if c.o.MessageSizeLimit == 0 {
		return unboundedDrain
	}
	return c.o.MessageSizeLimit + max(c.o.MessageSizeLimit/2, leastDrain)
}

// drainChunk reads what is left of a chunk. It tells whether the connection can go on.
func (c *conn) drainChunk(chunk *wire.ChunkReader) (tooLong bool, err error) {
	if chunk.Left() > c.mostContent() {
		return true, nil
	}
	_, err = io.Copy(io.Discard, chunk)
	return false, err
}
