package main

import (
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// listedDomains are the domains that a list names, in A-labels and lower case, in its
// order; a table in it may be an alias table, and hold addresses and users as well. A
// domain may come more than once. Tables that cannot be listed are returned by name.
func listedDomains(l *table.DomainList, yield func(domain string) bool) (opaque []string, err error) {
	if l == nil {
		return nil, nil
	}
	return l.Each(func(name string, in table.Table) bool {
		if strings.HasPrefix(name, ".") || strings.Contains(name, "@") || in != nil && !strings.Contains(name, ".") {
			return true
		}
		domain, err := idna.Lookup.ToASCII(strings.ToLower(name))
		if err != nil || !mail.ValidHostname(domain) {
			return true
		}
		return yield(domain)
	})
}
