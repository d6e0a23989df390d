package tlsrpt

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// Names and texts that others have written, before they go into a report.

// Bounds of what one session adds to a report, in bytes.
const (
	maxName   = 253 // a host or what it calls itself
	maxReason = 300
	maxLine   = 4096 // of a policy: a TLSA record may hold a certificate
	maxPolicy = 8192 // all of its lines, and all of its patterns
)

// domainOf is the policy domain of a session in A-labels and lower case (RFC 8460 section
// 4.4). Next hops that are addresses or sockets have none, and LMTP is no mail exchange:
// nobody asks for reports about them.
func domainOf(p *mail.TLSPeer) (string, bool) {
	if p.LMTP || p.Port == 0 {
		return "", false
	}
	return aLabels(p.Domain)
}

// aLabels is a domain as it stands in reports; false if it is none.
func aLabels(domain string) (string, bool) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !isASCII(domain) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", false
		}
	}
	if _, err := netip.ParseAddr(domain); err == nil || !isDomain(domain) {
		return "", false
	}
	return domain, true
}

// isDomain tells whether s is letters, digits, hyphens, underscores and dots in their
// places: it can stand anywhere, also in a Report-ID and a file name.
func isDomain(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// CheckAddress tells what is wrong with an address that is to stand in reports, or to get
// them. It is one that needs neither quotes nor SMTPUTF8 anywhere.
func CheckAddress(addr string) error {
	at := strings.LastIndexByte(addr, '@')
	switch {
	case at < 1:
		return errors.New("no address; write name@domain")
	case at > 64 || !isDotAtom(addr[:at]):
		return fmt.Errorf("%q is no plain local part", addr[:at])
	case !isDomain(addr[at+1:]):
		return fmt.Errorf("%q is no domain; write one in ASCII", addr[at+1:])
	}
	return nil
}

// isDotAtom tells whether s is a dot-atom (RFC 5322 section 3.2.3).
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := 0; i < len(atom); i++ {
			if c := atom[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clean is a text of somebody else, in UTF-8, in one line and of at most so many bytes.
func clean(s string, most int) string {
	if len(s) > most {
		const cut = "..."
		s = s[:most-len(cut)] + cut
	}
	s = strings.ToValidUTF8(s, "?") // what was cut in the middle of a letter is none
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 {
			return '?'
		}
		return c
	}, s)
}

// cleanAll cleans the lines of a policy and drops what is beyond the bound for all.
func cleanAll(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		if line = clean(line, maxLine); line == "" {
			continue
		}
		if b.Len()+1+len(line) > maxPolicy {
			break
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}

// patterns are those of an STS policy, in A-labels (section 4.4). What is none is left out:
// it stands among the policy's lines.
func patterns(hosts []string) string {
	kept := make([]string, 0, len(hosts))
	for _, h := range hosts {
		domain, wild := strings.CutPrefix(h, "*.")
		if domain, ok := aLabels(domain); ok && wild {
			kept = append(kept, "*."+domain)
		} else if ok {
			kept = append(kept, domain)
		}
	}
	return cleanAll(kept)
}

// address is an IP address as a report has it: without what only this machine knows of it.
func address(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
