package smtpd

import (
	"log/slog"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// XFORWARD: a trusted client, such as a content filter, says from whom it has the next
// message (XFORWARD_README). That goes into the log; nothing is permitted by it.

const xforwardKeyword = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"

// original is the client that a message came from before, as XFORWARD describes it.
type original struct {
	known    bool // something was said
	client   bool // about the client
	name     string
	addr     netip.Addr
	port     uint16
	helo     string
	protocol string
	id       string // its queue ID
	source   string // "LOCAL", "REMOTE", "" for neither
	showPort bool   // smtpd_client_port_logging
}

// xforward carries out XFORWARD.
func (c *conn) xforward(arg string) reply {
	if c.mail {
		return say(503, mail.Code(5, 5, 1), "Error: MAIL transaction in progress")
	}
	if arg == "" {
		return *badParam("Syntax: XFORWARD attribute=value...")
	}
	s, ok := c.sess.(*session)
	if !ok || !c.mayXforward {
		return say(550, mail.Code(5, 7, 0), "Error: insufficient authorization")
	}
	o := s.original
	o.showPort = c.o.ClientPortLogging
	if refused := o.read(arg); refused != nil {
		return *refused
	}
	s.original = o
	return say(250, mail.Code(2, 0, 0), "Ok")
}

// read takes over what the attributes say; what they do not stays.
func (o *original) read(arg string) *reply {
	list, refused := parseAttributes("XFORWARD", arg)
	if refused != nil {
		return refused
	}
	for _, a := range list {
		ok := true
		o.client = o.client || a.name != "IDENT" && a.name != "SOURCE"
		switch a.name {
		case "NAME":
			if o.name = ""; !a.isMissing() {
				a.value = neutral(a.value)
				o.name, ok = a.hostname()
			}
		case "ADDR":
			o.addr, ok = a.optionalAddress()
		case "PORT":
			o.port, ok = a.optionalPort()
		case "HELO":
			o.helo = a.text()
		case "PROTO":
			o.protocol, ok = a.text(), len(a.value) <= maxProtocol
		case "IDENT":
			o.id = a.text()
		case "SOURCE":
			o.source = strings.ToUpper(a.value)
			if a.isMissing() {
				o.source = "LOCAL"
			}
			ok = o.source == "LOCAL" || o.source == "REMOTE"
		default:
			return unknownAttribute("XFORWARD", a)
		}
		if !ok {
			return badAttribute(a)
		}
	}
	o.known = true
	return nil
}

// maxProtocol is how long the name of a protocol may be.
const maxProtocol = 64

// text is a value that is only shown, "" when there is none.
func (a *attribute) text() string {
	if a.isMissing() {
		return ""
	}
	return neutral(a.value)
}

// String is name[address].
func (o *original) String() string {
	name := orElse(o.name, unknownName)
	if !o.addr.IsValid() {
		return name
	}
	if o.showPort {
		return nameAddr(name, o.addr) + ":" + portOr(o.port)
	}
	return nameAddr(name, o.addr)
}

// attrs adds to the line about a transaction where its message came from.
func (o *original) attrs(attrs []slog.Attr) []slog.Attr {
	if !o.known {
		return attrs
	}
	if o.id != "" {
		attrs = append(attrs, slog.String("orig_queue_id", o.id))
	}
	if o.client {
		attrs = append(attrs, slog.String("orig_client", o.String()))
	}
	return attrs
}
