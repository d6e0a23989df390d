package smtpd

import (
	"strings"
)

// Clients that are none, or do not wait for their turn.

// isForbidden tells what no mail client would say (smtpd_forbidden_commands).
func (c *conn) isForbidden(word string) bool {
	if first := word[0] &^ 0x20; first < 'A' || first > 'Z' || isHeaderName(word) {
		return true
	}
	for _, f := range c.o.ForbiddenCommands {
		if strings.EqualFold(f, word) {
			return true
		}
	}
	return c.listed(c.o.Forbidden, "smtpd_forbidden_commands", word)
}

// isHeaderName tells what begins a header field: a message that is sent to us in place of
// commands, by somebody who has web browsers or mail forms speak SMTP.
func isHeaderName(word string) bool { return strings.IndexByte(word, ':') > 0 }

// early looks whether the client has spoken before it was greeted, and tells whether that
// is the end. With TLS from the first byte it has to.
func (c *conn) early() bool {
	if c.peer.Local || c.o.TLS != nil && c.o.TLS.Wrapper || !c.wc.Pending() {
		return false
	}
	c.notePipelining(c.where)
	return c.o.ForbidUnauthPipelining
}

// notePipelining logs what the client has sent ahead.
func (c *conn) notePipelining(after string) {
	c.improper = true
	c.wc.Await() // does not: something is here
	ahead, _ := c.wc.Reader().Peek(min(c.wc.Buffered(), maxEchoed))
	c.log.Info("improper command pipelining after " + after + " from " + c.peer.String() + ": " + escape(withoutLogin(ahead)))
}

// withoutLogin is what a client has sent, up to what it logs in with.
func withoutLogin(ahead []byte) []byte {
	const verb = "AUTH "
	if i := strings.Index(strings.ToUpper(string(ahead)), verb); i >= 0 {
		return ahead[:i+len(verb)]
	}
	return ahead
}

// pipelined looks whether the client has sent on without waiting where it had to: after
// some commands, and after all of them before it has said EHLO. It tells whether that is
// the end (smtpd_forbid_unauth_pipelining). DATA decides for itself: commands that follow
// one which is refused are a nuisance, but the body before 354 is an attack.
func (c *conn) pipelined(v verb) bool {
	if c.peer.Local || v == verbQuit || c.esmtp && !v.last() || !c.wc.Pending() {
		return false
	}
	if !c.improper {
		c.notePipelining(v.String())
		if s, ok := c.sess.(PipeliningSession); ok {
			s.ImproperPipelining()
		}
	}
	return c.o.ForbidUnauthPipelining && (v != verbData || !c.esmtp)
}
