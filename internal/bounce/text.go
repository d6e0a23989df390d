package bounce

import (
	"strings"
	"unicode/utf8"
)

// The lines of a report: what others said is masked, long ones are folded.

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
func wrap(b *strings.Builder, s string) { wrapAt(b, s, width) }

func wrapAt(b *strings.Builder, s string, width int) {
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
