package delivery

import (
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// XFORWARD tells a server behind us who our client was (XFORWARD_README). It is for a
// content filter's log and restrictions; a server that does not take it gets the mail all
// the same.

// xforward are the attributes that a server wants.
type xforward uint8

const (
	xforwardName xforward = 1 << iota
	xforwardAddr
	xforwardPort
	xforwardProto
	xforwardHelo
	xforwardIdent
	xforwardSource
)

var xforwardWords = map[string]xforward{
	"NAME": xforwardName, "ADDR": xforwardAddr, "PORT": xforwardPort, "PROTO": xforwardProto,
	"HELO": xforwardHelo, "IDENT": xforwardIdent, "SOURCE": xforwardSource,
}

func learnXForward(words []string) (x xforward) {
	for _, w := range words {
		x |= xforwardWords[strings.ToUpper(w)]
	}
	return x
}

// xforwardCommands are at most two, so that each is short enough for any server.
func (x xforward) commands(env *mail.Envelope) (commands []string, what []string) {
	c := &env.Client
	add := func(name string, attributes []attribute) {
		line := ""
		for _, a := range attributes {
			if x&a.wanted != 0 && a.value != "" {
				line += " " + a.name + "=" + string(appendXtext(nil, a.value))
			}
		}
		if line != "" {
			commands, what = append(commands, "XFORWARD"+line), append(what, name)
		}
	}
	addr, port, source := "", "", "LOCAL"
	if c.Addr.IsValid() {
		if addr = c.Addr.Unmap().String(); c.Addr.Unmap().Is6() {
			addr = "IPV6:" + addr
		}
		if source = "REMOTE"; c.Port != 0 {
			port = strconv.Itoa(int(c.Port))
		}
	}
	add("XFORWARD NAME and ADDR", []attribute{
		{xforwardName, "NAME", known(c.Name)}, {xforwardAddr, "ADDR", addr}, {xforwardPort, "PORT", port},
	})
	add("XFORWARD PROTO and HELO", []attribute{
		{xforwardProto, "PROTO", known(c.Protocol)}, {xforwardHelo, "HELO", c.Helo},
		{xforwardIdent, "IDENT", env.ID.String()}, {xforwardSource, "SOURCE", source},
	})
	return commands, what
}

type attribute struct {
	wanted      xforward
	name, value string
}

// known leaves out what nobody knows.
func known(name string) string {
	if strings.EqualFold(name, "unknown") {
		return ""
	}
	return name
}

// forwardClient says XFORWARD before a transaction. It is false when the connection is
// lost. A transaction that is still open ends first: the attributes are those of the next.
func (t *transaction) forwardClient() bool {
	if !t.set.SendXForward || t.xforward == 0 || t.j.a.Probe {
		return true
	}
	commands, what := t.xforward.commands(t.j.a.Env)
	if len(commands) > 0 && t.needReset {
		t.needReset = false
		t.conn.WriteString("RSET\r\n")
		if err := t.ask(t.set.Timeouts.Rset); err != nil {
			t.lost(t.j, err, doingReset)
			return false
		}
		if !t.resetDone() {
			return false
		}
	}
	for i, line := range commands {
		t.conn.WriteString(line + "\r\n")
		if err := t.ask(t.set.Timeouts.XForward); err != nil {
			t.lost(t.j, err, "sending "+what[i])
			return false
		}
		if t.reply.Class() != 2 {
			t.log.Warn("host " + t.relay + " said: " + t.reply.Text() + " (in reply to " + what[i] + ")")
		}
	}
	return true
}
