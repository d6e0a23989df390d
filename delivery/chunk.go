package delivery

import (
	"bytes"
	"fmt"
	"strconv"

	"aliasmx/internal/mail"
)

// Content by BDAT, where the server offers CHUNKING (RFC 3030): as one chunk, since its
// size is known before. Nothing is stuffed, and nothing waits for a 354. With PIPELINING a
// small message leaves in one write with MAIL and RCPT, which makes the transaction one
// round trip; a larger one waits for the replies to RCPT, and for somebody to want it.
//
// A server that refuses BDAT reads its octets all the same (RFC 3030 section 2). One that
// does not takes content for commands, and its replies to them for ours: after a chunk
// that nobody was to get, the connection is not used for another message.

// contentWay is how the content of a message is sent.
type contentWay uint8

const (
	wayData  contentWay = iota
	wayChunk            // BDAT after the replies to RCPT
	wayPiped            // BDAT together with MAIL and RCPT, if there is room
	wayNone             // not at all
)

// pipeChunkMax is the size of a message up to which it may leave together with commands.
// It has to fit with them into the connection's buffer: one write, which the server's
// window holds even while the server is busy writing replies (pipelineMax).
const pipeChunkMax = 16 << 10

// chooseWay decides between DATA and BDAT. What has to be changed on its way has no size
// that could be told before, and goes by DATA.
func (t *transaction) chooseWay() {
	env := t.j.a.Env
	t.way = wayData
	switch {
	case !t.offers(extChunking) || t.set.NoChunking || t.j.byData:
		return
	case t.rewrite != nil || t.set.checksOf(t.proto) != nil || env.Flags&mail.FlagStrayEnds != 0 || t.breaksLines():
		return
	case t.c.noBdat.has(t.relay, t.set.Now()):
		return
	}
	t.way, t.size = wayChunk, size(t.j.a)+int64(len(t.signature))
	// The reply to a chunk that no recipient was accepted for is one in LMTP, too, or none:
	// RFC 2033 section 4.2 does not say.
	if t.size <= pipeChunkMax && t.proto == protoSMTP && t.offers(extPipelining) {
		t.way = wayPiped
	}
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

// hasRoom tells whether all of the chunk fits behind the commands that wait to be sent.
func (t *transaction) hasRoom() bool {
	return int64(t.conn.Writer().Available()) >= t.size+int64(len("BDAT  LAST\r\n"))+20
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
	if err := t.writer.deadline(); err != nil {
		return err
	}
	return t.chunk.Close()
}

// pipedDone takes the reply to a chunk that left before anybody was accepted. It is false
// when the connection is lost.
func (t *transaction) pipedDone() bool {
	if len(t.accepted) > 0 {
		t.contentDone()
		return !t.dead
	}
	if !t.expect(t.set.Timeouts.DataDone, t.atData()) {
		return false
	}
	t.noReuse = true
	return true
}

// toContent is the command that a reply to content is a reply to.
func (t *transaction) toContent() string {
	if t.way == wayData {
		return toEndOfData
	}
	return toBdat
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
	t.byDataAgain(t.said(toBdat))
	return true
}

// byDataAgain has the message sent to this host once more, over a new connection.
func (t *transaction) byDataAgain(f *failure) {
	f.elsewhere = true
	t.j.byData, t.again, t.noReuse, t.final = true, true, true, false
	t.j.fail(f, t.session)
}
