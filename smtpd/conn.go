package smtpd

import (
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// conn is one connection: the loop that reads a command, has its verb carried out and
// replies, and what the verbs must know of each other. Its methods run on the
// connection's own goroutine.
type conn struct {
	srv  *Server
	o    *Options // those of the transaction
	wc   *wire.Conn
	peer Peer
	sess smtp.Session
	log  *slog.Logger

	counted *Options // the limits under which the client was counted; nil: it was not

	esmtp    bool   // the last greeting was EHLO
	greeted  bool   // there was one
	denied   bool   // the client may only QUIT
	improper bool   // has pipelined what it may not
	where    string // the last command, for the log
	tally    tally
	errors   int // refused commands since the last message
	junk     int // commands that did nothing, since the last message

	mail      bool // a transaction has begun
	utf8      bool // with SMTPUTF8
	rcpts     int  // recipients accepted
	overshoot int  // recipients beyond smtpd_recipient_limit
	bdat      bdatState

	mu   sync.Mutex
	busy bool // guarded by mu: in a transaction, which a shutdown lets finish
}

// serve runs the connection to its end.
func (c *conn) serve() {
	defer c.end()
	c.log.Info(mail.EventConnect, slog.String(mail.KeyClient, c.peer.String()))
	for ok := c.connect(); ok; ok = c.next() {
	}
}

// end gives back everything that belongs to the connection. After a panic it first says
// so, to the client and to the operator.
func (c *conn) end() {
	if why := recover(); why != nil {
		c.guard(func() {
			c.log.Error("panic while serving "+c.peer.String(), slog.Any("panic", why), slog.String("stack", string(debug.Stack())))
			c.say(say(421, mail.Code(4, 3, 0), c.o.MyHostname+" Error: internal error"))
			c.wc.Farewell()
		})
	}
	c.guard(func() {
		if c.sess != nil {
			c.sess.Logout()
		}
	})
	c.guard(func() { c.wc.Linger(lingerTime) })
	c.wc.Release()
	c.log.Info(mail.EventDisconnect, slog.String(mail.KeyClient, c.peer.String()), slog.String(mail.KeyCommands, c.tally.String()))
	if c.counted != nil {
		c.srv.clients.disconnect(c.counted, c.peer.Addr)
	}
}

// lingerTime is how long a client that is still sending may take to see the last reply.
const lingerTime = 2 * time.Second

// guard runs a step of the end, in whatever state a panic has left things.
func (c *conn) guard(step func()) {
	defer func() {
		if why := recover(); why != nil {
			c.log.Error("panic at the end of a session", slog.Any("panic", why))
		}
	}()
	step()
}

// next carries out one command. It tells whether to go on.
func (c *conn) next() bool {
	if c.errors >= c.o.HardErrorLimit {
		c.say(say(421, mail.Code(4, 7, 0), c.o.MyHostname+" Error: too many errors"))
		c.flush()
		c.lost("too many errors")
		return false
	}
	if c.isClosing() {
		c.say(c.shuttingDown())
		c.flush()
		return false
	}
	line, err := c.readCommand()
	if err != nil {
		c.readFailed(err)
		return false
	}
	if line.Cut {
		c.log.Warn(c.peer.String() + ": request longer than " + itoa(c.o.LineLengthLimit) + ": " + echo(string(line.Text), 30) + "...")
	}
	if line.BareLF && c.o.ForbidBareNewline == wire.BareLFReject {
		if s, ok := c.sess.(*session); ok {
			s.logReject(c.where, nil, "bare <LF> received")
		}
		c.say(answer(errBareLF(c.o.MyHostname), reply{}))
		c.flush()
		return false
	}
	r := c.command(string(line.Text))
	if r.silent {
		return false
	}
	c.say(r)
	if r.close {
		c.flush()
		return false
	}
	return true
}

// readCommand waits for the next command. Replies leave when there is nothing left to do
// without the client (RFC 2920 section 3.2).
func (c *conn) readCommand() (wire.Line, error) {
	c.wc.SetBudget(c.o.Timeout, 0)
	if !c.wc.HasLine() {
		if err := c.wc.Flush(); err != nil {
			return wire.Line{}, err
		}
		if err := c.wc.Await(); err != nil {
			return wire.Line{}, err
		}
	}
	return c.wc.ReadCommand(c.o.LineLengthLimit)
}

// command carries out one command line.
func (c *conn) command(line string) reply {
	if !utf8.ValidString(line) {
		c.errors++
		return say(500, mail.Code(5, 5, 2), "Error: bad UTF-8 syntax")
	}
	v, word, arg := parseCommand(line)
	if word == "" {
		c.errors++
		return say(500, mail.Code(5, 5, 2), "Error: bad syntax")
	}
	c.where = v.String()
	var r reply
	switch {
	case v == verbUnknown && c.isForbidden(word):
		c.log.Warn("non-SMTP command from " + c.peer.String() + ": " + echo(line, maxEchoed))
		r = say(221, mail.Code(2, 7, 0), "Error: I can break rules, too. Goodbye.")
		r.close = true
		c.tally.count(v, false)
		return r
	case strings.ContainsFunc(line, isControl):
		r = say(500, mail.Code(5, 5, 2), "Error: bad syntax")
	case v == verbUnknown:
		r = say(500, mail.Code(5, 5, 2), "Error: command not recognized")
	case c.denied && v != verbQuit:
		r = say(503, mail.Code(5, 7, 0), "Error: access denied for "+c.peer.String())
	case c.pipelined(v):
		r = say(554, mail.Code(5, 5, 0), "Error: SMTP protocol synchronization")
		r.close = true
	default:
		r = c.run(v, arg)
	}
	c.tally.count(v, r.ok())
	if !r.ok() {
		c.errors++
	}
	if v.junk() {
		if c.junk++; c.junk > c.o.JunkCommandLimit {
			c.errors++
		}
	}
	return r
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isForbidden tells what no mail client would say (smtpd_forbidden_commands).
func (c *conn) isForbidden(word string) bool {
	if first := word[0] &^ 0x20; first < 'A' || first > 'Z' {
		return true
	}
	for _, f := range c.o.ForbiddenCommands {
		if strings.EqualFold(f, word) {
			return true
		}
	}
	return false
}

// pipelined looks whether the client has sent on without waiting where it had to: after
// some commands, and after all of them before it has said EHLO. It tells whether that is
// the end (smtpd_forbid_unauth_pipelining). DATA decides for itself: commands that follow
// one which is refused are a nuisance, but the body before 354 is an attack.
func (c *conn) pipelined(v verb) bool {
	if c.peer.Local || v == verbBdat || v == verbQuit || c.esmtp && !v.last() || !c.wc.Pending() {
		return false
	}
	if !c.improper {
		c.improper = true
		ahead, _ := c.wc.Reader().Peek(min(c.wc.Buffered(), maxEchoed))
		c.log.Info("improper command pipelining after " + v.String() + " from " + c.peer.String() + ": " + escape(ahead))
		if s, ok := c.sess.(PipeliningSession); ok {
			s.ImproperPipelining()
		}
	}
	return c.o.ForbidUnauthPipelining && (v != verbData || !c.esmtp)
}

// run has a verb carried out.
func (c *conn) run(v verb, arg string) reply {
	switch v {
	case verbHelo, verbEhlo:
		return c.hello(arg, v == verbEhlo)
	case verbMail:
		return c.mailFrom(arg)
	case verbRcpt:
		return c.rcptTo(arg)
	case verbData:
		return c.data(arg)
	case verbBdat:
		return c.chunk(arg)
	case verbRset:
		return c.rset(arg)
	case verbNoop:
		return say(250, mail.Code(2, 0, 0), "Ok")
	case verbVrfy:
		return c.vrfy(arg)
	case verbEtrn:
		return c.etrn(arg)
	case verbQuit:
		r := say(221, mail.Code(2, 0, 0), "Bye")
		r.close = true
		return r
	}
	return c.notOffered(v, arg)
}

// say adds a reply to what is to be sent. A client that makes many errors is slowed down
// (smtpd_error_sleep_time).
func (c *conn) say(r reply) {
	if c.o.SoftBounce && r.code/100 == 5 {
		soft := soften(status(r.code, r.enhanced, ""))
		r.code, r.enhanced = soft.Code, soft.Enhanced
	}
	if c.errors >= c.o.SoftErrorLimit && c.o.ErrorSleep > 0 && !c.peer.Local {
		c.wc.Flush()
		c.srv.pause(c.o.ErrorSleep)
	}
	r.write(c.wc.Writer())
}

func (c *conn) flush() bool { return c.wc.Flush() == nil }

// readFailed ends a connection on which nothing more can be read. What there is to say
// can still be said.
func (c *conn) readFailed(err error) {
	switch {
	case err == wire.ErrInterrupted:
		c.say(c.shuttingDown())
		c.wc.Farewell()
	case wire.IsTimeout(err):
		c.say(say(421, mail.Code(4, 4, 2), c.o.MyHostname+" Error: timeout exceeded"))
		c.wc.Farewell()
		c.lost("timeout")
	default:
		c.lost("lost connection")
	}
}

// lost logs why a connection ended without QUIT.
func (c *conn) lost(why string) {
	c.log.Info(mail.EventLost, slog.String(mail.KeyReason, why), slog.String(mail.KeyStage, c.where),
		slog.String(mail.KeyClient, c.peer.String()))
}

func (c *conn) shuttingDown() reply {
	return say(421, mail.Code(4, 3, 2), c.o.MyHostname+" Service shutting down")
}

// isClosing tells whether the server is shutting down and this connection has nothing
// under way that it would let finish.
func (c *conn) isClosing() bool { return !c.mail && c.srv.isClosing() }

// begin marks the beginning of a transaction, unless the server is shutting down.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.srv.isClosing() {
		return false
	}
	c.busy = true
	return true
}

// reset ends the transaction.
func (c *conn) reset() {
	c.sess.Reset()
	c.mail, c.utf8, c.rcpts, c.overshoot, c.bdat = false, false, 0, 0, bdatNone
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
}

// interrupt ends the wait for the next command, unless a transaction is under way.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy {
		c.wc.Interrupt()
	}
}

// pause waits, as long as the server runs.
func (s *Server) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closing:
	}
}
