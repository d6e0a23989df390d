package milter

import (
	"context"
	"encoding/binary"
	"time"

	"aliasmx/internal/mail"
)

// Session is what the milters of a set hear of one client. At each event they are asked in
// their order, until one says something else than to go on. A Session is used by one
// goroutine.
type Session struct {
	cfg     *Config
	ctx     context.Context
	macros  mail.MilterMacros
	clients []*client
}

// each asks one milter after the other. names is the list of macros for those that have
// not asked for others; stage is where they would have (-1: they cannot).
func (s *Session) each(names []string, stage int, macros mail.MilterMacros, ask func(c *client, macros []byte) mail.MilterReply) mail.MilterReply {
	var common []byte
	known := false
	for _, c := range s.clients {
		var own []byte
		if c.conn != nil || c.state == stateClosed {
			if stage >= 0 && len(c.lists[stage]) > 0 {
				own = s.cfg.expand(c.lists[stage], macros)
			} else {
				if !known {
					common, known = s.cfg.expand(names, macros), true
				}
				own = common
			}
		}
		if r := ask(c, own); r.Action != mail.MilterContinue {
			return r
		}
	}
	return mail.MilterReply{}
}

// Connect tells of a new client. It is the first event of a session.
func (s *Session) Connect(client mail.MilterClient) mail.MilterReply {
	name := client.Name
	if name == "unknown" && client.Addr.IsValid() {
		name = "[" + client.Addr.String() + "]"
	}
	data := appendString(nil, name)
	switch {
	case client.Addr.Is4():
		data = append(data, familyInet)
	case client.Addr.Is6():
		data = append(data, familyInet6)
	default:
		data = append(data, familyNone)
	}
	if client.Addr.IsValid() {
		data = binary.BigEndian.AppendUint16(data, client.Port)
		data = appendString(data, client.Addr.String())
	}
	for _, c := range s.clients {
		// A milter that refuses the client leaves those behind it alone.
		c.connect()
		r := s.one(c, s.cfg.Lists.Connect, macrosConnect, func(macros []byte) mail.MilterReply {
			if c.state != stateReady {
				return c.standing
			}
			c.state = stateEnvelope
			return c.send(event{cmd: cmdConnect, not: noConnect, quiet: quietConnect, macros: macros}, nil, data)
		})
		if r.Action != mail.MilterContinue {
			return r
		}
	}
	return mail.MilterReply{}
}

// one asks a single milter.
func (s *Session) one(c *client, names []string, stage int, ask func(macros []byte) mail.MilterReply) mail.MilterReply {
	alone := Session{cfg: s.cfg, clients: []*client{c}}
	return alone.each(names, stage, s.macros, func(_ *client, macros []byte) mail.MilterReply { return ask(macros) })
}

// Helo tells of HELO or EHLO.
func (s *Session) Helo(name string) mail.MilterReply {
	return s.each(s.cfg.Lists.Helo, macrosHelo, s.macros, func(c *client, macros []byte) mail.MilterReply {
		if c.state != stateEnvelope && c.state != stateAcceptMessage {
			return c.standing
		}
		return c.send(event{cmd: cmdHelo, not: noHelo, quiet: quietHelo, macros: macros}, nil, appendString(nil, name))
	})
}

// Mail tells of MAIL: the address as it was written, and each parameter.
func (s *Session) Mail(args []string) mail.MilterReply {
	return s.envelope(s.cfg.Lists.Mail, macrosMail, event{cmd: cmdMail, not: noMail, quiet: quietMail}, args)
}

// Rcpt tells of RCPT. refused are recipients that were refused already: of them only
// milters hear that want to, and what they say does not matter.
func (s *Session) Rcpt(args []string, refused bool) mail.MilterReply {
	if !refused {
		return s.envelope(s.cfg.Lists.Rcpt, macrosRcpt, event{cmd: cmdRcpt, not: noRcpt, quiet: quietRcpt}, args)
	}
	some := Session{cfg: s.cfg, macros: s.macros}
	for _, c := range s.clients {
		if c.unwanted&wantRefusedRcpts != 0 {
			some.clients = append(some.clients, c)
		}
	}
	return some.Rcpt(args, false)
}

// Data tells of DATA, or of the first BDAT.
func (s *Session) Data() mail.MilterReply {
	return s.envelope(s.cfg.Lists.Data, macrosData, event{cmd: cmdData, not: noData, quiet: quietData}, nil)
}

// Unknown tells of a command that we do not know.
func (s *Session) Unknown(command string) mail.MilterReply {
	return s.envelope(s.cfg.Lists.Unknown, -1, event{cmd: cmdUnknown, not: noUnknown, quiet: quietUnknown}, []string{command})
}

func (s *Session) envelope(names []string, stage int, e event, args []string) mail.MilterReply {
	var data []byte
	for _, arg := range args {
		data = appendString(data, arg)
	}
	return s.each(names, stage, s.macros, func(c *client, macros []byte) mail.MilterReply {
		if c.state != stateEnvelope {
			return c.standing
		}
		e.macros = macros
		return c.send(e, nil, data)
	})
}

// Standing is what stands for commands of which milters are not told.
func (s *Session) Standing() mail.MilterReply {
	for _, c := range s.clients {
		if c.standing.Action != mail.MilterContinue {
			return c.standing
		}
	}
	return mail.MilterReply{}
}

// Abort tells that the transaction is over without a message, or behind one.
func (s *Session) Abort() {
	for _, c := range s.clients {
		if c.conn == nil || c.state != stateEnvelope && c.state != stateMessage && c.state != stateAcceptMessage {
			continue
		}
		c.arm(false, time.Time{})
		writePacket(c.w, cmdAbort)
		if c.flush(); c.state != stateError {
			c.state = stateEnvelope
		}
	}
}

// farewell is how long a milter may take to hear that the client has gone.
const farewell = time.Second

// Close tells that the client has gone. It ends the session.
func (s *Session) Close() {
	for _, c := range s.clients {
		if c.conn != nil {
			c.conn.SetDeadline(c.cfg.now().Add(min(farewell, c.CommandTimeout)))
			writePacket(c.w, cmdQuit)
			_ = c.w.Flush() // it is over either way
		}
		c.hangUp(stateClosed)
		c.standing = mail.MilterReply{}
	}
}
