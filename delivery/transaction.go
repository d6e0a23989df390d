package delivery

import (
	"context"
	"io"
	"time"

	"aliasmx/internal/mail"
)

// One message over one connection: RSET if one is due, MAIL, RCPT for each recipient,
// DATA and the content, or the content by BDAT (chunk.go); a probe ends before it
// (probe.go). With PIPELINING (RFC 2920) all commands up to DATA leave together, and then
// the replies are read; without it, one by one.

// pipelineMax is how many bytes of commands may be under way without a reply read. A
// server that cannot send its replies stops reading; more than this, and each side could
// wait for the other for ever.
const pipelineMax = 4096

// What a connection was doing when it was lost, and what a reply was to; Postfix's words.
const (
	doingReset     = "sending RSET probe"
	doingMail      = "sending MAIL FROM"
	doingRcpt      = "sending RCPT TO"
	doingData      = "sending DATA command"
	doingBody      = "sending message body"
	doingEndOfData = "sending end of data -- message may be sent more than once"

	toMail      = "MAIL FROM command"
	toRcpt      = "RCPT TO command"
	toData      = "DATA command"
	toEndOfData = "end of DATA command"
)

// transaction is the state of one. It lives in its session, which has one at a time.
type transaction struct {
	*session
	j         *job
	sender    mail.Address
	signature []byte
	body      io.ReadCloser
	// With Generic: what is asked for addresses, and those of recipients by position.
	rewrite addressRewriter
	to      []mail.Address

	rcpts    []int // positions, in the order of RCPT TO
	accepted []int // of them, those with a 2xx
	opened   bool  // MAIL was accepted
	refused  bool  // MAIL was refused
	dataCode int   // of the reply to DATA; 0: none

	way   contentWay
	size  int64 // of the chunk
	taken bool  // the reply to the end of the content was 2xx
}

// transfer sends the job's message to those that are left, in several transactions if the
// server wants no more recipients at a time.
func (s *session) transfer(ctx context.Context, j *job) {
	s.waited, s.stale, s.again = s.uses > 0, false, false
	j.setup, j.turnedAway = s.set.Now(), false
	for {
		sender, others := s.oneSender(ctx, j)
		rest := append(s.rest(j), others...)
		if len(j.left) > 0 {
			s.transact(ctx, j, sender)
		}
		if len(rest) == 0 {
			return
		}
		j.left = append(j.left, rest...)
		switch {
		case s.stale || s.again || s.plainNext:
			return
		case (s.dead || j.turnedAway) && !j.why.permanent():
			j.fail(j.why, s)
			return
		case s.dead || s.noReuse || s.conn.Err() != nil || !s.limits.mayMail(s.uses):
			s.again = true // somebody is decided: this comes to an end
			return
		}
		s.waited = false
	}
}

// transact is one transaction, with the reverse-path that the message leaves with.
func (s *session) transact(ctx context.Context, j *job, sender mail.Address) {
	s.uses++
	s.inContent = false
	if f := s.needs(j.a); f != nil {
		j.fail(f, s)
		j.complete = true
		return
	}
	t := &s.tx
	*t = transaction{session: s, j: j, sender: sender, rcpts: t.rcpts[:0], accepted: t.accepted[:0]}
	if !t.prepare(ctx) {
		return
	}
	if t.body != nil {
		defer t.body.Close()
	}
	if t.forwardClient() && t.envelope() && !j.a.Probe && (t.dataCode/100 == 3 || t.way == wayChunk && len(t.accepted) > 0) {
		t.content()
	}
	if !s.dead && !s.stale {
		j.complete = true
	}
}

// prepare gets ready what may fail without the server's doing.
func (t *transaction) prepare(ctx context.Context) bool {
	a, j := t.j.a, t.j
	var err error
	if sg := t.set.Signer; sg != nil && !a.Probe {
		if t.signature, err = sg.Sign(ctx, t.outgoing()); err != nil {
			t.failHere(ofError(err, "message signing failed"), err)
			return false
		}
	}
	if err = t.replaceAddresses(ctx); err != nil {
		t.failHere(ofError(err, "address mapping lookup failed"), err)
		return false
	}
	if !sendable(t.sender) {
		j.fail(local(mail.Code(5, 1, 7), "bad sender address syntax: control character in address"), t.session)
		return false
	}
	for i := 0; i < len(j.left); {
		pos := j.left[i]
		if !sendable(t.target(pos)) {
			j.failOne(pos, local(mail.Code(5, 1, 3), "bad recipient address syntax: control character in address"), t.session)
			continue
		}
		t.rcpts = append(t.rcpts, pos)
		i++
	}
	if len(t.rcpts) == 0 {
		return false
	}
	if a.Probe {
		t.way = wayNone
		return true
	}
	t.chooseWay()
	if t.body, err = a.Body.Open(); err != nil {
		t.failHere(local(mail.Code(4, 3, 0), "queue file read error"), err)
		return false
	}
	return true
}

// outgoing is the message as a Signer sees it.
func (t *transaction) outgoing() mail.Outgoing {
	a, j := t.j.a, t.j
	m := mail.Outgoing{Env: a.Env, Dest: a.Dest, Sender: t.sender, Prepend: a.Env.Prepend, Body: a.Body}
	for _, pos := range j.left {
		m.Rcpts = append(m.Rcpts, a.Rcpts[pos])
	}
	return m
}

// failHere fails the message for a reason of ours, with the details for the operator alone.
// Another host would not help.
func (t *transaction) failHere(f *failure, err error) {
	t.log.Warn(f.reason+": "+err.Error(), mail.KeyQueueID, t.j.a.Env.ID.String())
	final := t.final
	t.final = true
	t.j.fail(f, t.session)
	t.final = final
}

