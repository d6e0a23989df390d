package smtpd

import (
	"bufio"
	"errors"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// reply is the answer to one command.
type reply struct {
	code     int
	enhanced mail.Enhanced // zero: none
	text     string
	more     []string // further lines (EHLO)
	// harmless: a refusal that counts as success (smtpd_recipient_overshoot_limit).
	harmless bool
	close    bool // the connection ends with it
	silent   bool // there is nobody left to tell
	said     bool // it has been told already
}

func (r reply) ok() bool { return r.code < 400 && !r.silent || r.harmless }

func say(code int, enhanced mail.Enhanced, text string) reply {
	return reply{code: code, enhanced: enhanced, text: text}
}

// plain is a reply without an enhanced status code.
func plain(code int, text string) reply { return reply{code: code, text: text} }

// answer is the reply that a session's error stands for; done is said for nil.
func answer(err error, done reply) reply {
	if err == nil {
		return done
	}
	if e, ok := err.(*smtp.SMTPError); ok && e.Code == 250 { // the usual end of a message
		return reply{code: 250, enhanced: mail.Code(2, 0, 0), text: e.Message}
	}
	if m, ok := errors.AsType[*milterRefusal](err); ok {
		return m.reply()
	}
	s, ok := statusIn(err)
	if !ok || s.Code < 200 || s.Code > 599 {
		s = errLookup()
	}
	// RFC 5321 section 3.8: after 421 (and 521) the server closes.
	return reply{code: s.Code, enhanced: s.Enhanced, text: s.Text, close: s.Code%100 == 21}
}

const (
	// maxReplyLine is RFC 5321 section 4.5.3.1.5.
	maxReplyLine = 512
	// What of a client's words is told back to it.
	maxEchoed        = 100
	maxEchoedAddress = 320 // RFC 3696 section 3 with its errata: more than any valid one
)

// write adds a reply to what is to be sent.
func (r reply) write(w *bufio.Writer) {
	for i := 0; i <= len(r.more); i++ {
		w.Write(append(r.appendLine(w.AvailableBuffer(), i), '\r', '\n'))
	}
}

// appendLine appends one of the lines of a reply.
func (r reply) appendLine(b []byte, i int) []byte {
	text := r.text
	if i > 0 {
		text = r.more[i-1]
	}
	b = strconv.AppendInt(b, int64(r.code), 10)
	if i < len(r.more) {
		b = append(b, '-')
	} else {
		b = append(b, ' ')
	}
	if r.enhanced != (mail.Enhanced{}) {
		for j, n := range r.enhanced {
			if j > 0 {
				b = append(b, '.')
			}
			b = strconv.AppendUint(b, uint64(n), 10)
		}
		b = append(b, ' ')
	}
	return append(b, echo(text, maxReplyLine-2-len(b))...)
}

// echo makes words that came from outside fit for a reply: printable, and not too many.
func echo(s string, most int) string {
	clean := len(s) <= most
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f
	}
	if clean {
		return s
	}
	b := make([]byte, 0, min(len(s), most))
	for len(s) > 0 {
		c, n := utf8.DecodeRuneInString(s)
		if len(b)+n > most {
			break
		}
		if unicode.IsControl(c) || c == utf8.RuneError && n == 1 {
			b = append(b, '?')
		} else {
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b)
}
