package smtpd

import (
	"context"
	"strconv"

	"aliasmx/internal/mail"
)

// smtpd_reject_filter_maps: what a refusal is replaced with, before the footer. A refusal
// stays one.

// filtered is a reply as the tables want it.
func (c *conn) filtered(r reply) reply {
	if r.code < 400 || len(c.o.RejectFilterMaps) == 0 || len(r.more) > 0 {
		return r
	}
	said := status(r.code, r.enhanced, r.text).Error()
	value, found := c.find(c.o.RejectFilterMaps, said)
	if !found {
		return r
	}
	other, ok := parseRefusal(value)
	if !ok {
		c.log.Warn(c.message() + ": ignoring invalid reject filter result: " + echo(value, maxReplyLine))
		return r
	}
	if other.code%100 == 21 {
		c.over = true
	}
	c.log.Info(c.message() + ": reply filter in: " + said)
	c.log.Info(c.message() + ": reply filter out: " + echo(value, maxReplyLine))
	r.code, r.enhanced, r.text = other.code, other.enhanced, other.text
	return r
}

// parseRefusal reads "code text" or "code enhanced-code text" of class 4 or 5.
func parseRefusal(s string) (reply, bool) {
	if len(s) < 4 || s[3] != ' ' || s[0] != '4' && s[0] != '5' {
		return reply{}, false
	}
	code, err := strconv.ParseUint(s[:3], 10, 16)
	if err != nil {
		return reply{}, false
	}
	enhanced, text := mail.SplitEnhanced(s[4:])
	if enhanced != (mail.Enhanced{}) && enhanced[0] != uint16(code/100) {
		return reply{}, false
	}
	return reply{code: int(code), enhanced: enhanced, text: text}, true
}

// find looks a key up in tables, in their order. One that cannot answer
// has no such key, and the log says so.
func (c *conn) find(tables []Table, key string) (value string, found bool) {
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	for _, t := range tables {
		value, found, err := t.Lookup(ctx, key)
		if err != nil {
			c.log.Warn(t.Name() + ` lookup error for "` + echo(key, maxEchoed) + `": ` + err.Error())
		} else if found {
			return value, true
		}
	}
	return "", false
}