// The commands of an envelope, in order: index 0 is RSET, 1 MAIL, then the recipients,
// and last DATA, or BDAT with all of the content. A probe has neither, unless it goes as far
// as DATA, and content that waits for the replies to RCPT is no part of the envelope.
func (t *transaction) last() int {
	if t.way == wayNone && !t.set.ProbeData || t.way == wayChunk {
		return t.atData() - 1
	}
	return t.atData()
}

func (t *transaction) atData() int { return 2 + len(t.rcpts) }

func (t *transaction) command(i int) []byte {
	a, b := t.j.a, t.cmd[:0]
	switch {
	case i == 0:
		b = append(b, "RSET\r\n"...)
	case i == 1:
		b = t.appendMail(b, a.Env, t.sender, size(a)+int64(len(t.signature)))
	case i == t.atData():
		b = append(b, "DATA\r\n"...)
	default:
		pos := t.rcpts[i-2]
		b = t.appendRcpt(b, a.Env, &a.Env.Rcpts[a.Rcpts[pos]], t.target(pos))
	}
	t.cmd = b
	return b
}

// envelope exchanges the commands up to DATA. It is false when the connection is lost.
func (t *transaction) envelope() bool {
	next, got := 1, 1
	if t.needReset {
		next, got = 0, 0
		t.needReset = false
	}
	for got <= t.last() {
		if t.hopeless() {
			break
		}
		for next <= t.last() && (next == got || t.offers(extPipelining)) {
			cmd := t.command(next)
			if w := t.conn.Writer(); next > got && w.Buffered()+len(cmd) > pipelineMax {
				break
			}
			t.conn.Writer().Write(cmd)
			next++
		}
		t.conn.SetTimeout(t.set.Timeouts.Mail)
		if err := t.conn.Flush(); err != nil {
			t.lost(t.j, err, t.doing(got))
			return false
		}
		for ; got < next; got++ {
			if !t.answer(got) {
				return false
			}
		}
	}
	t.needReset = t.opened && t.dataCode/100 != 3 && !t.taken
	return true
}

// hopeless: nobody is left to send to, and no more commands need to follow.
func (t *transaction) hopeless() bool {
	return t.refused || t.opened && len(t.j.left) == 0
}

func (t *transaction) doing(i int) string {
	switch i {
	case 0:
		return doingReset
	case 1:
		return doingMail
	case t.atData():
		return doingData
	}
	return doingRcpt
}

// answer takes the reply to a command. It is false when the connection is lost.
func (t *transaction) answer(i int) bool {
	limits := &t.set.Timeouts
	switch i {
	case 0:
		return t.expect(limits.Rset, i) && t.resetDone()
	case 1:
		return t.expect(limits.Mail, i) && t.mailDone()
	case t.atData():
		return t.expect(limits.DataInit, i) && t.dataDone()
	}
	return t.expect(limits.Rcpt, i) && t.rcptDone(t.rcpts[i-2])
}

func (t *transaction) expect(limit time.Duration, i int) bool {
	if err := t.read(limit); err != nil {
		t.lost(t.j, err, t.doing(i))
		return false
	}
	return true
}

// A server that does not take RSET is of no more use; the message gets a new connection.
func (t *transaction) resetDone() bool {
	if t.reply.Class() == 2 {
		return true
	}
	t.stale, t.dead = true, true
	return false
}

func (t *transaction) mailDone() bool {
	if t.reply.Class() == 2 {
		t.opened = true
		return true
	}
	if t.reply.Code == 421 && t.waited { // it was about to close this connection
		t.stale, t.dead = true, true
		return false
	}
	t.refused = true
	t.j.fail(t.said(toMail), t.session)
	return true
}

func (t *transaction) rcptDone(pos int) bool {
	switch {
	case t.refused: // then nothing depends on it
	case t.reply.Class() == 2 && t.j.a.Probe && !t.set.ProbeData:
		t.probed(pos)
	case t.reply.Class() == 2:
		t.accepted = append(t.accepted, pos)
	default:
		f := t.said(toRcpt)
		if t.tooMany() {
			f.status.Code, f.status.Enhanced[0] = 452, 4
		}
		t.j.failOne(pos, f, t.session)
	}
	return true
}

// tooMany tells whether a 552 means that there are too many recipients at a time, as RFC 821
// had it: RFC 5321 section 4.5.3.1.10. It is for now then, and not for good, if somebody was
// accepted before; the next attempt has fewer recipients.
func (t *transaction) tooMany() bool {
	e := t.reply.Enhanced
	return t.reply.Code == 552 && len(t.accepted) > 0 && (e == mail.Enhanced{} || e == mail.Code(5, 5, 3))
}

func (t *transaction) dataDone() bool {
	t.dataCode = t.reply.Code
	if t.j.a.Probe && t.reply.Class() == 3 {
		t.probedByData()
		return true
	}
	if t.reply.Class() != 3 && len(t.accepted) > 0 {
		t.j.fail(t.said(toData), t.session)
	}
	return true
}

// said is the server's refusal of a command.
func (s *session) said(to string) *failure {
	s.checkCode()
	return remote(s.host.name, &s.reply, "host "+s.place+" said: "+s.reply.Text()+" (in reply to "+to+")")
}

// checkCode ends the use of a connection after replies that show that the two sides do
// not understand each other, or that the server is about to leave.
func (s *session) checkCode() {
	c := s.reply.Code
	if c < 400 || c > 599 || c == 421 || c == 555 || c/10 == 50 {
		s.noReuse = true
	}
}
