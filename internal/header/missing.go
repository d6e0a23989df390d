package header

import (
	"fmt"
	"mime"
	"strings"
	"time"
)

// Date is a time as Postfix writes it into Date and Received fields: "Sat, 22 Nov 2025
// 10:00:00 +0000 (UTC)".
func Date(t time.Time) string { return t.Format(dateForm) }

// AppendDate appends what Date returns.
func AppendDate(b []byte, t time.Time) []byte { return t.AppendFormat(b, dateForm) }

const dateForm = "Mon, _2 Jan 2006 15:04:05 -0700 (MST)"

// endHeader adds what is missing, in the order in which cleanup(8) does. A message that
// was sent on by its recipient has Resent- fields, and gets those (RFC 5322 section
// 3.6.6).
func (w *Writer) endHeader() {
	w.state, w.dropping, w.held, w.asked = inBody, false, rewriter{}, asked{}
	if !w.o.AddMissing {
		return
	}
	resent, missing := "", ^w.seen
	if w.seen&hasResent != 0 {
		resent = "Resent-"
		missing >>= 3 // the same three, as Resent- fields
	}
	if missing&hasMessageID != 0 {
		id := fmt.Sprintf("<%s.%s@%s>", w.o.Now.UTC().Format("20060102150405"), w.o.ID, w.o.MyHostname)
		w.put([]byte(resent + "Message-Id: " + id + "\r\n"))
		w.addID(MessageID{Value: id, Resent: resent != ""})
	}
	if missing&hasDate != 0 {
		w.put([]byte(resent + "Date: " + Date(w.o.Now) + "\r\n"))
	}
	if missing&hasFrom != 0 {
		w.put([]byte(resent + "From: " + w.from() + "\r\n"))
	}
}

// from is who the message is from when it does not say so itself (postconf(5):
// header_from_format).
func (w *Writer) from() string {
	if w.o.From.IsNull() {
		return "MAILER-DAEMON"
	}
	addr := external(w.o.From)
	name := strings.Join(strings.Fields(w.o.FullName), " ")
	switch {
	case name == "":
		return addr
	case w.o.ObsoleteFrom:
		if name = commentText(name); name == "" {
			return addr
		}
		return addr + " (" + name + ")"
	case !isPrintable(name):
		name = encodedWord(name)
	case strings.ContainsAny(name, specials):
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return name + " <" + addr + ">"
}

// specials are what a phrase must have in quotes, with the operators of old addresses.
const specials = `%!()<>@,;:\".[]`

// commentText is what can stand between parentheses: pairs of them, and no backslash
// at the end.
func commentText(name string) string {
	if !isPrintable(name) {
		return encodedWord(name)
	}
	var b strings.Builder
	depth := 0
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			if i+1 == len(name) {
				continue
			}
			b.WriteByte('\\')
			i++
		case '(':
			depth++
		case ')':
			if depth == 0 {
				continue
			}
			depth--
		}
		b.WriteByte(name[i])
	}
	return b.String() + strings.Repeat(")", depth)
}

// encodedWord is a name as RFC 2047 has it in a phrase or a comment.
func encodedWord(name string) string {
	word := mime.QEncoding.Encode("utf-8", name)
	for _, c := range specials {
		word = strings.ReplaceAll(word, string(c), fmt.Sprintf("=%02X", c))
	}
	return word
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f })
}
