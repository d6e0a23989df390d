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
	return false
}

// isHeaderName tells what begins a header field: a message that is sent to us in place of
// commands, by somebody who has web browsers or mail forms speak SMTP.
func isHeaderName(word string) bool { return strings.IndexByte(word, ':') > 0 }

// pipelined looks whether the client has sent on without waiting where it had to: after
// some commands, and after all of them before it has said EHLO. It tells whether that is
// the end (smtpd_forbid_unauth_pipelining). DATA decides for itself: commands that follow
// one which is refused are a nuisance, but the body before 354 is an attack.
func (c *conn) pipelined(v verb) bool {
	if c.peer.Local || v == verbQuit || c.esmtp && !v.last() || !c.wc.Pending() {
		return false
	}
	if !c.improper {
		c.improper = true
		ahead, _ := c.wc.Reader().Peek(min(c.wc.Buffered(), maxEchoed))
		c.log.Info("improper command pipelining after " + v.String() + " from " + c.peer.String() + ": " + escape(ahead))
		if s, ok := c.sess.(PipeliningSession); ok {
			s.ImproperPipelining()
		}
	}
	return c.o.ForbidUnauthPipelining && (v != verbData || !c.esmtp)
}
