package screen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The engine talks SMTP with clients that are not handed on, and takes no mail. Each
// recipient is refused: for good if the client has failed a test, or so that it comes
// back. Meanwhile it does the deep tests.

// engine is the conversation of one session.
type engine struct {
	*session
	r       *bufio.Reader
	where   string // the last command, for the log
	esmtp   bool
	helo    string
	sender  mail.Address
	mailed  bool // MAIL was said
	secured bool
	count   int // commands
}

// bufferSize is what of a client's words can be seen at a time, as in Postfix.
const bufferSize = 4096

var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}

// talk has the engine talk. It never hands the client on.
func (s *session) talk() bool {
	s.start("tests after SMTP handshake")
	if s.failing() {
		// It gets to see all tests, for the log.
		s.todo |= deepTests
	}
	e := &engine{session: s, r: buffers.Get().(*bufio.Reader), where: "CONNECT"}
	defer func() {
		e.r.Reset(nil)
		buffers.Put(e.r)
	}()
	e.r.Reset(s.nc)
	// A client that has not waited for the greeting does not get one: so its commands and
	// our replies stay together.
	if !s.failedAt.has(pregreet) && s.send("220 "+s.d.o.Banner) != nil {
		return s.hangup()
	}
	for {
		line, end := e.command()
		if end == nil {
			end = e.run(line)
		}
		if end != nil {
			return end()
		}
	}
}

// An ending ends the session. nil: it goes on.
type ending func() bool

// with ends it with a reply.
func (e *engine) with(reply string) ending { return func() bool { return e.bye(reply) } }

func (e *engine) unavailable() ending {
	return e.with("421 " + e.d.o.MyHostname + " Service unavailable - try again later")
}

// command reads a line, within the time for a whole command.
func (e *engine) command() (line []byte, end ending) {
	limit := under(e.d.clients, e.d.o.CommandTime, e.d.o.StressCommandTime)
	e.nc.SetReadDeadline(time.Now().Add(limit))
	nc := e.nc
	stop := context.AfterFunc(e.ctx, func() { nc.SetReadDeadline(past()) })
	defer stop()
	for {
		c, err := e.r.ReadByte()
		switch {
		case err == nil:
		case e.ctx.Err() != nil:
			return nil, e.shutdown
		case timedOut(err):
			e.d.logf("COMMAND TIME LIMIT from %s after %s", e.at, e.where)
			return nil, e.with("421 4.4.2 " + e.d.o.MyHostname + " Error: timeout exceeded")
		default:
			return nil, e.hangup
		}
		if len(line) >= e.d.o.LineLength {
			e.d.logf("COMMAND LENGTH LIMIT from %s after %s", e.at, e.where)
			return nil, e.unavailable()
		}
		if c != '\n' {
			line = append(line, c)
			continue
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			return line[:n-1], nil
		}
		return line, e.bareLF(line)
	}
}

// run has the tests look at a line, and carries it out.
func (e *engine) run(line []byte) ending {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	name, args := token(string(line))
	before := e.where
	v, known := verbs[strings.ToUpper(name)]
	e.where = "UNIMPLEMENTED"
	if known {
		e.where = strings.ToUpper(name)
	}
	if !known {
		if end := e.notSMTP(name, args, before); end != nil {
			return end
		}
	}
	if !v.payload {
		if end := e.pipelined(name); end != nil {
			return end
		}
	}
	if e.where == "RCPT" {
		e.passDeep()
	}
	if e.count++; e.count > e.d.o.CommandCount && e.where != "QUIT" {
		e.d.logf("COMMAND COUNT LIMIT from %s after %s", e.at, before)
		return e.unavailable()
	}
	reply, end := "502 5.5.2 Error: command not recognized", ending(nil)
	switch {
	case v.run == nil:
	case e.d.o.RequireTLS && !e.secured && !v.early:
		reply = "530 5.7.0 Must issue a STARTTLS command first"
	default:
		reply, end = v.run(e, args)
	}
	if end == nil && reply != "" && e.send(reply) != nil {
		return e.hangup
	}
	return end
}

func timedOut(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// token takes the first word off a line.
func token(s string) (word, rest string) {
	s = strings.TrimLeft(s, " ")
	word, rest, _ = strings.Cut(s, " ")
	return word, rest
}

// fail is what becomes of a client that fails a deep test: drop is the last reply
// under the action drop, enforce what its recipients get under enforce. The test is not made again before the
// client hangs up.
func (e *engine) fail(t test, deep Deep, drop, enforce string) ending {
	e.failedAt.add(t)
	e.stamp(t, stampNone)
	e.done.add(t)
	switch deep.Action {
	case Drop:
		return e.with(drop)
	case Enforce:
		e.enforce(enforce)
	case Ignore:
		// It has passed, until some other test expires.
		e.failedAt.drop(t)
		e.pass(t, e.d.o.minTTL())
	}
	return nil
}

const protocolError = " 5.5.1 Protocol error"

// tests tells whether a deep test is still to be done.
func (e *engine) tests(t test) bool { return e.todo.has(t) && !e.done.has(t) }

func (e *engine) bareLF(line []byte) ending {
	if !e.tests(bareNewline) {
		return nil
	}
	e.d.logf("BARE NEWLINE from %s after %s", e.at, escape(line[:min(len(line), shownLimit)]))
	return e.fail(bareNewline, e.d.o.BareNewline, "521"+protocolError, "550"+protocolError)
}

func (e *engine) notSMTP(name, args, before string) ending {
	if !e.tests(nonSMTP) || !isHeader(name) && !e.forbidden(name) && !(e.d.o.SMTPUTF8 && !utf8.ValidString(name)) {
		return nil
	}
	e.d.logf("NON-SMTP COMMAND from %s after %s: %s %s", e.at, before, cut(printable(name)), escape([]byte(cut(args))))
	return e.fail(nonSMTP, e.d.o.NonSMTP, "521 5.7.0 Error: I can break rules, too. Goodbye.", "550"+protocolError)
}

func (e *engine) pipelined(name string) ending {
	if !e.tests(pipelining) || e.r.Buffered() == 0 {
		return nil
	}
	more, _ := e.r.Peek(min(e.r.Buffered(), shownLimit))
	e.d.logf("COMMAND PIPELINING from %s after %s: %s", e.at, cut(printable(name)), escape(more))
	return e.fail(pipelining, e.d.o.Pipelining, "521"+protocolError, "550"+protocolError)
}

// passDeep has the client pass what it has not failed: it has got as far as RCPT. It can
// still fail by a later command.
func (e *engine) passDeep() {
	o := &e.d.o
	for _, d := range []struct {
		test
		Deep
	}{{bareNewline, o.BareNewline}, {nonSMTP, o.NonSMTP}, {pipelining, o.Pipelining}} {
		if e.todo.has(d.test) && !e.passed.has(d.test) && !e.failedAt.has(d.test) {
			e.pass(d.test, d.TTL)
		}
	}
}

// isHeader tells whether a word looks like the beginning of a message header.
func isHeader(word string) bool {
	name, _, ok := strings.Cut(word, ":")
	return ok && name != "" && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// forbidden tells whether a command is in postscreen_forbidden_commands. A table in the
// list stands for what Postfix's default has one for: what does not begin with a letter.
func (e *engine) forbidden(name string) bool {
	return slices.ContainsFunc(e.d.o.ForbiddenCommands, func(word string) bool {
		if strings.Contains(word, ":") {
			return name != "" && (name[0]|0x20 < 'a' || name[0]|0x20 > 'z')
		}
		return strings.EqualFold(word, name)
	})
}
