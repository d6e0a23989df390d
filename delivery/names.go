package delivery

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
)

// Names as the DNS has them, and how many of them are taken: a zone is written by
// somebody else.

// recordsMost bounds the mail exchangers of a domain, and its addresses, as in Postfix:
// 20 times what smtp_mx_address_limit has by default.
const recordsMost = 100

func (s *search) tooMany(name, qtype string) {
	s.warn(fmt.Sprintf("DNS record count limit (%d) exceeded -- dropping excess record(s) after qname=%s qtype=%s", recordsMost, name, qtype))
}

// usable are the mail exchangers whose names can be those of hosts. Addresses in place of
// names are against RFC 5321 section 5.1, and work.
func (s *search) usable(domain string, mxs []dns.MX) []dns.MX {
	if len(mxs) > recordsMost {
		s.tooMany(domain, "MX")
		mxs = mxs[:recordsMost]
	}
	gripe := func(mx dns.MX, what string) {
		s.warn(fmt.Sprintf("%s domain name in resource data of MX record for %s: %.100s", what, domain, mx.Host))
	}
	good := make([]dns.MX, 0, len(mxs))
	for _, mx := range mxs {
		if _, err := netip.ParseAddr(mx.Host); err == nil {
			gripe(mx, "numeric")
		} else if !dns.ValidName(mx.Host) {
			gripe(mx, "malformed")
			continue
		}
		good = append(good, mx)
	}
	return good
}

// aLabels is a name as the DNS has it: RFC 5890 section 2.3.2.1. What cannot be brought into
// that form stays, and is no name.
func aLabels(name string) string {
	if strings.IndexFunc(name, func(c rune) bool { return c >= utf8.RuneSelf }) < 0 {
		return name
	}
	if a, err := idna.Lookup.ToASCII(name); err == nil && utf8.ValidString(name) {
		return a
	}
	return name
}
