package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// connect greets the client, or turns it away. It tells whether to go on.
func (c *conn) connect() bool {
	c.where = "CONNECT"
	exempt := c.peer.Local || c.isExempt()
	if !exempt && c.tooMany() {
		c.say(say(421, mail.Code(4, 7, 0), c.o.MyHostname+" Error: too many connections from "+c.peer.Addr.String()))
		c.flush()
		return false
	}
	s := c.srv.newSession(c.o, c.peer)
	s.exempt = exempt
	c.sess = s
	if err := s.Connect(); err != nil {
		// RFC 5321 section 3.1: after 554 in place of the greeting it may QUIT.
		c.denied = true
		c.say(answer(err, reply{}))
		return true
	}
	c.say(plain(220, c.o.Banner))
	return true
}

// isExempt tells whether the client may connect as often as it likes. If the list cannot
// answer, it may not.
func (c *conn) isExempt() bool {
	if c.o.ClientLimitExceptions == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	ok, err := c.o.ClientLimitExceptions.Match(ctx, c.peer.Name, c.peer.Addr)
	if err != nil {
		c.log.Warn("smtpd_client_event_limit_exceptions: " + err.Error())
	}
	return ok && err == nil
}

// tooMany counts the connection.
func (c *conn) tooMany() bool {
	open, begun := c.srv.clients.connect(c.o, c.peer.Addr)
	c.counted = c.o
	switch {
	case over(open, c.o.ClientConnectionLimit):
		c.log.Warn("Connection concurrency limit exceeded: " + itoa(open) + " from " + c.peer.String() + " for service " + c.o.Service)
		return true
	case over(begun, c.o.ClientConnectionRate):
		c.log.Warn("Connection rate limit exceeded: " + itoa(begun) + " from " + c.peer.String() + " for service " + c.o.Service)
		return true
	}
	return false
}
