package smtpd

import (
	"fmt"
	"slices"
	"strings"
)

// Restriction is one element of smtpd_*_restrictions, by Postfix's name of today.
type Restriction struct{ name string }

func (r Restriction) String() string { return r.name }

// restrictions are those we have.
var restrictions = []string{
	"permit", "reject", "defer",
	"permit_mynetworks", "permit_inet_interfaces", "permit_sasl_authenticated",
	"permit_tls_clientcerts", "permit_tls_all_clientcerts", "permit_auth_destination",
	"reject_unauth_destination", "defer_unauth_destination", "reject_unauth_pipelining",
	"reject_unlisted_recipient", "reject_unlisted_sender",
	"reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname",
	"reject_non_fqdn_sender", "reject_non_fqdn_recipient",
	"reject_unknown_sender_domain", "reject_unknown_recipient_domain",
}

// synonyms are the names that Postfix keeps from its past.
var synonyms = map[string]string{
	"reject_invalid_hostname":  "reject_invalid_helo_hostname",
	"reject_non_fqdn_hostname": "reject_non_fqdn_helo_hostname",
	"reject_unknown_address":   "reject_unknown_sender_domain",
}

// ParseRestrictions reads the elements of a restriction list. One that we do not have is
// an error: leaving it out would let in what it was meant to keep out.
func ParseRestrictions(names []string) ([]Restriction, error) {
	var list []Restriction
	for _, name := range names {
		n := strings.ToLower(name)
		if today := synonyms[n]; today != "" {
			n = today
		}
		if !slices.Contains(restrictions, n) {
			return nil, fmt.Errorf("unknown restriction %q; known: %s", name, strings.Join(restrictions, " "))
		}
		list = append(list, Restriction{n})
	}
	return list, nil
}

// GuardsRelay tells whether a list can refuse a recipient that is none of ours. One of
// smtpd_relay_restrictions and smtpd_recipient_restrictions has to; smtpd(8) does not
// start otherwise, and a Server adds defer_unauth_destination.
func GuardsRelay(list []Restriction) bool {
	for _, r := range list {
		switch r.name {
		case "reject", "defer", "reject_unauth_destination", "defer_unauth_destination":
			return true
		case "permit":
			return false // nobody gets further
		}
	}
	return false
}
