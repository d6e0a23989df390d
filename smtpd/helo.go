package smtpd

import (
	"slices"
	"strconv"
	"strings"
)

// hello carries out HELO and EHLO (RFC 5321 section 4.1.1.1). The name is never refused
// for what it is, unless a restriction says so.
func (c *conn) hello(name string, ehlo bool) reply {
	if name == "" {
		if ehlo {
			return plain(501, "Syntax: EHLO hostname")
		}
		return plain(501, "Syntax: HELO hostname")
	}
	proto, before := "", ""
	if s := c.milters(); s != nil {
		proto, before = s.proto(), s.helo
	}
	if s, ok := c.sess.(HeloSession); ok {
		if err := s.Helo(heloName(name), ehlo); err != nil {
			return answer(err, reply{}) // and the transaction goes on
		}
	}
	ended, refused := c.heloMilters(name, ehlo, proto)
	if ended != nil {
		c.milters().helo = before
		return *ended
	}
	c.reset()
	if ehlo && c.unclear {
		c.log.Warn("don't know what EHLO features to announce to " + c.peer.String())
		return c.localDataError()
	}
	// Who has said EHLO once speaks ESMTP also after a HELO.
	c.greeted, c.esmtp = true, c.esmtp || ehlo
	r := plain(250, c.o.MyHostname)
	switch {
	case ehlo && refused && !c.discards("ENHANCEDSTATUSCODES"):
		r.more = []string{"ENHANCEDSTATUSCODES"}
	case ehlo && !refused:
		r.more = c.keywords()
		c.logDiscarded()
	}
	return r
}

// keywords are the service extensions, in Postfix's order.
func (c *conn) keywords() []string {
	size := "SIZE"
	if c.o.MessageSizeLimit > 0 {
		size += " " + strconv.FormatInt(c.o.MessageSizeLimit, 10)
	}
	_, chunks := c.sess.(ChunkSession)
	auth := c.announced()
	all := []struct {
		keyword string
		offered bool
	}{
		{"PIPELINING", true},
		{size, true},
		{"VRFY", !c.o.DisableVRFY},
		{"ETRN", true},
		{"STARTTLS", c.o.TLS != nil && c.tls == nil},
		{"AUTH " + auth, auth != ""},
		{"AUTH=" + auth, auth != "" && c.o.BrokenAuthClients && !c.discards("AUTH")},
		{c.xclientKeyword(), c.mayXclient},
		{xforwardKeyword, c.mayXforward},
		{"ENHANCEDSTATUSCODES", true},
		{"8BITMIME", true},
		{"DSN", true},
		{"SMTPUTF8", c.o.SMTPUTF8Enable},
		{"CHUNKING", chunks},
		{"REQUIRETLS", c.takesRequireTLS()},
		{c.limitsKeyword(), c.o.LimitsEnable},
	}
	list := make([]string, 0, len(all))
	for _, k := range all {
		if word, _, _ := strings.Cut(k.keyword, " "); k.offered && !c.discards(word) {
			list = append(list, k.keyword)
		}
	}
	return list
}

// discardable are the words of smtpd_discard_ehlo_keywords in the order of the log.
var discardable = []string{
	"8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VERP", "VRFY", "XCLIENT", "XFORWARD", "STARTTLS",
	"ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING", "REQUIRETLS",
}

// logDiscarded says which extensions were not offered, unless silent-discard is among
// them, or ENHANCEDSTATUSCODES, whose absence Postfix takes for a silence of its own.
func (c *conn) logDiscarded() {
	if len(c.discard) == 0 || c.discards("silent-discard") || c.discards("ENHANCEDSTATUSCODES") {
		return
	}
	var list []string
	for _, k := range discardable {
		if c.discards(k) {
			list = append(list, k)
		}
	}
	if list != nil {
		c.log.Info("discarding EHLO keywords: " + strings.Join(list, " "))
	}
}

// discards tells whether an extension is kept to ourselves (smtpd_discard_ehlo_keywords).
func (c *conn) discards(keyword string) bool {
	return slices.ContainsFunc(c.discard, func(k string) bool { return strings.EqualFold(k, keyword) })
}
