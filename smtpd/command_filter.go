package smtpd

import (
	"context"
	"log/slog"
	"strings"

	"aliasmx/internal/mail"
)

// What an operator does about clients that say odd things: a table that replaces commands
// (smtpd_command_filter), words that do nothing (smtpd_noop_commands), and extensions that
// are kept from some clients (smtpd_discard_ehlo_keyword_address_maps).

// replaced is a command as the table wants it; false: the table cannot say.
func (c *conn) replaced(line string) (string, bool) {
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	value, found, err := c.o.CommandFilter.Lookup(ctx, strings.TrimLeft(line, " \t"))
	switch {
	case err != nil:
		c.log.Warn(c.o.CommandFilter.Name() + ` lookup error for "` + echo(withoutSecret([]byte(line)), maxEchoed) + `"`)
		return "", false
	case !found:
		return line, true
	}
	c.log.Info(c.peer.String() + `: replacing command "` + echo(withoutSecret([]byte(line)), maxEchoed) +
		`" with "` + echo(withoutSecret([]byte(value)), maxEchoed) + `"`)
	return value, true
}

// localDataError is the reply when a table about the client itself cannot answer.
func (c *conn) localDataError() reply {
	r := say(421, mail.Code(4, 3, 0), c.o.MyHostname+" Server local data error")
	r.close = true
	text := "reject: " + c.where + " from " + c.peer.String() + ": " + status(r.code, r.enhanced, r.text).Error()
	if s, ok := c.sess.(*session); ok && s.tx.id != 0 {
		c.log.Info(text, slog.String(mail.KeyQueueID, s.tx.id.String()))
	} else {
		c.log.Info("NOQUEUE: " + text)
	}
	return r
}

// listed tells whether a word is in a list of commands. A list that cannot answer has no
// such word: that is how Postfix does it.
func (c *conn) listed(list Words, parameter, word string) bool {
	if list == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	in, err := list.Match(ctx, word)
	if err != nil {
		c.log.Warn(parameter + ": " + err.Error())
	}
	return in && err == nil
}

// countJunk counts a command that does nothing for a delivery.
func (c *conn) countJunk() {
	if c.junk > c.o.JunkCommandLimit {
		c.errors++
	}
	c.junk++
}

// chooseKeywords finds which extensions the client is not offered.
func (c *conn) chooseKeywords() {
	c.discard, c.unclear = c.o.DiscardEhloKeywords, false
	if c.peer.Local || len(c.o.DiscardEhloKeywordMaps) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.srv.ctx, lookupTimeout)
	defer cancel()
	for _, t := range c.o.DiscardEhloKeywordMaps {
		value, found, err := t.Lookup(ctx, addrOr(c.peer.Addr))
		switch {
		case err != nil:
			c.log.Warn(t.Name() + ` lookup error for "` + addrOr(c.peer.Addr) + `": ` + err.Error())
			c.unclear = true
			return
		case found:
			c.discard = splitList(value)
			return
		}
	}
}
