package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// A server's reply as the client reads it: RFC 5321 section 4.2. What a server may
// send is without limit, so what is kept of it and how long it may take are limited
// here. Text is made printable on the way in, for it goes into the log and reports.

const (
	replyLineKept  = 2048     // bytes of a line, Postfix's line_length_limit; RFC 5321 has 512
	replyLinesKept = 512      // lines
	replyTextKept  = 2048     // bytes of what Text returns, to the end of the line that exceeds it
	replyNote      = 30       // bytes of what is too long, for a warning
	garbageKept    = 100      // lines without a code, and bytes of each
	replyBytesMax  = 64 << 10 // bytes read for one reply
	replySlowness  = 2        // a whole reply may take this many times one wait, if not told otherwise
)

// ErrReplyTooLong: the peer sent more than a reply can be. The connection is of no
// further use.
var ErrReplyTooLong = errors.New("endless reply")

// ErrReplyFilter: FilterReplies could not tell what a line is to be.
var ErrReplyFilter = errors.New("reply filter failed")

// FilterReplies has each line of a server's replies go through f, without its line end and
// printable. An error of f ends the connection.
func (c *Conn) FilterReplies(f func(line []byte) ([]byte, error)) { c.filter = f }

// WholeReplies makes the time limit that of a whole reply, and not that of each wait for a
// part of it.
func (c *Conn) WholeReplies(on bool) { c.whole = on }

// Reply is one reply, reused from one ReadReply to the next.
type Reply struct {
	// Code is the reply code of the last line, three digits.
	Code int
	// Enhanced is the enhanced status code of the last line; the zero value when there
	// was none, or one that does not go with Code (RFC 2034 section 4).
	Enhanced mail.Enhanced
	// Garbage tells that lines without a reply code came before the reply. With
	// pipelining nobody knows what they were the answer to: do not go on after this.
	Garbage bool

	text  []byte // the lines with their codes, printable, separated by LF
	lines int

	long    []string // beginnings of lines that were cut
	garbage []string // lines without a code, as many and as much of them as GarbageLines has
	line    []byte   // the current line as it came, cut at replyLineKept
}

// Class is the first digit of the code.
func (r *Reply) Class() int { return r.Code / 100 }

// Status is the enhanced status code, or the class followed by zeros where the server
// gave none. For codes that no enhanced code goes with it is 5.5.0.
func (r *Reply) Status() mail.Enhanced {
	switch c := r.Class(); {
	case r.Enhanced != mail.Enhanced{}:
		return r.Enhanced
	case c == 2 || c == 4 || c == 5:
		return mail.Code(uint16(c), 0, 0)
	}
	return mail.Code(5, 5, 0)
}

// Text is the reply as the log shows it: all lines with their codes, separated by
// spaces. Lines that begin beyond replyTextKept are left out.
func (r *Reply) Text() string {
	t := r.text[:r.shown()]
	if bytes.IndexByte(t, '\n') < 0 {
		return string(t)
	}
	return strings.ReplaceAll(string(t), "\n", " ")
}

func (r *Reply) shown() int {
	if len(r.text) > replyTextKept {
		if end := bytes.IndexByte(r.text[replyTextKept:], '\n'); end >= 0 {
			return replyTextKept + end
		}
	}
	return len(r.text)
}

// TooLong is what of the reply exceeds what is shown: the beginning of each line that was
// cut, and "" or the beginning of a reply of which lines are left out.
func (r *Reply) TooLong() (lines []string, reply string) {
	if r.shown() < len(r.text) {
		reply = string(beginning(r.text, replyNote))
	}
	return r.long, reply
}

// beginning is the first bytes of a text, without half of a character.
func beginning(text []byte, limit int) []byte {
	text = text[:min(len(text), limit)]
	for c, n := utf8.DecodeLastRune(text); c == utf8.RuneError && n == 1; c, n = utf8.DecodeLastRune(text) {
		text = text[:len(text)-1]
	}
	return text
}

// Hide replaces what must not get into a log or a report.
func (r *Reply) Hide(secret string) {
	if bytes.Contains(r.text, []byte(secret)) {
		r.text = bytes.ReplaceAll(r.text, []byte(secret), []byte("..."))
	}
}

// Lines are the texts of the lines, without their codes.
func (r *Reply) Lines() []string {
	lines := make([]string, 0, r.lines)
	for l := range bytes.SplitSeq(r.text, []byte{'\n'}) {
		if _, _, ok := replyCode(l); ok {
			l = l[min(4, len(l)):]
		}
		lines = append(lines, string(l))
	}
	return lines
}

// GarbageLines are those that Garbage is about: the first 100, and 100 bytes of each.
func (r *Reply) GarbageLines() []string { return r.garbage }

func (r *Reply) reset() {
	r.Code, r.Enhanced, r.Garbage = 0, mail.Enhanced{}, false
	r.text, r.lines, r.long, r.garbage = r.text[:0], 0, nil, nil
	if cap(r.text) > 4*replyTextKept { // of a talkative server; not kept for the quiet ones
		r.text = nil
	}
}

