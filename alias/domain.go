package alias

import (
	"context"
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
		r.complain(name, err)
		r.log.Warn(name + " lookup failure")
		return false, lookupFailure()
	}
	return found, nil
}

// warnTwice says that a domain is in a second list: only the class of the first counts
// (ADDRESS_CLASS_README). A list that cannot be asked says so when it is needed.
func (r *Resolver) warnTwice(ctx context.Context, class mail.Class, domain string) {
	first := ""
	for _, l := range r.classLists() {
		if l.class == class {
			first = l.name
		} else if first != "" && l.list != nil {
			if found, err := l.list.Match(ctx, domain); found && err == nil {
				r.log.Warn("do not list domain " + domain + " in BOTH " + first + " and " + l.name)
			}
		}
	}
}

// classList is the parameter that lists the domains of a class.
type classList struct {
	class mail.Class
	name  string
	list  *table.DomainList
}

// classLists are those of all classes, the first that has a domain before the others.
func (r *Resolver) classLists() []classList {
	return []classList{
		{mail.ClassLocal, "mydestination", r.o.MyDestination},
		{mail.ClassVirtualAlias, "virtual_alias_domains", r.o.VirtualAliasDomains},
		{mail.ClassVirtualMailbox, "virtual_mailbox_domains", r.o.VirtualMailboxDomains},
		{mail.ClassRelay, "relay_domains", r.o.RelayDomains},
	}
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
