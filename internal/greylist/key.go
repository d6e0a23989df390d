package greylist

import (
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// network is what counts as one client: the servers of one sender are often neighbours, and
// take turns.
func (p *Params) network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := p.IPv6Prefix
	if addr.Is4() {
		bits = p.IPv4Prefix
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// senderKey is a sender as it is compared. Senders of lists differ from letter to letter, by
// an extension or a number; they are one sender all the same, as for postgrey.
func senderKey(a mail.Address) string {
	local, _, _ := strings.Cut(withoutTag(a.Local), "+")
	return strings.ToLower(mail.Address{Local: hideNumbers(local), Domain: a.Domain}.Internal())
}

// withoutTag takes off the tag of bounce address tag validation (BATV), which changes each
// day: prvs=tag=local, and the other way round as some write it.
func withoutTag(local string) string {
	parts := strings.Split(local, "=")
	if len(parts) != 3 || parts[0] != "prvs" {
		return local
	}
	if isTag(parts[2]) && !isTag(parts[1]) {
		return parts[1]
	}
	return parts[2]
}

// isTag tells what begins like a tag: with ten lower-case letters or digits.
func isTag(s string) bool {
	const length = 10
	return len(s) >= length && !strings.ContainsFunc(s[:length], func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'z') })
}

// recipientKey is a recipient as it is compared.
func recipientKey(a mail.Address) string { return strings.ToLower(a.Internal()) }

// hideNumbers writes # for each number that is a word of its own.
func hideNumbers(s string) string {
	isWord := func(c byte) bool {
		return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
	}
	var b []byte
	for i := 0; i < len(s); {
		end, number := i, true
		for end < len(s) && isWord(s[end]) {
			number = number && '0' <= s[end] && s[end] <= '9'
			end++
		}
		switch {
		case end == i:
			b = append(b, s[i])
			end++
		case number:
			b = append(b, '#')
		default:
			b = append(b, s[i:end]...)
		}
		i = end
	}
	return string(b)
}

// maxAddress bounds what is remembered of an address. RFC 5321 section 4.5.3.1.3 has 256.
const maxAddress = 512

func bounded(s string) string { return s[:min(len(s), maxAddress)] }
