package delivery

// A probe asks whether recipients would be taken, and sends nothing (mail.Attempt.Probe;
// ADDRESS_VERIFICATION_README). Its transaction is that of a message up to the last RCPT,
// in LMTP too. What follows is RSET, when the connection has more to do, or QUIT: never
// DATA, so that no server can take what it was asked for a message.
//
// The sender of a probe is not rewritten: it is the address that lets a server's question
// in return come through. There is nothing to sign.

// probed takes a 2xx to RCPT for the answer that it is to a probe.
func (t *transaction) probed(pos int) {
	t.j.delivered(pos, &t.reply, t.reply.Text(), t.session)
}
