package smtpd

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/checks"
	"aliasmx/internal/header"
	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// The content of a message, from the codec through header.Writer into the draft, and the
// decision at its end.

// content is the message of a transaction, as far as it has come. The zero value is none.
type content struct {
	draft    mail.Draft
	header   *header.Writer
	checks   *checks.Filter // nil: nothing is checked
	above    []byte         // what checks have left of the fields above the message
	limit    *limiter
	digest   hash.Hash        // of all as it came; nil: nobody wants to know it again
	lines    *wire.LineWriter // of BDAT chunks, nil with DATA
	reserved int64            // of the server's memory for messages under way
}

func (c *content) begun() bool { return c.draft != nil }

// size is how much has come.
func (c *content) size() int64 {
	if c.limit == nil {
		return 0
	}
	return c.limit.passed
}

// abort drops what has come. The message may as well have been committed.
func (c *content) abort(s *session) {
	if c.draft != nil {
		c.draft.Abort()
	}
	s.srv.room.release(c.reserved)
	*c = content{}
}

// errOversize is what a limiter says when the message is longer than it may be.
var errOversize = errors.New("message_size_limit exceeded")

// limiter passes at most left bytes on (-1: any number). It remembers the error of who
// stands behind it, so that it can be told from one of the client's connection.
type limiter struct {
	w      io.Writer
	left   int64
	passed int64
	err    error
}

func (l *limiter) Write(p []byte) (int, error) {
	if l.left >= 0 {
		if int64(len(p)) > l.left {
			// What still fits has the header, which the log tells of.
			l.w.Write(p[:l.left])
			l.err = errOversize
			return int(l.left), l.err
		}
		l.left -= int64(len(p))
	}
	n, err := l.w.Write(p)
	l.passed += int64(n)
	if err != nil {
		l.err = err
	}
	return n, err
}

// BeforeData begins the content of a message: nothing of it is asked for before there is
// somewhere to put it.
func (s *session) BeforeData(verb string) error {
	if s.tx.accepted == 0 {
		return errNoRecipients()
	}
	if !s.peer.Local && len(s.o.Data) > 0 {
		if refused := s.askAbout(verb, s.o.Data, subject{class: classData, name: "DATA"}); refused != nil {
			return s.refuse(verb, s.onlyRecipient(), refused)
		}
	}
	if err := s.milterData(verb); err != nil {
		return err
	}
	c := &s.tx.content
	if c.reserved = s.srv.room.reserve(s.o); c.reserved == 0 {
		return s.refuse(verb, nil, status(452, mail.Code(4, 3, 1), "Error: too much mail under way, try again later"))
	}
	draft, err := s.o.Queue.Stage(s.ctx)
	if err != nil {
		c.abort(s)
		return s.refuse(verb, nil, s.queueRefusal("cannot begin to write it", err))
	}
	c.draft = draft
	c.header = header.NewWriter(draft, s.headerOptions())
	checked, err := s.check(c.header)
	if err != nil {
		c.abort(s)
		return s.refuse(verb, nil, s.queueRefusal("cannot begin to write it", err))
	}
	c.limit = &limiter{w: c.digested(s, checked), left: -1}
	if s.o.MessageSizeLimit > 0 {
		c.limit.left = s.o.MessageSizeLimit
	}
	return nil
}

// askAbout asks the list of a command that is about the whole message.
func (s *session) askAbout(stage string, list []Restriction, about subject) *mail.Status {
	s.begin(stage, s.onlyRecipient())
	s.judged.several = s.tx.accepted > 1
	return s.askAlone(s.lookup(), list, about, nil, nil)
}

// onlyRecipient is the recipient of a message that has just one.
func (s *session) onlyRecipient() *mail.Address {
	if s.tx.accepted == 1 {
		return &s.tx.first
	}
	return nil
}

// receive takes all content and ends the message.
func (s *session) receive(r io.Reader) error {
	c := &s.tx.content
	if _, err := io.Copy(c.limit, r); err != nil {
		return s.broken(err)
	}
	if d, ok := r.(*wire.DotReader); ok && d.BareLFs+d.StrayCRs > 0 {
		s.logChanged(d.BareLFs, d.StrayCRs)
	}
	return s.finish("Ok: queued as " + s.tx.idText)
}

// Chunk takes one BDAT chunk (RFC 3030).
func (s *session) Chunk(r io.Reader, size int64, last bool) error {
	c := &s.tx.content
	if !c.begun() {
		if err := s.BeforeData("BDAT"); err != nil {
			return err
		}
	}
	if c.lines == nil {
		c.lines = wire.NewLineWriter(c.limit, s.o.ReplaceStrayCR)
	}
	if c.limit.left >= 0 && size > c.limit.left {
		s.log.Warn("BDAT request from "+s.peer.String()+" exceeds message size limit", slog.String(mail.KeyQueueID, s.tx.idText))
		c.abort(s)
		return status(552, mail.Code(5, 3, 4), "Chunk exceeds message size limit")
	}
	if _, err := io.Copy(c.lines, r); err != nil {
		return s.broken(err)
	}
	if !last {
		return nil
	}
	if err := c.lines.Close(); err != nil {
		return s.broken(err)
	}
	if c.lines.BareLFs > 0 && s.o.bareLF(s.bareLF) == wire.BareLFReject {
		return s.broken(wire.ErrBareLF)
	}
	if c.lines.BareLFs+c.lines.StrayCRs > 0 {
		s.logChanged(c.lines.BareLFs, c.lines.StrayCRs)
	}
	return s.finish(fmt.Sprintf("Ok: %d bytes queued as %s", c.lines.Bytes, s.tx.idText))
}

