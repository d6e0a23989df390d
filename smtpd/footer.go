package smtpd

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// What the operator adds to every refusal: smtpd_reject_footer, and smtpd_reject_footer_maps
// by the text of the refusal.

// footed is a reply with the operator's text behind it. A \n in that text begins a new
// line; with \c it begins on the line that is there.
func (c *conn) footed(r reply) reply {
	if r.code < 400 || c.o.RejectFooter == "" && len(c.o.RejectFooterMaps) == 0 {
		return r
	}
	template := c.footer(r)
	if template == "" {
		return r
	}
	text, more := r.text, append([]string(nil), r.more...)
	first := true
	for part := range strings.SplitSeq(template, `\n`) {
		same := false
		if first {
			part, same = strings.CutPrefix(part, `\c`)
		}
		first = false
		line, err := expandMacros(part, c.footerMacro)
		switch {
		case err != nil:
			c.log.Warn("smtpd_reject_footer: bad macro in " + echo(part, maxEchoed))
			return r
		case same && len(more) == 0:
			text += line
		case same:
			more[len(more)-1] += line
		default:
			more = append(more, line)
		}
	}
	r.text, r.more = text, more
	return r
}

// footer finds the text for a refusal.
func (c *conn) footer(r reply) string {
	said := status(r.code, r.enhanced, r.text).Error()
	for _, t := range c.o.RejectFooterMaps {
		ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
		value, found, err := t.Lookup(ctx, said)
		cancel()
		if err != nil {
			c.log.Warn(t.Name() + " lookup error: " + err.Error())
		}
		if found && err == nil {
			return value
		}
	}
	return c.o.RejectFooter
}

// footerMacro is a macro about the session; the recipient is the one accepted first.
func (c *conn) footerMacro(name string) (string, bool) {
	s, ok := c.sess.(*session)
	if !ok {
		return "", false
	}
	if part, ok := strings.CutPrefix(name, "recipient"); ok {
		var first mail.Address
		if s.tx.accepted > 0 {
			first = s.tx.first
		}
		return addressPart(first.Internal(), part, s.tx.accepted > 0)
	}
	return s.macro(name)
}
