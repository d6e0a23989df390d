package milter

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"aliasmx/internal/mail"
)

// client is the connection to one milter in one session, and what the milter has decided
// about it.
type client struct {
	*Milter
	cfg *Config
	ctx context.Context
	log *slog.Logger

	conn  net.Conn // nil: none, or not any more
	leave func() bool
	r     *bufio.Reader
	w     *bufio.Writer

	state    state
	standing mail.MilterReply // given to every event, once it is not Continue
	unwanted uint32           // events that the milter does not want, and the rest it has asked for
	absent   uint32           // events that its version of the protocol does not have
	skipping byte             // the event of which it wants no more of the same kind
	holds    bool             // it has quarantined a message at an event of the envelope
	lists    [numMacroLists][]string
}

// state is where the conversation with a milter stands.
type state uint8

const (
	stateClosed   state = iota // not connected
	stateReady                 // before connect
	stateEnvelope              // between events
	stateMessage               // in the content of a message
	stateAcceptConn
	stateAcceptMessage
	stateRefuseConn
	stateError // standing is the answer
)

// event is what a milter is told.
type event struct {
	cmd     byte
	not     uint32 // noConnect ...: set when it is not to be sent; 0: it always is
	quiet   uint32 // quietConnect ...: set when the milter does not reply
	macros  []byte // content of the packet that goes before it
	content bool   // milter_content_timeout holds
}

// send tells the milter an event and waits for its reply. Modifications go to edits; where
// that is nil there may be none.
func (c *client) send(e event, edits *editor, data ...[]byte) mail.MilterReply {
	if c.absent&e.not != 0 {
		return c.standing
	}
	if c.skipping == e.cmd {
		return c.standing
	}
	c.skipping = 0
	c.arm(e.content, time.Time{})
	writePacket(c.w, cmdMacro, []byte{e.cmd}, e.macros)
	if c.unwanted&e.not != 0 {
		return c.standing // its macros go all the same
	}
	writePacket(c.w, e.cmd, data...)
	if c.unwanted&e.quiet != 0 {
		return c.standing // what was written leaves with the next event that has a reply
	}
	if r := c.flush(); c.state == stateError {
		return r
	}
	return c.await(e, edits)
}

// flush sends what was written.
func (c *client) flush() mail.MilterReply {
	if err := c.w.Flush(); err != nil {
		return c.broken("error writing command: " + reason(err))
	}
	return c.standing
}

// await reads replies until one decides.
func (c *client) await(e event, edits *editor) mail.MilterReply {
	end := c.cfg.now().Add(maxSteps * c.limit(e.content))
	c.holds = false
	for {
		c.arm(e.content, end)
		code, n, err := readHead(c.r, e.cmd)
		if err != nil {
			return c.broken(err.Error())
		}
		if r, decided := c.reply(e, code, n, edits); decided {
			if c.holds && r.Action == mail.MilterContinue {
				r.Action = mail.MilterHold
			}
			return r
		}
	}
}

// reply takes one reply. It tells whether that decides.
func (c *client) reply(e event, code byte, n int, edits *editor) (r mail.MilterReply, decided bool) {
	begin := e.cmd == cmdConnect || e.cmd == cmdHelo
	if edits != nil && edits.next != nil && code != replyBody {
		edits.whole = true
	}
	switch code {
	case replyProgress, replyContinue, replyAccept, replyDiscard, replyReject, replyTempfail, replyShutdown, replySkip:
		if n != 0 {
			return c.broken("reply " + nameOf(replyNames, code, "unknown") + " was followed by " + itoa(n) + " data bytes"), true
		}
	}
	switch code {
	case replyProgress:
		return r, false
	case replyContinue:
	case replyAccept:
		if c.state = stateAcceptMessage; begin {
			c.hangUp(stateAcceptConn)
		}
	case replyDiscard:
		if begin {
			c.warn("DISCARD action is not allowed for connect or helo")
			break
		}
		c.state = stateAcceptMessage
		return mail.MilterReply{Action: mail.MilterDiscard}, true
	case replyReject:
		return c.refused("550 5.7.1 Command rejected", begin), true
	case replyTempfail:
		return c.refused("451 4.7.1 Service unavailable - try again later", begin), true
	case replyShutdown:
		c.hangUp(stateRefuseConn)
		c.standing = mail.MilterReply{Action: mail.MilterShutdown}
	case replySkip:
		c.skipping = e.cmd
	case replyCode:
		data, err := readData(c.r, n)
		if err != nil {
			return c.broken(err.Error()), true
		}
		text, ok := replyText(string(data), c.cfg.SoftBounce)
		if !ok {
			return c.misconfigured("malformed reply: " + printable(text)), true
		}
		return c.refused(text, begin), true
	case replyQuarantine:
		data, err := readData(c.r, n)
		if err != nil {
			return c.broken(err.Error()), true
		}
		if edits != nil {
			edits.hold(strings.TrimRight(string(data), "\x00"))
			return r, false
		}
		c.holds = true // there is no message yet, but it can only mean the next one
		return r, false
	default:
		if e.cmd != cmdEnd || edits == nil || !edits.knows(code) {
			return c.broken("unexpected filter response " + nameOf(replyNames, code, "(unknown filter reply)") +
				" after event " + nameOf(commandNames, e.cmd, "(unknown MTA event)")), true
		}
		if code == replyBody {
			return c.replaceBody(n, edits)
		}
		data, err := readData(c.r, n)
		if err != nil {
			return c.broken(err.Error()), true
		}
		return c.edit(code, data, edits)
	}
	return c.standing, true
}

