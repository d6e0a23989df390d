package screen

import (
	"context"
	"crypto/tls"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// The verbs of the engine. Its texts are those of postscreen(8), which differ from
// smtpd's here and there: extra words are passed over, no address is looked at closely,
// and DATA and BDAT end the connection.

// verb is one of them. run returns a reply, or an ending.
type verb struct {
	run     func(e *engine, args string) (string, ending)
	early   bool // also before a STARTTLS that is insisted on
	payload bool // what follows is no command
}

var verbs = map[string]verb{
	"HELO":     {run: (*engine).heloCmd, early: true},
	"EHLO":     {run: (*engine).ehloCmd, early: true},
	"STARTTLS": {run: (*engine).startTLS, early: true},
	"XCLIENT":  {}, "XFORWARD": {}, "AUTH": {},
	"MAIL": {run: (*engine).mailCmd},
	"RCPT": {run: (*engine).rcptCmd},
	"DATA": {run: (*engine).dataCmd},
	"BDAT": {run: (*engine).bdatCmd, payload: true},
	"RSET": {run: (*engine).rsetCmd},
	"NOOP": {run: func(*engine, string) (string, ending) { return "250 2.0.0 Ok", nil }, early: true},
	"VRFY": {run: (*engine).vrfyCmd},
	"ETRN": {run: (*engine).etrnCmd},
	"QUIT": {run: func(e *engine, _ string) (string, ending) { return "", e.with("221 2.0.0 Bye") }, early: true},
}

func (e *engine) heloCmd(args string) (string, ending) {
	name, _ := token(args)
	if name == "" {
		return "501 Syntax: HELO hostname", nil
	}
	e.helo, e.mailed = name, false
	return "250 " + e.d.o.MyHostname, nil
}

func (e *engine) ehloCmd(args string) (string, ending) {
	name, _ := token(args)
	if name == "" {
		return "501 Syntax: EHLO hostname", nil
	}
	e.helo, e.mailed, e.esmtp = name, false, true
	lines := []string{"250-" + e.d.o.MyHostname}
	for _, k := range e.d.ehlo {
		if k != "STARTTLS" || !e.secured {
			lines = append(lines, "250-"+k)
		}
	}
	last := &lines[len(lines)-1]
	*last = (*last)[:3] + " " + (*last)[4:]
	return strings.Join(lines, "\r\n"), nil
}

// keywords are the extensions of the engine, in Postfix's order. PIPELINING is none of
// them: that is what one test is about.
func (d *Door) keywords() (list []string) {
	size := "SIZE"
	if d.o.MessageSize > 0 {
		size += " " + strconv.FormatInt(d.o.MessageSize, 10)
	}
	for _, k := range []struct {
		keyword string
		offered bool
	}{
		{size, true}, {"VRFY", !d.o.HideVRFY}, {"ETRN", true}, {"STARTTLS", d.o.TLS != nil},
		{"ENHANCEDSTATUSCODES", true}, {"8BITMIME", true}, {"DSN", true}, {"SMTPUTF8", d.o.SMTPUTF8}, {"CHUNKING", true},
	} {
		if word, _, _ := strings.Cut(k.keyword, " "); k.offered && !d.discards(word) {
			list = append(list, k.keyword)
		}
	}
	return list
}

func (d *Door) discards(keyword string) bool {
	return slices.ContainsFunc(d.o.DiscardKeywords, func(k string) bool { return strings.EqualFold(k, keyword) })
}

// startTLS carries out STARTTLS. A handshake that fails ends the connection, and so does
// what came in the clear behind the command: RFC 3207 section 6.
func (e *engine) startTLS(args string) (string, ending) {
	switch word, _ := token(args); {
	case word != "":
		return "501 5.5.4 Syntax: STARTTLS", nil
	case e.secured:
		return "554 5.5.1 Error: TLS already active", nil
	case e.d.o.TLS == nil || e.d.discards("STARTTLS"):
		return "502 5.5.1 Error: command not implemented", nil
	}
	if e.send("220 2.0.0 Ready to start TLS") != nil || e.r.Buffered() > 0 {
		return "", e.hangup
	}
	c := tls.Server(e.nc, e.d.o.TLS)
	e.nc.SetDeadline(time.Now().Add(e.d.o.TLSTimeout))
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return "", e.hangup
	}
	e.nc.SetDeadline(time.Time{})
	e.nc, e.secured, e.helo, e.mailed = c, true, "", false
	e.r.Reset(c)
	return "", nil
}

