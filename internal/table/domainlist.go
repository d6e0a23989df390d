package table

import (
	"context"
	"net/netip"
)

// DomainList is a list of domains: virtual_alias_domains, mydestination,
// relay_domains. Its elements are names, type:table, /file and !element. Which
// subdomains a name matches is Options.Subdomains. A /file is read again when it changes.
// It is safe for concurrent use.
type DomainList struct{ list *followed }

// ParseDomainList makes a list of elements that are split already. Every table and
// file it names is opened, or there is an error that says which cannot be.
func ParseDomainList(elems []string, o Options) (*DomainList, error) {
	l, err := parseMatchList(elems, false, o)
	if err != nil {
		return nil, err
	}
	return &DomainList{l}, nil
}

// Match tells whether the list has a domain. An error means that a table before the
// first match could not answer.
func (d *DomainList) Match(ctx context.Context, domain string) (bool, error) {
	return d.list.match(ctx, domain, netip.Addr{})
}

// Close closes the tables of the list.
func (d *DomainList) Close() error { return d.list.close() }