// refused is a refusal in so many words. One of connect or HELO stands for the session, and
// libmilter expects to hear no more of it.
func (c *client) refused(text string, begin bool) mail.MilterReply {
	r := mail.MilterReply{Action: mail.MilterRefuse, Text: text}
	if begin {
		c.hangUp(stateRefuseConn)
		c.standing = r
	}
	return r
}

// broken gives up a milter that cannot be had, or that does not keep to the protocol.
func (c *client) broken(what string) mail.MilterReply {
	c.warn(what)
	return c.giveUp("550 5.5.0 Service unavailable", "451 4.7.1 Service unavailable - try again later")
}

// misconfigured gives up a milter that says what nobody can do.
func (c *client) misconfigured(what string) mail.MilterReply {
	const later = "451 4.3.5 Server configuration problem - try again later"
	c.warn(what)
	return c.giveUp(later, later)
}

func (c *client) giveUp(reject, tempfail string) mail.MilterReply {
	c.hangUp(stateError)
	switch c.DefaultAction {
	case Accept:
		c.standing = mail.MilterReply{}
	case Quarantine:
		c.standing = mail.MilterReply{Action: mail.MilterHold}
	case Shutdown:
		c.standing = mail.MilterReply{Action: mail.MilterShutdown}
	case Reject:
		if c.cfg.SoftBounce && reject[0] == '5' {
			reject = "4" + reject[1:4] + "4" + reject[5:]
		}
		c.standing = mail.MilterReply{Action: mail.MilterRefuse, Text: reject}
	default:
		c.standing = mail.MilterReply{Action: mail.MilterRefuse, Text: tempfail}
	}
	return c.standing
}

func (c *client) hangUp(s state) {
	if c.conn != nil {
		c.leave()
		c.conn.Close()
		c.conn, c.r, c.w = nil, nil, nil
	}
	c.state = s
}

// warn says what is wrong with the milter, in Postfix's words, some of which begin with the
// name of a function of its own.
func (c *client) warn(what string) {
	switch {
	case what == errNoNUL.Error():
		c.log.Warn("milter8_read_data: milter " + c.Name + ": " + what)
	case strings.HasPrefix(what, "milter8_"):
		c.log.Warn(what)
	default:
		c.log.Warn("milter " + c.Name + ": " + what)
	}
}

func (c *client) limit(content bool) time.Duration {
	if content {
		return c.ContentTimeout
	}
	return c.CommandTimeout
}

// arm sets the deadline of the next packet, not behind end.
func (c *client) arm(content bool, end time.Time) {
	t := c.cfg.now().Add(c.limit(content))
	if !end.IsZero() && end.Before(t) {
		t = end
	}
	c.conn.SetDeadline(t)
}

// isActive tells whether the milter is to hear of the content of a message.
func (c *client) isActive() bool { return c.conn != nil && c.state == stateEnvelope }

// replyText checks a reply of a milter's own as Postfix does, and takes off what libmilter
// does to a percent sign.
func replyText(s string, soft bool) (text string, ok bool) {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.TrimRight(s, "\r\n")
	if len(s) < 4 || s[0] != '4' && s[0] != '5' || !isDigit(s[1]) || !isDigit(s[2]) || s[3] != ' ' && s[3] != '-' ||
		len(s) > 4 && isDigit(s[4]) && s[4] != s[0] {
		return s, false
	}
	if strings.Contains(s, "%") {
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			if s[i] == '%' {
				if i++; i == len(s) {
					break
				}
			}
			b.WriteByte(s[i])
		}
		s = b.String()
	}
	lines := strings.Split(s, "\r\n")
	for i, line := range lines {
		if soft && strings.HasPrefix(line, "5") {
			b := []byte(line)
			if b[0] = '4'; len(b) > 4 && b[4] == '5' {
				b[4] = '4'
			}
			lines[i] = string(b)
		}
	}
	return strings.Join(lines, "\r\n"), true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// reason says why a connection failed, in the words of strerror(3), which Postfix logs. It
// has none for a peer that closed in good order.
func reason(err error) string {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return "Application error"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "Connection timed out"
	case ok:
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return "Connection timed out"
	}
	return err.Error()
}

// printable makes words of a milter fit for the log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
