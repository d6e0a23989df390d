package alias

import (
	"hash/maphash"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// What the lists of domains say, against each other and against the alias tables.

// sawDomain remembers that a domain has an entry.
func (p *prover) sawDomain(domain string) {
	if domain == "" || domain == p.latest {
		return
	}
	p.latest = domain
	p.seen[p.number(domain)] = struct{}{}
	if other, ok := otherLabels(domain); ok {
		p.seen[p.number(other)] = struct{}{}
	}
}

func (p *prover) number(domain string) uint64 {
	return maphash.String(p.seed, strings.ToLower(domain))
}

// domains looks at each virtual alias domain: whether anybody is there, and the
// postmaster (RFC 5321 section 4.5.1).
func (p *prover) domains() bool {
	const parameter = "virtual_alias_domains"
	return p.each(classList{list: p.r.o.VirtualAliasDomains, name: parameter}, func(domain string, in table.Table) bool {
		class, err := p.class(domain)
		if err != nil || class != mail.ClassVirtualAlias {
			return true // excluded by !, or of another class, which is told of both
		}
		if _, has := p.seen[p.number(domain)]; !has && !p.opaque {
			return p.tell(Finding{Kind: EmptyDomain, Where: placeOf(in, domain), Parameter: parameter, Key: domain,
				Text: "the domain has no entry in virtual_alias_maps: mail to it is refused"})
		}
		postmaster := mail.Address{Local: "postmaster", Domain: domain}
		h, found, err := p.r.find(p.ctx, p.r.aliases, postmaster)
		if err != nil || found && strings.EqualFold(h.key, external(postmaster)) {
			return true // what is wrong with an entry of its own is told there
		}
		x, err := p.brief.expand(p.ctx, postmaster, nil)
		if err != nil {
			return true // the entry that leads there tells
		}
		_, alive, refusal, err := p.r.deliverTo(p.ctx, x, mail.Recipient{}, mail.Address{}, nil)
		if err != nil || alive || refusal == nil || refusal.Temporary() {
			return true
		}
		return p.tell(Finding{Kind: NoPostmaster, Where: placeOf(in, domain), Parameter: parameter, Key: domain,
			Text: "postmaster@" + domain + " leads nowhere; a domain that takes mail must have one (RFC 5321 section 4.5.1)"})
	})
}

// classes looks for domains in the lists of two classes (ADDRESS_CLASS_README).
func (p *prover) classes() bool {
	lists := p.r.classLists()
	told := make(map[string]bool)
	for _, l := range lists {
		more := p.each(l, func(domain string, in table.Table) bool {
			var names []string
			first := mail.ClassDefault
			for _, other := range lists {
				if found, err := p.r.inList(p.ctx, other.list, other.name, domain); found && err == nil {
					if names = append(names, other.name); len(names) == 1 {
						first = other.class
					}
				}
			}
			if len(names) < 2 || told[domain] {
				return true
			}
			told[domain] = true
			return p.tell(Finding{Kind: TwoClasses, Where: placeOf(in, domain), Parameter: l.name, Key: domain,
				Text: "do not list the domain in BOTH " + strings.Join(names, " and ") + ": it is of the class " + first.String()})
		})
		if !more {
			return false
		}
	}
	return true
}

// each goes through the domains of a list. A table in it that is an alias table as well
// holds addresses too, and users: in a table, what has no dot is taken for a user.
func (p *prover) each(l classList, yield func(domain string, in table.Table) bool) bool {
	if l.list == nil {
		return true
	}
	opaque, err := l.list.Each(func(name string, in table.Table) bool {
		if !p.goOn(l.name) {
			return false
		}
		if strings.HasPrefix(name, ".") || strings.Contains(name, "@") || in != nil && !strings.Contains(name, ".") || !isDomain(name) {
			return true
		}
		return yield(name, in)
	})
	if err != nil && !p.over {
		p.tell(Finding{Kind: Unproven, Parameter: l.name, Text: "it cannot be read to its end: " + err.Error()})
	}
	for _, name := range opaque {
		if !p.over && l.name == "virtual_alias_domains" {
			p.tell(Finding{Kind: Unproven, Where: name, Parameter: l.name, Text: "its domains cannot be listed, and are not proven", Info: true})
		}
	}
	return !p.over
}

// placeOf is where a domain of a list stands, "" when that is the list itself.
func placeOf(in table.Table, domain string) string {
	if in == nil {
		return ""
	}
	return hit{key: domain, table: in}.locate()
}
