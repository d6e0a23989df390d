package mail

import (
	"net/netip"
	"strings"
)

// ValidHostname tells whether s can be the name of a host or a mail domain: labels of
// letters, digits, hyphens and underscores, not beginning or ending with a hyphen, of
// at most 63 bytes, 255 together. A name of digits alone is not one: it would be an
// address that lost its brackets. Bytes above 127 are taken as letters (RFC 5890).
func ValidHostname(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	label, numeric := 0, true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if label == 0 || s[i-1] == '-' || i == len(s)-1 {
				return false
			}
			label = 0
			continue
		case c >= '0' && c <= '9':
		case c == '-':
			if label == 0 || i == len(s)-1 {
				return false
			}
			numeric = false
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
			numeric = false
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return !numeric
}

// ParseLiteral reads an address literal, RFC 5321 section 4.1.3: [192.0.2.1] or
// [IPv6:2001:db8::1].
func ParseLiteral(s string) (netip.Addr, bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return netip.Addr{}, false
	}
	s = s[1 : len(s)-1]
	six := len(s) > 5 && strings.EqualFold(s[:5], "IPv6:")
	if six {
		s = s[5:]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" || addr.Is4() == six {
		return netip.Addr{}, false
	}
	return addr, true
}

// validDomain tells whether mail can be addressed to s. One dot may follow the name.
func validDomain(s string) bool {
	if strings.HasPrefix(s, "[") {
		_, ok := ParseLiteral(s)
		return ok
	}
	return ValidHostname(strings.TrimSuffix(s, "."))
}
