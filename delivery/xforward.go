package delivery

import (
	"net/netip"
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

// xforwardCommand is one of at most two, so that each is short enough for any server.
type xforwardCommand struct {
	line, doing, reply string // reply is what it is called in "in reply to"
}

// commands tells of the client of a message. ours tells our own addresses: their mail counts
// as submitted here, as with Postfix's default of local_header_rewrite_clients.
func (x xforward) commands(env *mail.Envelope, ours func(netip.Addr) bool) (commands []xforwardCommand) {
	c := &env.Client
	add := func(doing, reply string, attributes []attribute) {
		line := ""
		for _, a := range attributes {
			if x&a.wanted != 0 && a.value != "" {
				line += " " + a.name + "=" + string(appendXtext(nil, a.value))
			}
		}
		if line != "" {
			commands = append(commands, xforwardCommand{"XFORWARD" + line, doing, reply})
		}
	}
	addr, port, source := "", "", "LOCAL"
	if c.Addr.IsValid() {
		if addr = c.Addr.Unmap().String(); c.Addr.Unmap().Is6() {
			addr = "IPV6:" + addr
		}
		if c.Port != 0 {
			port = strconv.Itoa(int(c.Port))
		}
		if !ours(c.Addr.Unmap()) {
			source = "REMOTE"
		}
	}
	add("sending XFORWARD name/address", "XFORWARD name/address command", []attribute{
		{xforwardName, "NAME", known(c.Name)}, {xforwardAddr, "ADDR", addr}, {xforwardPort, "PORT", port},
	})
	add("sending XFORWARD protocol/helo_name", "XFORWARD helo/protocol command", []attribute{
		{xforwardProto, "PROTO", known(c.Protocol)}, {xforwardHelo, "HELO", c.Helo},
		{xforwardIdent, "IDENT", env.ID.String()}, {xforwardSource, "SOURCE", source},
	})
	return commands
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
	commands := t.xforward.commands(t.j.a.Env, t.set.OwnAddrs)
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
	for _, c := range commands {
		t.conn.WriteString(c.line + "\r\n")
		if err := t.ask(t.set.Timeouts.XForward); err != nil {
			t.lost(t.j, err, c.doing)
			return false
		}
		if t.reply.Class() != 2 {
			t.log.Warn("host " + t.relay + " said: " + t.reply.Text() + " (in reply to " + c.reply + ")")
		}
	}
	return true
}