func (s *session) logChanged(bareLFs, strayCRs int) {
	s.log.Debug("line ends normalized", slog.String(mail.KeyQueueID, s.tx.idText),
		slog.Int("bare_lf", bareLFs), slog.Int("stray_cr", strayCRs))
}

// broken ends a message that did not come whole.
func (s *session) broken(err error) error {
	c := &s.tx.content
	if c.header.Done() {
		s.logMessageIDs()
	}
	switch {
	case errors.Is(err, errOversize):
		s.log.Warn("queue file size limit exceeded", slog.String(mail.KeyQueueID, s.tx.idText))
		err = errTooBig()
	case errors.Is(err, wire.ErrBareLF):
		s.logReject("END-OF-MESSAGE", nil, "bare <LF> received")
		err = errBareLF(s.o)
	case c.limit.err != nil:
		err = s.queueRefusal("cannot write it", c.limit.err)
	}
	c.abort(s)
	return err
}

// finish decides about a message that has come whole, and commits it. done is what the
// client is told then.
func (s *session) finish(done string) error {
	c, came := &s.tx.content, s.o.Now()
	if err := c.close(); err != nil {
		c.limit.err = err
		return s.broken(err)
	}
	rejected := c.refused()
	// Our own Received field counts (postconf(5): hopcount_limit).
	if rejected == nil && c.hops() >= s.o.HopcountLimit {
		s.o.cleanupLog.Warn("message rejected: hopcount exceeded", slog.String(mail.KeyQueueID, s.tx.idText))
		c.abort(s)
		return status(554, mail.Code(5, 4, 0), "Error: too many hops")
	}
	if !s.tx.Discard && (rejected == nil || len(c.header.MessageIDs()) > 0) {
		s.logMessageIDs()
	}
	if !s.peer.Local && len(s.o.EndOfData) > 0 {
		if refused := s.askAbout("END-OF-MESSAGE", s.o.EndOfData, subject{class: classEndOfData, name: "END-OF-MESSAGE"}); refused != nil {
			c.abort(s)
			return s.refuse("END-OF-MESSAGE", s.onlyRecipient(), refused)
		}
	}
	var prepend []byte
	switch {
	case rejected != nil && (!s.peer.Local || rejected.Temporary()):
		c.abort(s)
		return rejected
	case rejected != nil:
		s.returned(rejected)
	default:
		if c.checks != nil {
			s.tx.Add(c.checks.Handling())
		}
		if s.tx.Discard {
			c.abort(s)
			return s.accepted(done)
		}
		if err := s.authenticMessage(); err != nil {
			c.abort(s)
			return err
		}
		s.add(s.tx.reverse.Last)
		var dropped bool
		var err error
		if prepend, dropped, err = s.filterMessage(); err != nil || dropped {
			c.abort(s)
			if dropped {
				err = s.accepted(done)
			}
			return err
		}
		if refused := s.route(); refused != nil {
			c.abort(s)
			return refused
		}
	}
	env := s.envelope()
	if prepend != nil {
		env.Prepend = prepend
	}
	if err := s.replyInstead(env); err != nil {
		c.abort(s)
		return err
	}
	err := s.commit(env, done, came)
	c.abort(s)
	return err
}

func (s *session) logMessageIDs() {
	s.tx.content.header.LogMessageIDs(s.o.cleanupLog, s.tx.idText)
}

// accepted is the reply to a message that was taken: no error, but go-smtp has no other
// way to give it a text.
func (s *session) accepted(text string) error {
	s.taken = smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: text}
	return &s.taken
}

// needsUTF8 tells whether a next hop has to know SMTPUTF8 to get this message.
func (s *session) needsUTF8() bool {
	return s.tx.content.header.EightBit() || s.filter.eightBit || !isASCII(s.tx.reverse.Path) ||
		slices.ContainsFunc(s.tx.rcpts, func(r mail.Recipient) bool { return !isASCII(r.Final) })
}

// envelope is what is kept with the message.
func (s *session) envelope() *mail.Envelope {
	env := &mail.Envelope{
		ID:      s.tx.id,
		Arrived: s.tx.arrived,
		Sender:  s.tx.reverse.Path,
		EnvID:   s.tx.opts.EnvelopeID,
		Ret:     string(s.tx.opts.Return),
		Client: mail.Client{
			Name: s.peer.Name, Addr: s.peer.Addr, Port: s.peer.Port, Helo: s.helo, Protocol: s.with(), UID: s.peer.UID,
		},
		Prepend: s.tx.content.above,
		Auth:    s.tx.auth.found,
		Rcpts:   s.tx.rcpts,
	}
	if s.tx.content.checks == nil {
		env.Prepend = s.above()
	}
	switch s.tx.opts.Body {
	case smtp.Body8BitMIME:
		env.Flags |= mail.FlagBody8BitMIME
	case smtp.Body7Bit:
		env.Flags |= mail.FlagBody7Bit
	}
	if s.tx.opts.UTF8 || s.o.SMTPUTF8Autodetect && s.needsUTF8() {
		env.Flags |= mail.FlagSMTPUTF8
	}
	switch {
	case s.tx.opts.RequireTLS:
		env.Flags |= mail.FlagRequireTLS
	case s.tx.content.header.TLSOptional():
		env.Flags |= mail.FlagTLSOptional
	}
	if s.peer.Local {
		env.Flags |= mail.FlagSubmitted
	}
	if s.tx.Hold {
		env.Flags |= mail.FlagHold
	}
	if s.filter.eightBit {
		env.Flags |= mail.FlagEightBit
	}
	return env
}
