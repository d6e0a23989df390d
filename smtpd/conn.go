package smtpd

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"unicode"
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

	tls                     *tls.ConnectionState // nil: in the clear
	mayXclient, mayXforward bool                 // smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts

	nobody  bool     // the proxy before us has not said who this is
	over    bool     // the last reply was the end, although its verb did not know that
	discard []string // extensions not to offer to this client
	unclear bool     // nobody could say which
	bareLF  bool     // the client may send lines that end in LF (smtpd_forbid_bare_newline_exclusions)
	counted *Options // the limits under which the client was counted; nil: it was not

	authenticated bool // AUTH has succeeded

	esmtp    bool   // the last greeting was EHLO
	greeted  bool   // there was one
	denied   bool   // the client may only QUIT
	improper bool   // has pipelined what it may not
	where    string // the last command, for the log
	tally    tally
	talk     transcript
	reason   string // why the session ended before its time
	open     int    // connections of the client, when this one came
	errors   int    // refused commands since the last message
	junk     int    // commands that did nothing, since the last message

	mail      bool             // a transaction has begun
	utf8      bool             // with SMTPUTF8
	rcpts     int              // recipients accepted
	rcpt      smtp.RcptOptions // of the recipient under way
	overshoot int              // recipients beyond smtpd_recipient_limit
	bdat      bdatState
	dot       wire.DotReader // of the message under way
	chunked   int64          // octets of the chunks taken

	unheard *unheard // the reply to the last message; nil: nobody asks

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
	c.heardNext(err)
	if err != nil {
		c.readFailed(err)
		return false
	}
	if line.Cut || len(line.Text) == c.o.LineLengthLimit { // the line end does not fit, either
		c.log.Warn(c.peer.String() + ": request longer than " + itoa(c.o.LineLengthLimit) + ": " + echo(withoutSecret(line.Text), 30) + "...")
	}
	if line.BareLF && c.o.bareLF(c.bareLF) == wire.BareLFReject {
		if s, ok := c.sess.(*session); ok {
			s.logReject(c.where, nil, "bare <LF> received")
		}
		c.say(answer(errBareLF(c.o), reply{}))
		c.flush()
		return false
	}
	c.heard(line.Text)
	r := c.command(string(line.Text))
	if r.silent {
		return false
	}
	if !r.said {
		c.say(r)
	}
	c.flushReply()
	if r.close || c.over {
		c.flush()
		return false
	}
	return true
}

// readCommand waits for the next command. Replies leave when there is nothing left to do
// without the client (RFC 2920 section 3.2).
func (c *conn) readCommand() (wire.Line, error) {
	c.allowForCommand()
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
	v, word, arg := parseCommand(line)
	if !utf8.ValidString(line) {
		c.errors++
		r := say(500, mail.Code(5, 5, 2), "Error: bad UTF-8 syntax")
		r.close = v == verbBdat // nobody knows where the next command begins
		return r
	}
	if c.o.CommandFilter != nil {
		var ok bool
		if line, ok = c.replaced(line); !ok {
			return c.localDataError()
		}
		v, word, arg = parseCommand(line)
	}
	if word == "" {
		c.errors++
		return say(500, mail.Code(5, 5, 2), "Error: bad syntax")
	}
	if c.listed(c.o.NoopCommands, "smtpd_noop_commands", word) {
		c.countJunk()
		return say(250, mail.Code(2, 0, 0), "Ok")
	}
	c.where = v.String()
	var r reply
	refused := true // before anybody looked at what it says
	switch {
	case v == verbUnknown && c.isForbidden(word):
		c.log.Warn("non-SMTP command from " + c.peer.String() + ": " + escape([]byte(line[:min(len(line), maxEchoed)])))
		r = say(221, mail.Code(2, 7, 0), "Error: I can break rules, too. Goodbye.")
		r.close = true
		c.tally.count(v, false)
		return r
	case hasControl(line):
		r = say(500, mail.Code(5, 5, 2), "Error: bad syntax")
	case c.denied && v != verbQuit:
		r = say(503, mail.Code(5, 7, 0), "Error: access denied for "+c.peer.String())
	case v == verbUnknown:
		r = c.unknown(word)
	case c.pipelined(v):
		r = say(554, mail.Code(5, 5, 0), "Error: SMTP protocol synchronization")
		r.close = true
	case c.needsTLS(v):
		r = say(530, mail.Code(5, 7, 0), "Must issue a STARTTLS command first")
	default:
		refused = false
		r = c.run(v, arg)
	}
	if refused && v == verbBdat {
		r = c.refuseChunk(arg, r)
	}
	// After XCLIENT the session begins anew, and Postfix never gets to count it as done.
	c.tally.count(v, r.ok() && v != verbXclient)
	if !r.ok() {
		c.errors++
	}
	if v.junk() {
		c.countJunk()
	}
	return r
}

// isControl tells control characters, those of ISO 8859 (U+0080 to U+009F) too: terminals
// obey them.
func isControl(c rune) bool { return unicode.IsControl(c) && c != '\t' }

// hasControl tells whether there are any; most lines are ASCII, where that is seen at once.
func hasControl(line string) bool {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c >= utf8.RuneSelf:
			return strings.ContainsFunc(line[i:], isControl)
		case c < ' ' && c != '\t' || c == 0x7f:
			return true
		}
	}
	return false
}

// run has a verb carried out.
func (c *conn) run(v verb, arg string) reply {
	switch v {
	case verbHelo, verbEhlo:
		return c.hello(arg, v == verbEhlo)
	case verbStartTLS:
		return c.startTLS(arg)
	case verbAuth:
		return c.auth(arg)
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
	case verbXclient:
		return c.xclient(arg)
	case verbXforward:
		return c.xforward(arg)
	case verbQuit:
		r := say(221, mail.Code(2, 0, 0), "Bye")
		r.close = true
		return r
	}
	return say(500, mail.Code(5, 5, 2), "Error: command not recognized")
}

// say adds a reply to what is to be sent. A client that makes many errors is slowed down
// (smtpd_error_sleep_time).
func (c *conn) say(r reply) {
	r = c.filtered(r)
	if c.o.SoftBounce && r.code/100 == 5 {
		soft := soften(status(r.code, r.enhanced, ""))
		r.code, r.enhanced = soft.Code, soft.Enhanced
	}
	if c.errors >= c.o.SoftErrorLimit && c.o.ErrorSleep > 0 && !c.peer.Local {
		c.wc.Flush()
		c.srv.pause(c.o.ErrorSleep)
	}
	r = c.footed(r)
	c.told(r)
	r.write(c.wc.Writer())
}

func (c *conn) flush() bool { return c.wc.Flush() == nil }

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
	c.sendTranscript(c.o.historyLimit(), "")
	c.mail, c.utf8, c.rcpts, c.overshoot, c.bdat, c.chunked = false, false, 0, 0, bdatNone, 0
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
}
