package bounce

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The words of a report: the built-in templates of bounce(5), and the lines.

// template is what a kind of report says, whatever it is about.
type template struct {
	subject, copySubject string
	text                 string
	returned             string // what the returned message is called
}

// templateOf is the template of a kind of report.
func (w *Writer) templateOf(k mail.ReportKind) template {
	const farewell = `
For further assistance, please send mail to postmaster.

If you do so, please include this problem report. You can
delete your own text from the attached returned message.
` + signature
	greeting := "This is the mail system at host " + w.o.MyHostname + ".\n"
	switch k {
	case mail.ReportFailed:
		return template{
			subject:     "Undelivered Mail Returned to Sender",
			copySubject: "Postmaster Copy: Undelivered Mail",
			text: greeting + `
I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.
` + farewell,
			returned: "Undelivered Message",
		}
	case mail.ReportDelayed:
		return template{
			subject:     "Delayed Mail (still being retried)",
			copySubject: "Postmaster Warning: Delayed Mail",
			text: greeting + `
####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than ` + units(w.o.DelayWarning, time.Hour) + ` hour(s).
It will be retried until it is ` + units(w.o.QueueLifetime, 24*time.Hour) + ` day(s) old.
` + farewell,
			returned: "Undelivered Message",
		}
	}
	return template{
		subject:     "Successful Mail Delivery Report",
		copySubject: "Successful Mail Delivery Report",
		text: greeting + `
Your message was successfully delivered to the destination(s)
listed below. If the message was delivered to mailbox you will
receive no further notifications. Otherwise you may still receive
notifications of mail delivery errors from other systems.
` + signature,
		returned: "Message",
	}
}

const signature = "\n                   The mail system\n"

func units(d, unit time.Duration) string { return strconv.FormatInt(int64(d/unit), 10) }

// mask makes one printable line of what others said: ends of line become a space, other
// control characters and bytes that are not UTF-8 a question mark, so that no reply of
// a server can add a field or a part to a report.
func mask(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = ' ' <= s[i] && s[i] < 0x7f
	}
	if clean {
		return strings.Trim(s, " ")
	}
	s = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ").Replace(s)
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1, r < ' ', 0x7f <= r && r < 0xa0, r == 0x2028, r == 0x2029:
			b.WriteByte('?')
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return strings.Trim(b.String(), " ")
}

// Lines are folded at width, as bounce(8) does, and go on with indent blanks, which is
// also what makes them one field.
const (
	width  = 79
	indent = 4
	// longest is what a word without a blank is cut at: RFC 5322 section 2.1.1 allows 998
	// octets in a line.
	longest = 900
)

// wrap adds s to b in lines of at most width octets, where its blanks allow that.
func wrap(b *strings.Builder, s string) {
	room, lead := width, ""
	for s != "" {
		line, rest := cut(s, room)
		b.WriteString(lead)
		b.WriteString(line)
		b.WriteString("\r\n")
		s = strings.TrimLeft(rest, " ")
		room, lead = width-indent, strings.Repeat(" ", indent)
	}
}

// cut parts s at the last blank that leaves at most room octets before it, or, when its
// first word is longer, at the end of that word.
func cut(s string, room int) (line, rest string) {
	if len(s) <= room {
		return strings.TrimRight(s, " "), ""
	}
	at := strings.LastIndexByte(s[:room+1], ' ')
	if at <= 0 {
		if at = strings.IndexByte(s, ' '); at < 0 {
			at = len(s)
		}
	}
	if at > longest {
		for at = longest; at > 0 && !utf8.RuneStart(s[at]); {
			at--
		}
		return s[:at], s[at:]
	}
	return strings.TrimRight(s[:at], " "), s[at:]
}
