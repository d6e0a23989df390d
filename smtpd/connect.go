package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// connect greets the client, or turns it away. It tells whether to go on.
func (c *conn) connect() bool {
	c.where = "CONNECT"
	if c.nobody {
		c.say(say(421, mail.Code(4, 3, 0), c.o.MyHostname+" Server local error"))
		c.flush()
		return false
	}
	if !c.peer.tested && c.early() { // whom the door has let in may have talked there
		c.say(say(554, mail.Code(5, 5, 0), "Error: SMTP protocol synchronization"))
		c.flush()
		return false
	}
	// XCLIENT does not change this: the filter before us stays who it is.
	c.mayXforward = c.isAuthorized("smtpd_authorized_xforward_hosts", c.o.AuthorizedXforward)
	exempt, refused := c.admit()
	// On a port of TLS whatever there is to say is said behind the handshake.
	if c.o.TLS != nil && c.o.TLS.Wrapper && !c.peer.Local && (c.refusesTLS("TLS service request") || !c.secure()) {
		return false
	}
	if refused != nil {
		c.say(*refused)
		c.flush()
		return false
	}
	s := c.srv.newSession(c.o, c.peer)
	s.exempt = exempt
	r := c.greet(s)
	c.say(r)
	if r.close {
		c.flush()
		return false
	}
	if !r.ok() && !c.denied {
		c.errors++
	}
	return true
}

// admit counts the client, unless it may connect as often as it likes.
func (c *conn) admit() (exempt bool, refused *reply) {
	c.mayXclient = c.isAuthorized("smtpd_authorized_xclient_hosts", c.o.AuthorizedXclient)
	exempt = c.peer.Local || c.mayXclient || c.isExempt()
	if !exempt && c.tooMany() {
		r := say(421, mail.Code(4, 7, 0), c.o.MyHostname+" Error: too many connections from "+addrOr(c.peer.Addr))
		r.close = true
		return false, &r
	}
	return exempt, nil
}

// greet begins a session: with the client as it connected, or as XCLIENT describes it.
func (c *conn) greet(s *session) reply {
	s.tls, s.gone = c.tls, c.wc.Left
	c.sess = s
	c.denied = false
	c.bareLF = c.isAuthorized("smtpd_forbid_bare_newline_exclusions", c.o.BareNewlineExclusions)
	s.bareLF, s.improper = c.bareLF, c.improper
	c.chooseKeywords()
	if err := s.Connect(); err != nil {
		// RFC 5321 section 3.1: after 554 in place of the greeting it may QUIT.
		c.denied = true
		r := answer(err, reply{})
		r.close = false
		return r
	}
	if r := c.greetMilters(s); r != nil {
		return *r
	}
	return plain(220, c.o.Banner)
}

// isAuthorized tells whether the client is in a list. If the list cannot answer, it is not.
func (c *conn) isAuthorized(parameter string, list Networks) bool {
	if list == nil || c.peer.Local {
		return false
	}
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	ok, err := list.Match(ctx, c.peer.Name, c.peer.Addr)
	if err != nil {
		c.log.Warn(parameter + ": " + err.Error())
	}
	return ok && err == nil
}

// isExempt tells whether the client may connect as often as it likes. If the list cannot
// answer, it may not.
func (c *conn) isExempt() bool {
	return c.isAuthorized("smtpd_client_event_limit_exceptions", c.o.ClientLimitExceptions)
}

// countedOut has a command counted, and is the refusal if that was too much.
func (c *conn) countedOut(verb string) *reply {
	s, ok := c.sess.(RateSession)
	if !ok {
		return nil
	}
	err := s.Count(verb)
	if err == nil {
		return nil
	}
	r := answer(err, reply{})
	return &r
}

// tooMany counts the connection.
func (c *conn) tooMany() bool {
	open, begun := c.srv.clients.connect(c.o, c.peer.Addr)
	c.open = open
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
