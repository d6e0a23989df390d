package alias

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// What a domain is: local or not, in a list or not, well-formed or not.

// isLocal tells whether a domain is local: listed in mydestination, or one of our own
// addresses in brackets. An error is a *mail.Status.
func (r *Resolver) isLocal(ctx context.Context, domain string) (bool, error) {
	if domain == "" {
		return false, nil
	}
	if addr, ok := mail.ParseLiteral(domain); ok && slices.Contains(r.o.OwnAddresses, addr.Unmap()) {
		return true, nil
	}
	return r.inList(ctx, r.o.MyDestination, "mydestination", domain)
}

// inList tells whether a list has a domain. An error is a *mail.Status.
func (r *Resolver) inList(ctx context.Context, list *table.DomainList, name, domain string) (bool, error) {
	if list == nil {
		return false, nil
	}
	found, err := list.Match(ctx, domain)
	if err == nil && !found && r.o.EquateLabels {
		if other, ok := otherLabels(domain); ok {
			found, err = list.Match(ctx, other)
		}
	}
	if err != nil {
		r.log.Warn(fmt.Sprintf("%s lookup failure for %q: %v", name, domain, err))
		return false, lookupFailure()
	}
	return found, nil
}

// otherLabels is the A-label form of a domain written with U-labels, and the other way
// round (RFC 5890 section 2.3.2.4).
func otherLabels(domain string) (string, bool) {
	var other string
	var err error
	switch {
	case !isASCII(domain):
		other, err = idna.Lookup.ToASCII(domain)
	case strings.Contains(strings.ToLower(domain), "xn--"):
		other, err = idna.Lookup.ToUnicode(domain)
	default:
		return "", false
	}
	return other, err == nil && other != domain
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isDomain tells whether mail can be sent to a domain of this form: an address in
// brackets, or a host name.
func isDomain(domain string) bool {
	if strings.HasPrefix(domain, "[") {
		_, ok := mail.ParseLiteral(domain)
		return ok
	}
	return mail.ValidHostname(domain)
}
