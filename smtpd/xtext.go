package smtpd

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// decodeXtext decodes RFC 3461 section 4: +XX is the byte of that hexadecimal number.
// UTF-8 passes (RFC 6533 section 3); what is not printable does not.
func decodeXtext(s string) (string, bool) {
	s, ok := unquoteXtext(s)
	if !ok {
		return "", false
	}
	return printable(s)
}

// unquoteXtext is decodeXtext whatever it leads to.
func unquoteXtext(s string) (string, bool) {
	if strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// decodeUTF8Addr decodes the utf-8-addr-xtext and utf-8-addr-unitext of RFC 6533 section
// 3: \x{N} is the character of that hexadecimal number.
func decodeUTF8Addr(s string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !found {
			break
		}
		hex, rest, closed := strings.Cut(rest, "}")
		n, err := strconv.ParseUint(hex, 16, 32)
		if !closed || err != nil || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		s = rest
	}
	return decodeXtext(b.String())
}

// parseORcpt reads the value of ORCPT: an address type and an address.
func parseORcpt(s string) (kind, addr string, ok bool) {
	kind, addr, ok = strings.Cut(s, ";")
	if !ok || kind == "" || strings.ContainsFunc(kind, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", "", false
	}
	if strings.EqualFold(kind, "utf-8") {
		addr, ok = decodeUTF8Addr(addr)
	} else {
		addr, ok = decodeXtext(addr)
	}
	return kind, addr, ok
}

func printable(s string) (string, bool) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", false
	}
	return s, true
}

// quoteXtext is the inverse of unquoteXtext.
func quoteXtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			b.WriteString("+" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
