package delivery

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
)

// In which order the addresses of a next hop are tried, and which of them when there are
// more than smtp_mx_address_limit allows.

// order sorts hosts by preference. Among equals chance decides, and then the families
// take turns, so that a family that does not work costs one time-out and not all that
// the address limit allows. Postfix lets each have its share of the limit, and no more
// (postconf(5): smtp_balance_inet_protocols).
func (s *search) order(hosts []host) []host {
	if s.RandomizeAddresses {
		rand.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
	}
	slices.SortStableFunc(hosts, func(a, b host) int {
		return cmp.Or(cmp.Compare(a.pref, b.pref), s.byFamily(a, b))
	})
	for i := range hosts {
		if hosts[i].rank = uint16(i); s.RandomizeAddresses {
			hosts[i].rank = uint16(s.familyRank(hosts[i]))
		}
	}
	if s.Unbalanced {
		return hosts
	}
	if !strings.EqualFold(s.AddressPreference, "ipv4") && !strings.EqualFold(s.AddressPreference, "ipv6") {
		for rest := hosts; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(h host) bool { return h.pref != rest[0].pref })
			if n < 0 {
				n = len(rest)
			}
			takeTurns(rest[:n])
			rest = rest[n:]
		}
	}
	return balance(hosts, s.MXAddressLimit)
}

func (s *search) byFamily(a, b host) int { return cmp.Compare(s.familyRank(a), s.familyRank(b)) }

// familyRank is 1 for a family that is not the preferred one.
func (s *search) familyRank(h host) int {
	switch strings.ToLower(s.AddressPreference) {
	case "ipv6":
		if h.addr.Is4() {
			return 1
		}
	case "ipv4":
		if h.addr.Is6() {
			return 1
		}
	}
	return 0
}

// takeTurns lets the families alternate, beginning with that of the first host.
func takeTurns(hosts []host) {
	if len(hosts) < 3 {
		return
	}
	var same, other []host
	for _, h := range hosts {
		if h.addr.Is4() == hosts[0].addr.Is4() {
			same = append(same, h)
		} else {
			other = append(other, h)
		}
	}
	for i := 0; i < len(hosts); {
		for _, of := range []*[]host{&same, &other} {
			if len(*of) > 0 {
				hosts[i] = (*of)[0]
				*of = (*of)[1:]
				i++
			}
		}
	}
}

// balance cuts a list at the address limit so that neither family crowds out the other:
// each keeps half of the places if it has that many.
func balance(hosts []host, limit int) []host {
	if limit <= 0 || len(hosts) <= limit {
		return hosts
	}
	v4 := 0
	for _, h := range hosts {
		if h.addr.Is4() {
			v4++
		}
	}
	v6 := len(hosts) - v4
	keep4, keep6 := v4, v6
	switch half := limit / 2; {
	case v6 <= half:
		keep4 = limit - v6
	case v4 <= half:
		keep6 = limit - v4
	default:
		keep4 = half
		if hosts[0].addr.Is4() {
			keep4 = (limit + 1) / 2
		}
		keep6 = limit - keep4
	}
	return slices.DeleteFunc(hosts, func(h host) bool {
		n := &keep6
		if h.addr.Is4() {
			n = &keep4
		}
		*n--
		return *n < 0
	})
}
