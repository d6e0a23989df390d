package smtpd

import (
	"strings"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// rcptTo carries out RCPT (RFC 5321 section 4.1.1.3).
func (c *conn) rcptTo(arg string) reply {
	switch {
	case !c.mail:
		return say(503, mail.Code(5, 5, 1), "Error: need MAIL command")
	case c.bdat != bdatNone:
		return say(503, mail.Code(5, 5, 1), "Error: RCPT after BDAT")
	}
	arg, ok := cutKeyword(arg, "TO:")
	if !ok {
		return say(501, mail.Code(5, 5, 4), "Syntax: RCPT TO:<address>")
	}
	if refused := c.countedOut("RCPT"); refused != nil {
		return *refused
	}
	path, rest, err := c.parsePath(arg)
	if err == nil && (path.IsNull() || badDomain(path, c.utf8)) {
		err = mail.ErrPathSyntax
	}
	if err != nil {
		c.logBadPath(err, "RCPT", arg, rest)
		return say(501, mail.Code(5, 1, 3), "Bad recipient address syntax")
	}
	opts, refused := c.rcptParams(rest)
	if refused != nil {
		return *refused
	}
	if c.o.StrictSMTPUTF8 && !c.utf8 && !isASCII(path.Address) {
		return say(553, mail.Code(5, 6, 7), "Must declare SMTPUTF8 to send unicode address")
	}
	if c.rcpts >= c.o.RecipientLimit {
		r := say(452, mail.Code(4, 5, 3), "Error: too many recipients")
		r.harmless = c.overshoot < c.o.OvershootLimit
		c.overshoot++
		return r
	}
	if opts.OriginalRecipientType == "" {
		// RFC 3461 section 4.2: what the sender wrote, when he has not said it himself.
		opts.OriginalRecipientType, opts.OriginalRecipient = "rfc822", path.Raw
	}
	c.tellMilters(arg, rest)
	if s, ok := c.sess.(AddressSession); ok {
		err = s.RcptAddress(path.Address, opts)
	} else {
		kept := *opts
		err = c.sess.Rcpt(path.Internal(), &kept)
	}
	if err != nil {
		return answer(err, reply{})
	}
	c.rcpts++
	return say(250, mail.Code(2, 1, 5), "Ok")
}

// rcptParams reads the parameters of RCPT.
func (c *conn) rcptParams(s string) (*smtp.RcptOptions, *reply) {
	c.rcpt = smtp.RcptOptions{}
	opts := &c.rcpt
	for _, p := range params(s) {
		switch {
		case !p.is("NOTIFY=") && !p.is("ORCPT="):
			return nil, unsupported(p)
		case c.discards("DSN"):
			return nil, dsnDisabled()
		case p.is("NOTIFY="):
			notify, unknown := parseNotify(p.value)
			if unknown != "" {
				c.log.Warn(`unknown DSN NOTIFY command value "` + echo(unknown, maxEchoed) + `" in "` + echo(p.value, maxEchoed) + `"`)
			}
			if notify == nil || opts.Notify != nil {
				return nil, badParam("Error: Bad NOTIFY parameter syntax")
			}
			opts.Notify = notify
		default:
			kind, addr, ok := parseORcpt(p.value)
			if !ok || opts.OriginalRecipientType != "" {
				return nil, badParam("Error: Bad ORCPT parameter syntax")
			}
			opts.OriginalRecipientType, opts.OriginalRecipient = smtp.DSNAddressType(kind), addr
		}
	}
	return opts, nil
}

// parseNotify reads the value of NOTIFY (RFC 3461 section 4.1): nil when it is none, and
// the word that is unknown if that is why.
func parseNotify(s string) (list []smtp.DSNNotify, unknown string) {
	never, other := false, false
	for word := range strings.SplitSeq(s, ",") {
		switch n := smtp.DSNNotify(strings.ToUpper(word)); n {
		case "":
		case smtp.DSNNotifyNever:
			never = true
			list = append(list, n)
		case smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
			other = true
			list = append(list, n)
		default:
			return nil, word
		}
	}
	if never && other {
		return nil, ""
	}
	return list, ""
}
