package smtpd

import (
	"net/netip"

	"aliasmx/internal/mail"
)

// XCLIENT: a trusted client makes us believe that it is another one, for tests and for
// proxies (XCLIENT_README). The session then begins anew, with the greeting.

// xclientKeyword is the offer; LOGIN is in it where clients can log in.
func (c *conn) xclientKeyword() string {
	login := ""
	if c.o.Logins != nil {
		login = " LOGIN"
	}
	return "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT" + login + " DESTADDR DESTPORT"
}

// disguise is a client as XCLIENT describes it.
type disguise struct {
	peer     Peer
	helo     string
	protocol string
	login    identity
}

// xclient carries out XCLIENT.
func (c *conn) xclient(arg string) reply {
	if c.mail {
		return say(503, mail.Code(5, 5, 1), "Error: MAIL transaction in progress")
	}
	if arg == "" {
		return *badParam("Syntax: XCLIENT attribute=value...")
	}
	if !c.mayXclient {
		return say(550, mail.Code(5, 7, 0), "Error: insufficient authorization")
	}
	d := disguise{peer: c.peer, protocol: "SMTP"}
	if refused := d.read(arg); refused != nil {
		return *refused
	}
	c.reset()
	if s := c.milters(); s != nil && d.helo != "" {
		s.helo = "" // the greeting goes on: milters hear of no end of it
	}
	c.sess.Logout()
	if c.counted != nil {
		c.srv.clients.disconnect(c.counted, c.peer.Addr)
		c.counted = nil
	}
	c.peer = d.peer.settled()
	exempt, refused := c.admit()
	s := c.srv.newSession(c.o, c.peer)
	s.exempt, s.helo, s.protocol, s.login = exempt, d.helo, d.protocol, d.login
	c.authenticated = d.login.username != ""
	c.greeted, c.esmtp = d.helo != "", false
	r := c.greet(s)
	if refused != nil {
		return *refused
	}
	return r
}

// read takes over what the attributes say.
func (d *disguise) read(arg string) *reply {
	list, refused := parseAttributes("XCLIENT", arg)
	if refused != nil {
		return refused
	}
	for _, a := range list {
		ok := true
		switch a.name {
		case "NAME":
			d.peer.Name, d.peer.NameStatus, ok = a.clientName()
			if ok && d.peer.NameStatus == NameVerified {
				d.peer.Reverse, d.peer.ReverseStatus = d.peer.Name, NameVerified
			}
		case "REVERSE_NAME":
			d.peer.Reverse, d.peer.ReverseStatus, ok = a.clientName()
		case "ADDR":
			d.peer.Addr, ok = a.optionalAddress()
		case "PORT":
			d.peer.Port, ok = a.optionalPort()
		case "HELO":
			if d.helo = ""; !a.isMissing() {
				d.helo, ok = neutral(a.value), len(a.value) <= maxHostname
			}
		case "LOGIN":
			if !a.isMissing() {
				d.login = identity{method: "XCLIENT", username: a.value}
			}
		case "PROTO":
			d.protocol, ok = a.protocol()
		case "DESTADDR":
			var addr netip.Addr
			addr, ok = a.optionalAddress()
			d.peer.Server = netip.AddrPortFrom(addr, d.peer.Server.Port())
		case "DESTPORT":
			var port uint16
			port, ok = a.optionalPort()
			d.peer.Server = netip.AddrPortFrom(d.peer.Server.Addr(), port)
		default:
			return unknownAttribute("XCLIENT", a)
		}
		if !ok {
			return badAttribute(a)
		}
	}
	return nil
}

// maxHostname is RFC 5321 section 4.5.3.1.2.
const maxHostname = 255

// clientName reads a client's name and what is known of it.
func (a *attribute) clientName() (string, NameStatus, bool) {
	switch {
	case a.isMissing():
		return unknownName, NameMissing, true
	case a.value == temporarily:
		return unknownName, NameTemporary, true
	}
	name, ok := a.hostname()
	return name, NameVerified, ok
}

// optionalAddress reads an address; the zero Addr is one that is not known.
func (a *attribute) optionalAddress() (netip.Addr, bool) {
	if a.isMissing() {
		return netip.Addr{}, true
	}
	return a.address()
}

func (a *attribute) optionalPort() (uint16, bool) {
	if a.isMissing() {
		return 0, true
	}
	return a.port()
}

// protocol reads SMTP or ESMTP.
func (a *attribute) protocol() (string, bool) {
	switch a.value {
	case "SMTP", "smtp":
		return "SMTP", true
	case "ESMTP", "esmtp":
		return "ESMTP", true
	}
	return "", false
}
