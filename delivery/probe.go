package delivery

import "aliasmx/internal/mail"

// A probe asks whether recipients would be taken, and sends nothing (mail.Attempt.Probe;
// ADDRESS_VERIFICATION_README). Its transaction is that of a message up to the last RCPT,
// in LMTP too. What follows is RSET, when the connection has more to do, or QUIT: never
// DATA, so that no server can take what it was asked for a message. For servers that refuse
// nobody at RCPT there is smtp_address_verify_target = data: the answer to DATA is the one
// that counts, and after a 354 there is nothing that could be said but content. So the
// connection is closed, without QUIT.
//
// The sender of a probe is not rewritten: it is the address that lets a server's question
// in return come through. There is nothing to sign.

// probed takes a 2xx to RCPT for the answer that it is to a probe.
func (t *transaction) probed(pos int) {
	t.j.delivered(pos, &t.reply, t.reply.Text(), t.session)
}

// probedByData is a 354. Whoever was refused at RCPT is decided.
func (t *transaction) probedByData() {
	for _, pos := range t.accepted {
		t.j.delivered(pos, &t.reply, t.reply.Text(), t.session)
		t.j.results[len(t.j.results)-1].Status.Enhanced = mail.Code(2, 0, 0)
	}
	t.dead, t.j.complete = true, true
}
