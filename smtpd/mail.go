package smtpd

import (
	"errors"
	"strings"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// mailFrom carries out MAIL (RFC 5321 section 4.1.1.2).
func (c *conn) mailFrom(arg string) reply {
	switch {
	case c.o.HeloRequired && !c.greeted:
		return say(503, mail.Code(5, 5, 1), "Error: send HELO/EHLO first")
	case c.mail:
		return say(503, mail.Code(5, 5, 1), "Error: nested MAIL command")
	case c.bdat != bdatNone:
		return say(503, mail.Code(5, 5, 1), "Error: MAIL after BDAT")
	}
	// The options of a new transaction are those of now.
	if o := c.srv.latest(c.o); o != c.o {
		c.o, c.log = o, o.log
		c.wc.SetTimeout(o.Timeout)
	}
	arg, ok := cutKeyword(arg, "FROM:")
	if !ok {
		return say(501, mail.Code(5, 5, 4), "Syntax: MAIL FROM:<address>")
	}
	if refused := c.countedOut("MAIL"); refused != nil {
		return *refused
	}
	path, rest, err := c.parsePath(arg)
	if err == nil && badDomain(path, asksForUTF8(rest)) {
		err = mail.ErrPathSyntax
	}
	if err != nil {
		c.logBadPath(err, "MAIL", arg, rest)
		return say(501, mail.Code(5, 1, 7), "Bad sender address syntax")
	}
	opts, refused := c.mailParams(rest)
	if refused != nil {
		return *refused
	}
	if c.o.StrictSMTPUTF8 && !opts.UTF8 && !isASCII(path.Address) {
		return say(553, mail.Code(5, 6, 7), "Must declare SMTPUTF8 to send unicode address")
	}
	c.letFlow()
	c.tellMilters(arg, rest)
	if !c.begin() {
		r := c.shuttingDown()
		r.close = true
		return r
	}
	if s, ok := c.sess.(AddressSession); ok {
		err = s.MailAddress(path.Address, opts)
	} else {
		err = c.sess.Mail(path.Internal(), opts)
	}
	if err != nil {
		c.reset()
		return answer(err, reply{})
	}
	c.mail, c.utf8 = true, opts.UTF8
	return say(250, mail.Code(2, 1, 0), "Ok")
}

// parsePath reads the path that an argument begins with. One that begins with a hyphen
// could be taken for an option where it is given to a command (allow_min_user).
func (c *conn) parsePath(arg string) (path mail.Path, rest string, err error) {
	path, rest, err = mail.ParsePath(arg, c.o.StrictEnvelopes)
	if a := mail.SplitAddress(path.Local); err == nil && path.Domain == "" && mail.ValidHostname(a.Domain) {
		path.Address = a // "user@domain" in quotes and nothing else: Postfix forgets the quotes
	}
	if err == nil && !c.o.AllowMinUser && strings.HasPrefix(path.Local, "-") {
		err = mail.ErrPathSyntax
	}
	return path, rest, err
}

// mailParams reads the parameters of MAIL.
func (c *conn) mailParams(s string) (*smtp.MailOptions, *reply) {
	opts := new(smtp.MailOptions)
	for _, p := range params(s) {
		value := p.value
		switch {
		case p.is("SIZE="):
			size, ok := parseSize(value)
			if !ok {
				return nil, badParam("Bad message size syntax")
			}
			if size < 0 {
				r := say(552, mail.Code(5, 3, 4), "Message size exceeds file system imposed limit")
				return nil, &r
			}
			opts.Size = size
		case p.is("BODY=") && strings.EqualFold(value, "8BITMIME"):
			opts.Body = smtp.Body8BitMIME
		case p.is("BODY=") && strings.EqualFold(value, "7BIT"):
			opts.Body = smtp.Body7Bit
		case p.is("SMTPUTF8") && c.o.SMTPUTF8Enable && !c.discards("SMTPUTF8"):
			opts.UTF8 = true
		case p.is("REQUIRETLS") && c.takesRequireTLS() && !c.discards("REQUIRETLS"):
			opts.RequireTLS = true
		case p.is("AUTH="): // RFC 4954 section 5: we believe nobody, and pass it on to nobody
			if opts.Auth != nil {
				r := say(503, mail.Code(5, 5, 4), "Error: multiple AUTH= options")
				return nil, &r
			}
			if value != "<>" {
				opts.Auth = &value
			}
		case (p.is("RET=") || p.is("ENVID=")) && c.discards("DSN"):
			return nil, dsnDisabled()
		case p.is("RET="):
			ret := smtp.DSNReturn(strings.ToUpper(value))
			if opts.Return != "" || ret != smtp.DSNReturnFull && ret != smtp.DSNReturnHeaders {
				return nil, badParam("Bad RET parameter syntax")
			}
			opts.Return = ret
		case p.is("ENVID="):
			id, ok := decodeXtext(value)
			if opts.EnvelopeID != "" || !ok || id == "" || strings.ContainsFunc(id, isEightBit) {
				return nil, badParam("Bad ENVID parameter syntax")
			}
			opts.EnvelopeID = id
		default:
			return nil, unsupported(p)
		}
	}
	return opts, nil
}

// logBadPath warns of an address that is none. One that was not even closed is not worth
// a line, as in Postfix.
func (c *conn) logBadPath(err error, verb, arg, rest string) {
	if errors.Is(err, mail.ErrPathSyntax) {
		c.warnIllegal(verb, strings.TrimLeft(strings.TrimSuffix(arg, rest), " \t"))
	}
}

func (c *conn) warnIllegal(verb, address string) {
	if !c.o.SMTPUTF8Enable {
		address = asASCII(address)
	}
	c.log.Warn("Illegal address syntax from " + c.peer.String() + " in " + verb + " command: " + echo(address, maxEchoedAddress))
}

// badDomain tells that a domain is none because it is not ASCII and nobody has said
// SMTPUTF8.
func badDomain(path mail.Path, utf8 bool) bool {
	return !utf8 && strings.ContainsFunc(path.Domain, isEightBit)
}

// asksForUTF8 tells whether SMTPUTF8 is among the parameters.
func asksForUTF8(parameters string) bool {
	for _, p := range params(parameters) {
		if p.is("SMTPUTF8") {
			return true
		}
	}
	return false
}

func isASCII(a mail.Address) bool {
	return !strings.ContainsFunc(a.Local, isEightBit) && !strings.ContainsFunc(a.Domain, isEightBit)
}

// asASCII shows bytes as the log does where nothing but ASCII is text.
func asASCII(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 0x80 {
			b[i] = '?'
		}
	}
	return string(b)
}

// foreign is a text that others wrote, next hops or tables, as it fits into a reply: that is
// ASCII (RFC 5321 section 4.2), unless the client has asked for SMTPUTF8 (RFC 6531 section
// 3.7.4.2). Local submission makes a report of it, which may be more.
func (s *session) foreign(text string) string {
	if s.tx.opts.UTF8 || s.peer.Local || !strings.ContainsFunc(text, isEightBit) {
		return text
	}
	return asASCII(text)
}

func isEightBit(c rune) bool { return c >= 0x80 }
