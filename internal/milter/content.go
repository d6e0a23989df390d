package milter

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"aliasmx/internal/mail"
)

// Message shows the milters a message that has come whole, one after the other, each what
// those before it have made of it; m has then what they changed. With an error nothing can
// be said of the message: the queue could not be read or written, or a modification was too
// much (a *mail.Status).
func (s *Session) Message(m *mail.MilterMessage) (mail.MilterReply, error) {
	if !s.wantContent() {
		return mail.MilterReply{}, nil
	}
	for _, c := range s.clients {
		was := c.log
		c.log = m.Log
		defer func() { c.log = was }()
	}
	e, err := newEditor(m)
	if err != nil {
		if errors.Is(err, errManyFields) {
			m.Log.Warn(m.ID.String() + ": message header too big for milters")
			err = &mail.Status{Code: 552, Enhanced: mail.Code(5, 3, 4), Text: "Error: message header too big"}
		}
		return mail.MilterReply{}, err
	}
	defer e.close()
	r := s.show(m, e)
	if e.failed != nil && (r.Action != mail.MilterDiscard && r.Action != mail.MilterShutdown && (r.Action != mail.MilterRefuse || r.Text[0] != '4')) {
		return mail.MilterReply{}, e.failed
	}
	if r.Action == mail.MilterContinue || r.Action == mail.MilterHold {
		return r, e.finish()
	}
	return r, nil
}

// wantContent tells whether any milter is to see the content.
func (s *Session) wantContent() bool {
	for _, c := range s.clients {
		if c.isActive() {
			return true
		}
	}
	return false
}

func (s *Session) show(m *mail.MilterMessage, e *editor) mail.MilterReply {
	// Those that have dropped out before are not asked (milter_send() of Postfix).
	var some []*client
	for _, c := range s.clients {
		if c.isActive() {
			some = append(some, c)
		}
	}
	active := Session{cfg: s.cfg, clients: some}
	return active.each(s.cfg.Lists.EndOfHeader, macrosEndOfHeader, m.Macros, func(c *client, header []byte) mail.MilterReply {
		names := s.cfg.Lists.EndOfData
		if len(c.lists[macrosEndOfData]) > 0 {
			names = c.lists[macrosEndOfData]
		}
		c.state = stateMessage
		r := c.content(e, header, s.cfg.expand(names, m.Macros))
		if r.Action == mail.MilterContinue && e.held {
			r.Action = mail.MilterHold
		}
		e.settle(c.state != stateError)
		if c.state == stateMessage || c.state == stateAcceptMessage {
			c.state = stateEnvelope
		}
		return r
	})
}

// content shows one milter the message.
func (c *client) content(e *editor, header, body []byte) mail.MilterReply {
	r, err := e.body.Open()
	if err != nil {
		e.failed = err
		return mail.MilterReply{}
	}
	defer r.Close()
	src := &cursor{r: bufio.NewReader(r)}
	var reply mail.MilterReply
	done := func() bool {
		return c.state != stateMessage || reply.Action != mail.MilterContinue || e.failed != nil
	}
	if c.unwanted&noHeaders == 0 {
		for i := range e.fields {
			if e.fields[i].own {
				continue
			}
			if reply = c.field(e, &e.fields[i], src, header); done() {
				return reply
			}
		}
	}
	if c.unwanted&noEOH == 0 {
		if reply = c.send(event{cmd: cmdEOH, not: noEOH, quiet: quietEOH, macros: header, content: true}, nil); done() {
			return reply
		}
	}
	if c.unwanted&noBody == 0 {
		if reply = c.bodyOf(e, src, body, done); done() {
			return reply
		}
	}
	return c.send(event{cmd: cmdEnd, macros: body, content: true}, e)
}

// field shows a header field, as far as it is within header_size_limit.
func (c *client) field(e *editor, f *field, src *cursor, macros []byte) mail.MilterReply {
	text := f.text
	if f.stored {
		n := f.size
		if limit := int64(c.cfg.HeaderLimit); limit > 0 {
			n = min(n, limit)
		}
		var b bytes.Buffer
		if err := src.copy(&b, f.at, n); err != nil {
			e.failed = err
			return mail.MilterReply{}
		}
		text = b.Bytes()
	}
	value := fieldValue(text, f.name, c.unwanted&leadingSpace != 0)
	return c.send(event{cmd: cmdHeader, not: noHeaders, quiet: quietHeader, macros: macros, content: true}, nil,
		appendString(nil, f.name), append(value, 0))
}

// bodyOf shows the body, without the empty line before it.
func (c *client) bodyOf(e *editor, src *cursor, macros []byte, done func() bool) (reply mail.MilterReply) {
	from := src.r
	if e.other != nil {
		r, err := e.other.Open()
		if err != nil {
			e.failed = err
			return reply
		}
		defer r.Close()
		from = r
	} else if err := src.seek(e.bodyAt); err != nil {
		e.failed = err
		return reply
	}
	chunk := make([]byte, bodyChunk)
	for {
		n, err := io.ReadFull(from, chunk)
		if n > 0 {
			reply = c.send(event{cmd: cmdBody, not: noBody, quiet: quietBody, macros: macros, content: true}, nil, chunk[:n])
			if done() {
				return reply
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return reply
		case err != nil:
			e.failed = err
			return reply
		}
		if c.skipping == cmdBody {
			return reply
		}
	}
}
