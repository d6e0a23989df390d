package maillog

import "unicode/utf8"

// maxValue bounds a value in a line, as Postfix bounds the whole of it.
const maxValue = 2000

// Printable makes a text fit for one line of a log or a terminal: control characters
// and bytes that are not UTF-8 become "?", as printable(3) of Postfix has it, and so
// do the characters beyond ASCII that begin a line or control a terminal.
func Printable(s string) string {
	if plain(s) == len(s) {
		return s
	}
	return string(appendRunes(nil, s))
}

// appendPrintable is Printable with a bound.
func appendPrintable(b []byte, s string) []byte {
	more := ""
	if len(s) > maxValue {
		s, more = cut(s, maxValue), "..."
	}
	if n := plain(s); n == len(s) {
		b = append(b, s...)
	} else {
		b = appendRunes(append(b, s[:n]...), s[n:])
	}
	return append(b, more...)
}

// plain is the length of the printable ASCII that s begins with.
func plain(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return i
		}
	}
	return len(s)
}

func appendRunes(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || isControl(r) {
			b = append(b, '?')
		} else {
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

// isControl is the control characters C0 and C1, and what Unicode has for separating
// lines and for turning the direction of writing around, which shows a line as
// another one.
func isControl(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r <= 0x9f:
		return true
	case r == 0x2028, r == 0x2029, r == 0x061c, r == 0x200e, r == 0x200f,
		0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
		return true
	}
	return false
}

// cut is s up to n bytes, without half a character at the end.
func cut(s string, n int) string {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}
