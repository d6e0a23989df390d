package screen

import (
	"fmt"
	"strings"
)

// escape shows what a client sent as Postfix's log does: \r\n for a line end, \ooo for
// what cannot be shown.
func escape(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		switch i := strings.IndexByte("\a\b\f\n\r\t\v\\", c); {
		case i >= 0:
			b.WriteByte('\\')
			b.WriteByte(`abfnrtv\`[i])
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	return b.String()
}

// printable is a word of a client with "?" for what cannot be shown.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// shownLimit is how much of a client's words the log has.
const shownLimit = 100

func cut(s string) string { return s[:min(len(s), shownLimit)] }
