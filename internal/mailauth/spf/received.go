package spf

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// The Received-SPF field of RFC 7208 section 9.1.

const (
	foldAt   = 78  // characters of a line (RFC 5322 section 2.1.1)
	maxValue = 320 // bytes of a value: an address of full length (RFC 3696 erratum 1690)
)

// ReceivedSPF is the whole field, folded, with CRLF line ends, for a Result of Check or
// CheckHelo. receiver is our name; "" leaves it out. The identity is helo where it was HELO that was asked about.
func ReceivedSPF(res Result, q Request, receiver string) []byte {
	f := folder{line: "Received-SPF: " + string(res.Result)}
	ip := q.IP.Unmap().WithZone("")
	note := fmt.Sprintf(notes[res.Result], bounded(res.Domain), ip)
	if receiver != "" {
		note = bounded(receiver) + ": " + note
	}
	note = strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(note)
	for word := range strings.FieldsSeq("(" + note + ")") {
		f.add(word)
	}
	identity := "mailfrom"
	if q.Sender.IsNull() || domainOf(q.Sender.Domain) != res.Domain {
		identity = "helo"
	}
	pairs := [][2]string{
		{"client-ip", ip.String()},
		{"envelope-from", senderText(q.Sender)},
		{"helo", bounded(q.Helo)},
		{"identity", identity},
		{"mechanism", bounded(res.Mechanism)},
		{"problem", bounded(res.Problem)},
		{"receiver", bounded(receiver)},
	}
	for _, p := range pairs {
		if p[1] != "" {
			f.add(p[0] + "=" + value(p[1]) + ";")
		}
	}
	return f.field()
}

// notes are comments for people, by result.
var notes = map[mail.AuthResult]string{
	mail.AuthPass:      "domain %[1]s designates %[2]s as permitted sender",
	mail.AuthFail:      "domain %[1]s does not designate %[2]s as permitted sender",
	mail.AuthSoftFail:  "domain %[1]s, in transition, does not designate %[2]s as permitted sender",
	mail.AuthNeutral:   "domain %[1]s neither permits nor denies %[2]s",
	mail.AuthNone:      "domain %[1]s says nothing of %[2]s",
	mail.AuthTempError: "domain %[1]s could not be asked about %[2]s",
	mail.AuthPermError: "domain %[1]s could not be understood about %[2]s",
}

// folder makes lines of words that stay whole.
type folder struct{ done, line string }

func (f *folder) add(word string) {
	if len(f.line)+1+len(word) > foldAt && f.line != "\t" {
		f.done, f.line = f.done+f.line+"\r\n", "\t"+word
		return
	}
	f.line += " " + word
}

func (f *folder) field() []byte {
	return []byte(strings.TrimSuffix(f.done+f.line, ";") + "\r\n")
}

// value is a dot-atom, or quoted.
func value(s string) string {
	if isDotAtom(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(c rune) bool {
			return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c)
		}) {
			return false
		}
	}
	return true
}

// bounded is text of a stranger as a field can have it.
func bounded(s string) string { return printed(cut(s)) }

func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	n := maxValue
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// senderText is the reverse-path as a field can have it. UTF-8 stays, since only a message of
// SMTPUTF8 can have come with it (RFC 6532 section 3.2).
func senderText(a mail.Address) string {
	if a.IsNull() {
		return "<>"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(cut(a.String()), "?"))
}