func (e *engine) mailCmd(args string) (string, ending) {
	_, path, ok := strings.Cut(args, ":")
	switch {
	case e.d.o.HeloRequired && e.helo == "":
		return "503 5.5.1 Error: send HELO/EHLO first", nil
	case e.mailed:
		return "503 5.5.1 Error: nested MAIL command", nil
	case !ok:
		return "501 5.5.4 Syntax: MAIL FROM:<address>", nil
	}
	e.sender, e.mailed = address(path), true
	return "250 2.1.0 Ok", nil
}

func (e *engine) rcptCmd(args string) (string, ending) {
	_, path, ok := strings.Cut(args, ":")
	switch {
	case !e.mailed:
		return "503 5.5.1 Error: need MAIL command", nil
	case !ok:
		return "501 5.5.4 Syntax: RCPT TO:<address>", nil
	}
	proto := "SMTP"
	if e.esmtp {
		proto = "ESMTP"
	}
	e.d.logf("NOQUEUE: reject: RCPT from %s: %s; from=<%s>, to=<%s>, proto=%s, helo=<%s>",
		e.at, e.soft(e.rcptReply), e.sender, address(path), proto, e.helo)
	return e.rcptReply, nil
}

// address is the address in a path, as the log shows it: without its route, and with the
// quotes that it needs.
func address(path string) mail.Address {
	path = strings.TrimLeft(path, " ")
	stop := byte(' ')
	if strings.HasPrefix(path, "<") {
		path, stop = path[1:], '>'
	}
	var b []byte
	quoted := false
	for i := 0; i < len(path) && (quoted || path[i] != stop); i++ {
		switch path[i] {
		case '"':
			quoted = !quoted
			continue
		case '\\':
			if i++; i == len(path) {
				continue
			}
		}
		b = append(b, path[i])
	}
	addr := string(b)
	if _, behind, routed := strings.Cut(addr, ":"); routed && addr[0] == '@' {
		addr = behind
	}
	return mail.SplitAddress(addr)
}

// dataCmd hangs up: the client has been refused every recipient and goes on regardless.
func (e *engine) dataCmd(args string) (string, ending) {
	e.d.logf("DATA without valid RCPT from %s", e.at)
	switch word, _ := token(args); {
	case word != "":
		return "", e.with("501 5.5.4 Syntax: DATA")
	case !e.mailed:
		return "", e.with("503 5.5.1 Error: need RCPT command")
	}
	return "", e.with("554 5.5.1 Error: no valid recipients")
}

func (e *engine) bdatCmd(args string) (string, ending) {
	e.d.logf("BDAT without valid RCPT from %s", e.at)
	switch word, _ := token(args); {
	case e.d.discards("CHUNKING"):
		return "", e.with("502 5.5.1 Error: command not implemented")
	case word == "":
		return "", e.with("501 5.5.4 Syntax: BDAT count [LAST]")
	case !e.mailed:
		return "", e.with("554 5.5.1 Error: need MAIL command")
	}
	return "", e.with("554 5.5.1 Error: no valid recipients")
}

func (e *engine) rsetCmd(string) (string, ending) {
	e.mailed = false
	return "250 2.0.0 Ok", nil
}

func (e *engine) vrfyCmd(args string) (string, ending) {
	switch word, _ := token(args); {
	case word == "":
		return "501 5.5.4 Syntax: VRFY address", nil
	case e.d.o.DisableVRFY:
		return "502 5.5.1 VRFY command is disabled", nil
	}
	return e.rcptReply, nil
}

func (e *engine) etrnCmd(args string) (string, ending) {
	switch word, _ := token(args); {
	case e.d.o.HeloRequired && e.helo == "":
		return "503 5.5.1 Error: send HELO/EHLO first", nil
	case word == "":
		return "500 Syntax: ETRN domain", nil
	}
	return "458 Unable to queue messages", nil
}
