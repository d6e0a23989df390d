package smtpd

import (
	"strings"

	"aliasmx/internal/mail"
)

// The verbs that move no mail.

// rset carries out RSET (RFC 5321 section 4.1.1.5).
func (c *conn) rset(arg string) reply {
	if arg != "" {
		return say(501, mail.Code(5, 5, 4), "Syntax: RSET")
	}
	c.reset()
	return say(250, mail.Code(2, 0, 0), "Ok")
}

// vrfy carries out VRFY (RFC 5321 section 3.5.3): 252 says that mail would be accepted,
// not who gets it.
func (c *conn) vrfy(arg string) reply {
	s, ok := c.sess.(VerifySession)
	switch {
	case c.o.DisableVRFY || !ok:
		return say(502, mail.Code(5, 5, 1), "VRFY command is disabled")
	case arg == "":
		return say(501, mail.Code(5, 5, 4), "Syntax: VRFY address [SMTPUTF8]")
	}
	if r := c.standing(); r != nil {
		return *r
	}
	utf8 := false
	if i := strings.LastIndexAny(arg, " \t"); i >= 0 && strings.EqualFold(arg[i+1:], "SMTPUTF8") {
		arg, utf8 = strings.TrimRight(arg[:i], " \t"), c.o.SMTPUTF8Enable
	}
	if refused := c.countedOut("VRFY"); refused != nil {
		return *refused
	}
	path, rest, err := mail.ParsePath(arg, false)
	if err != nil || rest != "" || path.IsNull() || badDomain(path, utf8 || c.utf8) {
		c.warnIllegal("VRFY", arg)
		return say(501, mail.Code(5, 1, 3), "Bad recipient address syntax")
	}
	if c.o.StrictSMTPUTF8 && !utf8 && !c.utf8 && !isASCII(path.Address) {
		return say(553, mail.Code(5, 6, 7), "Must declare SMTPUTF8 to send unicode address")
	}
	if err := s.Vrfy(path.Address); err != nil {
		return answer(err, reply{})
	}
	return say(252, mail.Code(2, 0, 0), echo(arg, maxEchoedAddress))
}

// etrn carries out ETRN (RFC 1985), which Postfix offers always and serves for domains in
// fast_flush_domains. There are none here.
func (c *conn) etrn(arg string) reply {
	switch {
	case c.o.HeloRequired && !c.greeted:
		return plain(503, "Error: send HELO/EHLO first")
	}
	if r := c.standing(); r != nil {
		return *r
	}
	switch {
	case c.mail:
		return plain(503, "Error: MAIL transaction in progress")
	case arg == "" || strings.ContainsAny(arg, " \t"):
		return plain(500, "Syntax: ETRN domain")
	}
	domain := arg
	if domain[0] == '@' || domain[0] == '#' {
		domain = domain[1:]
	}
	if !mail.ValidHostname(domain) && !strings.HasPrefix(domain, "[") {
		return plain(501, "Error: invalid parameter syntax")
	}
	if s, ok := c.sess.(EtrnSession); ok {
		if err := s.Etrn(domain); err != nil {
			return answer(err, reply{})
		}
	}
	c.log.Warn("reject: ETRN " + echo(domain, maxEchoed) + "... from " + c.peer.String())
	return plain(459, "<"+echo(domain, maxEchoed)+">: service unavailable")
}
