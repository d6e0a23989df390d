package mail

import (
	"strings"
	"unicode/utf8"
)

// TypedAddress is an address as ORCPT and reports have it, with its type: rfc822
// (RFC 3461 section 4.2) or, when it is UTF-8 and not all ASCII, utf-8 (RFC 6533 section 3).
func TypedAddress(address string) string {
	beyond := strings.ContainsFunc(address, func(r rune) bool { return r >= utf8.RuneSelf })
	if beyond && utf8.ValidString(address) {
		return "utf-8;" + address
	}
	return "rfc822;" + address
}
