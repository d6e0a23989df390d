package smtpd

import (
	"fmt"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// bdatState is where a message in chunks stands.
type bdatState uint8

const (
	bdatNone   bdatState = iota
	bdatOpen             // at least one chunk was taken
	bdatFailed           // one was refused: the others are thrown away, up to LAST or RSET
)

// chunk carries out BDAT (RFC 3030 section 2). Whatever becomes of it, exactly its octets
// are read: the next command begins behind them.
func (c *conn) chunk(arg string) reply {
	if c.discards("CHUNKING") {
		// What follows is no command.
		r := say(521, mail.Code(5, 5, 1), "Error: command not implemented")
		r.close = true
		return r
	}
	size, last, ok := parseBdat(arg)
	if !ok {
		return c.badBdat(arg)
	}
	if int64(c.wc.Buffered()) < size {
		// RFC 2920 section 3.2: the client may wait for what it was told before.
		c.wc.Flush()
	}
	chunk := wire.NewChunkReader(c.wc.Reader(), size)
	c.allowForContent()
	s, ok := c.sess.(ChunkSession)
	switch {
	case !ok:
		return c.skip(chunk, size, last, say(502, mail.Code(5, 5, 1), "Error: command not implemented"))
	case size == 0 && !last:
		c.log.Warn(c.message() + ": null BDAT request from " + c.peer.String())
		return c.skip(chunk, size, last, say(551, mail.Code(5, 7, 1), "Null BDAT request"))
	case c.bdat == bdatFailed:
		return c.skip(chunk, size, last, say(551, mail.Code(5, 0, 0), fmt.Sprintf("Discarded %d bytes after earlier error", size)))
	case !c.mail:
		return c.skip(chunk, size, last, say(503, mail.Code(5, 5, 1), "Error: need RCPT command"))
	case c.rcpts == 0:
		return c.skip(chunk, size, last, answer(errNoRecipients(), reply{}))
	}
	c.bdat = bdatOpen
	err := s.Chunk(chunk, size, last)
	r := answer(err, say(250, mail.Code(2, 0, 0), fmt.Sprintf("Ok: %d bytes", size)))
	if r.code != 250 {
		return c.skip(chunk, size, last, r)
	}
	if last {
		return c.ended(err, false)
	}
	c.chunked += size
	c.where = fmt.Sprintf("BDAT (%d bytes)", c.chunked)
	return r
}

// message is how the log names the message under way.
func (c *conn) message() string {
	if s, ok := c.sess.(*session); ok && s.tx.id != 0 {
		return s.tx.idText
	}
	return "NOQUEUE"
}

// skip reads what is left of a chunk that was refused with r.
func (c *conn) skip(chunk *wire.ChunkReader, size int64, last bool, r reply) reply {
	tooLong, err := c.drainChunk(chunk)
	if err != nil {
		c.where = fmt.Sprintf("BDAT (%d bytes)", c.chunked+size-chunk.Left())
		c.readFailed(err)
		return reply{silent: true}
	}
	if tooLong {
		r.close = true
	}
	if last {
		c.reset()
	} else {
		c.bdat = bdatFailed
	}
	return r
}

// refuseChunk is for a BDAT that is refused, with r, for reasons that have nothing to do
// with it. What follows is still no command.
func (c *conn) refuseChunk(arg string, r reply) reply {
	size, last, ok := parseBdat(arg)
	if !ok {
		return c.badBdat(arg)
	}
	c.allowForContent()
	return c.skip(wire.NewChunkReader(c.wc.Reader(), size), size, last, r)
}

// badBdat is the reply to a BDAT that says no length: nobody knows where the next command
// begins.
func (c *conn) badBdat(arg string) reply {
	c.log.Warn(c.message() + ": malformed BDAT command syntax from " + c.peer.String() + ": " + echo(strings.TrimRight("BDAT "+arg, " "), maxEchoed))
	r := say(521, mail.Code(5, 5, 4), "Syntax: BDAT count [LAST]")
	r.close = true
	return r
}

// parseBdat reads the argument of BDAT: decimal digits, and perhaps LAST. Whoever reads it
// more generously than the next server has commands where that one has content.
func parseBdat(arg string) (size int64, last, ok bool) {
	words := strings.FieldsFunc(arg, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) == 0 || len(words) > 2 {
		return 0, false, false
	}
	if len(words) == 2 {
		if last = strings.EqualFold(words[1], "LAST"); !last {
			return 0, false, false
		}
	}
	n, err := strconv.ParseUint(words[0], 10, 63) // takes no sign
	return int64(n), last, err == nil
}
