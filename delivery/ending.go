package delivery

import (
	"errors"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// The end of a transaction: the content, what can go wrong with it, and the replies that
// say who has got it. Only here is anybody taken for delivered.

// content sends the message, or only the dot where the server wants content although it
// has accepted nobody (RFC 2920 section 3.1).
func (t *transaction) content() {
	if len(t.accepted) == 0 {
		t.conn.WriteString(".\r\n")
		if t.proto == protoLMTP { // one reply for each recipient is none
			t.noReuse = true
			return
		}
		if t.ask(t.set.Timeouts.DataDone) != nil {
			t.dead = true
		}
		return
	}
	if t.conn.Buffered() > 0 {
		t.outOfTurn()
		return
	}
	t.inContent = true
	err := error(nil)
	if t.way == wayChunk {
		if err = t.sendChunk(); err == nil {
			err = t.conn.Flush()
		}
	} else {
		err = t.sendContent(t.j.a, t.signature, t.body, t.rewrite)
	}
	if err != nil {
		t.contentFailed(err)
		return
	}
	t.changed(t.j.a.Env.ID)
	t.contentDone()
	t.needReset = false
	if t.way == wayChunk && !t.taken {
		t.noReuse = true // did it read the chunk that it has refused? (chunk.go)
	}
}

// contentFailed is content that did not get away whole.
func (t *transaction) contentFailed(err error) {
	switch {
	case err == errGivenUp:
		t.dead, t.final = true, true
		t.j.fail(local(mail.Code(4, 3, 2), err.Error()), t.session)
	case errors.Is(err, wire.ErrChunk):
		t.dead = true
		t.byDataAgain(local(mail.Code(4, 3, 0), err.Error()))
	case errors.Is(err, errContent):
		// There is no other way to take back what was sent than to leave.
		t.dead = true
		t.failHere(local(mail.Code(4, 3, 0), "local data error while talking to "+t.place), err)
	case t.refusedEarly(err):
		t.dead = true
		if !t.knowsNoBdat() {
			t.j.fail(t.said(toEndOfData), t.session)
		}
	default:
		t.lost(t.j, err, doingBody)
	}
}

// outOfTurn is a server that answers what it has not been sent: whose replies the next
// ones are nobody knows. Content is not sent to it.
func (t *transaction) outOfTurn() {
	t.dead = true
	if err := t.read(t.set.Timeouts.Rset); err == nil && (t.reply.Class() == 4 || t.reply.Class() == 5) {
		t.j.fail(t.said(toEndOfData), t.session)
		return
	}
	t.j.fail(siteFailure(mail.Code(4, 5, 0), "Protocol error: host "+t.place+" replied before it was asked"), t.session)
}

func (t *transaction) warnDuplicate() {
	t.log.Warn("the reply to the end of data was lost: the message may be delivered more than once",
		mail.KeyQueueID, t.j.a.Env.ID.String(), mail.KeyRelay, t.relay)
}

// contentDone takes the replies to the dot: one, or in LMTP one for each recipient that
// was accepted (RFC 2033 section 4.2).
func (t *transaction) contentDone() {
	text := ""
	for i, pos := range t.accepted {
		if i == 0 || t.proto == protoLMTP {
			if err := t.read(t.set.Timeouts.DataDone); err != nil {
				t.warnDuplicate()
				t.lost(t.j, err, doingEndOfData)
				return
			}
			text = t.reply.Text()
		}
		switch {
		case i == 0 && t.knowsNoBdat():
			return
		case t.reply.Class() == 2:
			t.taken = true
			t.j.delivered(pos, &t.reply, text, t.session)
		case t.proto == protoLMTP:
			t.j.failOne(pos, t.said(toEndOfData), t.session)
		default:
			t.j.fail(t.said(toEndOfData), t.session)
			return
		}
	}
}
