package screen

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"aliasmx/internal/inspect"
)

// Site is a list in the DNS with all that postscreen_dnsbl_sites says of it.
type Site struct {
	Domain string
	shown  string // what clients are told it is (postscreen_dnsbl_reply_map)
	ways   []way
}

// way is one filter of a site and what an answer that passes it weighs.
type way struct {
	filter *inspect.Pattern // nil: every answer
	weight int
}

// maxWeight bounds a weight: the sum of all must stay a number.
const maxWeight = 1_000_000

// ParseSites reads postscreen_dnsbl_sites: domain[=filter][*weight]. A domain that is named
// more than once is asked once.
func ParseSites(list []string) ([]Site, error) {
	var sites []Site
	for _, item := range list {
		domain, w, err := parseSite(item)
		if err != nil {
			return nil, err
		}
		at := -1
		for i := range sites {
			if sites[i].Domain == domain {
				at = i
			}
		}
		if at < 0 {
			at = len(sites)
			sites = append(sites, Site{Domain: domain, shown: domain})
		}
		sites[at].ways = append(sites[at].ways, w)
	}
	return sites, nil
}

func parseSite(item string) (domain string, w way, err error) {
	w.weight = 1
	rest, weight, weighted := strings.Cut(item, "*")
	if weighted {
		if w.weight, err = strconv.Atoi(weight); err != nil || w.weight > maxWeight || w.weight < -maxWeight {
			return "", w, fmt.Errorf("bad DNSBL weight factor %q in %q; write a number such as 2 or -5", weight, item)
		}
	}
	domain, filter, filtered := strings.Cut(rest, "=")
	if filtered {
		p, err := inspect.ParsePattern(filter)
		if err != nil {
			return "", w, err
		}
		w.filter = &p
	}
	if !inspect.ValidDomain(domain) {
		return "", w, fmt.Errorf("bad DNSBL domain name %q in %q; write one such as zen.example.org", domain, item)
	}
	return domain, w, nil
}

// matches tells whether one of the answers of a list counts.
func (w *way) matches(answers []netip.Addr) bool {
	if w.filter == nil {
		return len(answers) > 0
	}
	for _, a := range answers {
		if w.filter.Matches(a) {
			return true
		}
	}
	return false
}