// ReadReply reads one reply. Each wait is at most the connection's timeout long, and
// the whole reply takes at most twice that: a server that sends a byte now and then
// does not hold us for days.
func (c *Conn) ReadReply(r *Reply) error {
	r.reset()
	timeout := c.timeout
	defer func() { c.timeout = timeout }()
	deadline := time.Now().Add(replySlowness * timeout)
	if c.whole {
		deadline = time.Now().Add(timeout)
	}

	left := replyBytesMax
	for {
		if err := c.readReplyLine(r, &left, deadline); err != nil {
			return err
		}
		if c.filter != nil {
			line, err := c.filter(appendPrintable(nil, r.line))
			if err != nil {
				c.err = err
				return err
			}
			r.line = append(r.line[:0], line[:min(len(line), replyLineKept)]...)
		}
		r.keep()
		code, more, ok := replyCode(r.line)
		if !ok {
			r.Garbage = true
			if len(r.garbage) < garbageKept {
				r.garbage = append(r.garbage, string(beginning(appendPrintable(nil, r.line), garbageKept)))
			}
			continue
		}
		if !more {
			r.Code, r.Enhanced = code, enhancedCode(r.line)
			return nil
		}
	}
}

// ReadRefusal reads a reply after a failed write. A server that does not want the rest
// of a message may answer and close before it has read all: the write fails, and the
// reason stands in what it sent. Only a refusal may be taken from such a connection;
// anything else that is found there is an error, and nothing can be sent any more.
func (c *Conn) ReadRefusal(r *Reply) error {
	failure := c.err
	c.err = nil
	err := c.ReadReply(r)
	if c.err == nil {
		c.err = failure
	}
	if err == nil && r.Class() != 4 && r.Class() != 5 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readReplyLine reads one line into r.line, without its line end.
func (c *Conn) readReplyLine(r *Reply, left *int, deadline time.Time) error {
	r.line = r.line[:0]
	for begun := false; ; begun = true {
		if c.r.Buffered() == 0 {
			if err := c.waitReply(deadline); err != nil {
				if err == io.EOF && begun {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		part, _ := c.r.Peek(c.r.Buffered())
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end+1]
		}
		if *left -= len(part); *left < 0 {
			c.err = ErrReplyTooLong
			return ErrReplyTooLong
		}
		r.line = append(r.line, part[:min(len(part), replyLineKept+2-len(r.line))]...)
		c.r.Discard(len(part))
		if end >= 0 {
			r.line = bytes.TrimRight(r.line, "\r\n")
			if len(r.line) > replyLineKept {
				r.line = r.line[:replyLineKept]
				r.long = append(r.long, string(beginning(appendPrintable(nil, r.line[:2*replyNote]), replyNote)))
			}
			return nil
		}
	}
}

// waitReply waits for at least one byte.
func (c *Conn) waitReply(deadline time.Time) error {
	if left := time.Until(deadline); left < c.timeout {
		if left <= 0 {
			c.err = os.ErrDeadlineExceeded
			return c.err
		}
		c.timeout = left
	}
	_, err := c.r.Peek(1)
	return err
}

// keep adds the current line to the text.
func (r *Reply) keep() {
	if r.lines >= replyLinesKept {
		return
	}
	if len(r.text) > 0 { // an empty line in front of all is none, as in Postfix
		r.text = append(r.text, '\n')
	}
	r.lines++
	r.text = appendPrintable(r.text, r.line)
}

// replyCode takes a line apart: three digits, then a hyphen where more lines follow, or
// a space, or nothing.
func replyCode(line []byte) (code int, more, ok bool) {
	if len(line) < 3 {
		return 0, false, false
	}
	for _, d := range line[:3] {
		if d < '0' || d > '9' {
			return 0, false, false
		}
		code = code*10 + int(d-'0')
	}
	if len(line) == 3 {
		return code, false, true
	}
	return code, line[3] == '-', line[3] == '-' || line[3] == ' '
}

// enhancedCode finds the enhanced status code of a last line. It counts only if its
// class is that of the reply code.
func enhancedCode(line []byte) mail.Enhanced {
	if len(line) < 4 {
		return mail.Enhanced{}
	}
	rest := bytes.TrimLeft(line[4:], " ")
	var e mail.Enhanced
	for i := range e {
		digits := 0
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && digits < 3 {
			e[i] = e[i]*10 + uint16(rest[0]-'0')
			rest = rest[1:]
			digits++
		}
		switch {
		case digits == 0, i == 0 && digits > 1:
			return mail.Enhanced{}
		case i < 2 && (len(rest) == 0 || rest[0] != '.'):
			return mail.Enhanced{}
		case i < 2:
			rest = rest[1:]
		case len(rest) > 0 && rest[0] != ' ':
			return mail.Enhanced{}
		}
	}
	if c := uint16(line[0] - '0'); e[0] != c || (c != 2 && c != 4 && c != 5) {
		return mail.Enhanced{}
	}
	return e
}

// appendPrintable adds text with a ? for everything that does not print. UTF-8 stays.
func appendPrintable(dst, text []byte) []byte {
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf {
			if b < ' ' || b == 0x7f {
				b = '?'
			}
			dst = append(dst, b)
			text = text[1:]
			continue
		}
		c, n := utf8.DecodeRune(text)
		if (c == utf8.RuneError && n == 1) || !unicode.IsGraphic(c) {
			dst = append(dst, '?')
		} else {
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}
