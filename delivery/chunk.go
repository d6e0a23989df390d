package delivery

import (
	"bytes"
	"fmt"
	"strconv"

	"aliasmx/internal/mail"
)

// Content by BDAT, where the server offers CHUNKING (RFC 3030): as one chunk, since its
// size is known before. Nothing is stuffed, and nothing waits for a 354: the chunk follows the
// replies to RCPT, when somebody wants it.
//
// With PIPELINING it could leave together with MAIL and RCPT. It does not: a server that
// refuses BDAT has to read its octets all the same (RFC 3030 section 2), but one that does
// not takes them for commands, and whoever wrote the message speaks in our name. Refused
// recipients are common, and so were such servers.

// contentWay is how the content of a message is sent.
type contentWay uint8

const (
	wayData  contentWay = iota
	wayChunk            // BDAT after the replies to RCPT
	wayNone             // not at all
)

// chooseWay decides between DATA and BDAT. What has to be changed on its way has no size
// that could be told before, and goes by DATA.
func (t *transaction) chooseWay() {
	env := t.j.a.Env
	t.way = wayData
	switch {
	case !t.offers(extChunking) || t.j.byData:
		return
	case t.rewrite != nil || t.set.checksOf(t.proto) != nil || env.Flags&mail.FlagStrayEnds != 0 || t.breaksLines():
		return
	case t.c.noBdat.has(t.relay, t.set.Now()):
		return
	}
	t.way, t.size = wayChunk, size(t.j.a)+int64(len(t.signature))
}

// flaggedLine is the length of line up to which there is no FlagLongLines.
const flaggedLine = 998

// breaksLines tells whether the line length limit may break a line of the message.
func (t *transaction) breaksLines() bool {
	limit, env := t.set.LineLengthLimit, t.j.a.Env
	if limit <= 0 {
		return false
	}
	if limit < flaggedLine || env.Flags&mail.FlagLongLines != 0 {
		return true
	}
	for _, fields := range [...][]byte{t.signature, env.Prepend} {
		for line := range bytes.Lines(fields) {
			if len(line) > limit {
				return true
			}
		}
	}
	return false
}

// sendChunk writes BDAT and the content. It does not flush.
func (t *transaction) sendChunk() error {
	b := strconv.AppendInt(append(t.cmd[:0], "BDAT "...), t.size, 10)
	t.cmd = append(b, " LAST\r\n"...)
	t.conn.Writer().Write(t.cmd)
	t.chunk.Reset(t.conn.Blocks(), t.size)
	if err := t.sendTo(&t.chunk, t.j.a, t.signature, t.body, nil); err != nil {
		return err
	}
	if !mayEnd(t.j.a) {
		return errGivenUp
	}
	if err := t.writer.deadline(); err != nil {
		return err
	}
	return t.chunk.Close()
}

// knowsNoBdat finds out whether the reply to a chunk means that the server does not know
// BDAT, whatever it has said: then the message is sent again by DATA, as others will be.
func (t *transaction) knowsNoBdat() bool {
	if t.way == wayData {
		return false
	}
	switch t.reply.Code {
	case 500, 502, 503, 521:
	default:
		return false
	}
	t.c.noBdat.add(t.relay, t.set.Now())
	t.log.Info(fmt.Sprintf("host %s offers CHUNKING, but refuses BDAT: using DATA for %d minutes", t.place, int(distrustTime.Minutes())),
		mail.KeyQueueID, t.j.a.Env.ID.String())
	t.byDataAgain(t.said(toEndOfData))
	return true
}

// byDataAgain has the message sent to this host once more, over a new connection.
func (t *transaction) byDataAgain(f *failure) {
	f.elsewhere = true
	t.j.byData, t.again, t.noReuse, t.final = true, true, true, false
	t.j.fail(f, t.session)
}
