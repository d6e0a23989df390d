package dnscheck

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/internal/dns"
)

// What a record says of one address, as far as it can be known without a message: a, mx,
// ip4, ip6, include and redirect. Where exists, ptr or a macro comes first the result is
// undecided.

type spfResult string

const (
	spfPass      spfResult = "pass"
	spfFail      spfResult = "fail"
	spfSoftFail  spfResult = "softfail"
	spfNeutral   spfResult = "neutral"
	spfPermError spfResult = "permerror"
	spfTempError spfResult = "temperror"
	spfUndecided spfResult = "undecided"
)

// spfLookups is how many terms with questions a check may meet (RFC 7208 section 4.6.4).
const spfLookups = 10

// spfCheck is one evaluation.
type spfCheck struct {
	resolver Resolver
	addr     netip.Addr
	lookups  int
	why      string // of permerror, temperror and undecided
}

// lookup counts a term with a question.
func (k *spfCheck) lookup() bool {
	k.lookups++
	if k.lookups > spfLookups {
		k.why = "more than 10 lookups (RFC 7208 section 4.6.4)"
	}
	return k.lookups <= spfLookups
}

// record evaluates a record of a domain.
func (k *spfCheck) record(ctx context.Context, domain, record string) spfResult {
	terms, err := parseSPF(record)
	if err != nil {
		k.why = domain + ": " + err.Error()
		return spfPermError
	}
	for _, t := range terms {
		if t.qualifier == 0 {
			continue
		}
		match, stop := k.term(ctx, domain, t)
		switch {
		case stop != "":
			return stop
		case match:
			return map[byte]spfResult{'+': spfPass, '-': spfFail, '~': spfSoftFail, '?': spfNeutral}[t.qualifier]
		}
	}
	for _, t := range terms {
		if t.qualifier == 0 && t.name == "redirect" {
			return k.follow(ctx, t)
		}
	}
	return spfNeutral
}

// term tells whether a mechanism matches. stop ends the whole evaluation.
func (k *spfCheck) term(ctx context.Context, domain string, t spfTerm) (match bool, stop spfResult) {
	switch t.name {
	case "all":
		return true, ""
	case "ip4", "ip6":
		return t.net.Masked().Contains(k.addr), ""
	}
	if t.name == "exists" || t.name == "ptr" || strings.Contains(t.domain, "%") {
		k.why = "it depends on " + t.name
		return false, spfUndecided
	}
	if t.name == "include" {
		switch result := k.follow(ctx, t); result {
		case spfPass:
			return true, ""
		case spfPermError, spfTempError, spfUndecided:
			return false, result
		}
		return false, ""
	}
	if !k.lookup() {
		return false, spfPermError
	}
	hosts := []string{domain}
	if t.domain != "" {
		hosts[0] = t.domain
	}
	if t.name == "mx" {
		mxs, err := k.resolver.MX(ctx, hosts[0])
		if err != nil {
			return false, k.failed(err)
		}
		if hosts = hosts[:0]; len(mxs) > spfLookups {
			k.why = "mx with more than 10 hosts"
			return false, spfPermError
		}
		for _, mx := range mxs {
			hosts = append(hosts, mx.Host)
		}
	}
	return k.among(ctx, hosts, t)
}

// among tells whether the address is one of hosts.
func (k *spfCheck) among(ctx context.Context, hosts []string, t spfTerm) (bool, spfResult) {
	family, bits := dns.IPv6, t.bits6
	if k.addr.Is4() {
		family, bits = dns.IPv4, t.bits4
	}
	for _, host := range hosts {
		addrs, err := k.resolver.Addrs(ctx, host, family)
		if err != nil {
			if stop := k.failed(err); stop != "" {
				return false, stop
			}
			continue
		}
		if slices.ContainsFunc(addrs, func(a netip.Addr) bool {
			return netip.PrefixFrom(a, bits).Masked().Contains(k.addr)
		}) {
			return true, ""
		}
	}
	return false, ""
}

func (k *spfCheck) failed(err error) spfResult {
	if errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrNullMX) {
		return ""
	}
	k.why = reason(err)
	return spfTempError
}

// follow evaluates the record of another domain.
func (k *spfCheck) follow(ctx context.Context, t spfTerm) spfResult {
	if strings.Contains(t.domain, "%") {
		k.why = "it depends on a macro of " + t.name
		return spfUndecided
	}
	if !k.lookup() {
		return spfPermError
	}
	txts, err := k.resolver.TXT(ctx, t.domain)
	if err != nil && k.failed(err) != "" {
		return spfTempError
	}
	records := spfTexts(txts)
	if len(records) != 1 {
		k.why = t.name + " of " + short(t.domain) + ", which has no SPF record"
		if len(records) > 1 {
			k.why = t.name + " of " + short(t.domain) + ", which has several SPF records"
		}
		return spfPermError
	}
	return k.record(ctx, t.domain, records[0])
}
