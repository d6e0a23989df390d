package table

import (
	"fmt"
	"net/netip"
	"strings"
)

// openCIDR opens a table of networks, cidr_table(5). A key that is no address is not in
// it.
func openCIDR(argument string, o Options) (Table, error) {
	return openPatterns("cidr", argument, o, parseCIDRRule, func(key string) (subject, bool) {
		addr, err := netip.ParseAddr(key)
		return subject{addr: addr}, err == nil && addr.Zone() == ""
	})
}

func parseCIDRRule(r *ruleReader, line string) (rule, bool, error) {
	if rest, ok := keyword(line, "endif"); ok {
		if rest != "" {
			r.warn("garbage after ENDIF: skipping this rule")
			return rule{}, false, nil
		}
		return rule{kind: ruleEndif}, true, nil
	}
	rest, isIf := keyword(line, "if")
	if isIf {
		line = rest
	}
	pattern, not := skipNegation(line)
	result := ""
	if i := strings.IndexAny(pattern, spaces); i >= 0 && !isIf {
		pattern, result = pattern[:i], strings.TrimLeft(pattern[i:], spaces)
	}
	if pattern == "" {
		r.warn("no address pattern: skipping this rule")
		return rule{}, false, nil
	}
	if !isIf && result == "" {
		r.warn("no lookup result: skipping this rule")
		return rule{}, false, nil
	}
	network, err := parseCIDR(pattern)
	if err == nil && !isIf && r.o.Files {
		result, err = filesOf(result)
	}
	if err != nil {
		r.warn("%s: skipping this rule", err)
		return rule{}, false, nil
	}
	next := rule{kind: ruleResult, result: replacement{{text: result}}}
	if isIf {
		next = rule{kind: ruleIf}
	}
	next.test = func(s subject) ([]string, bool, error) {
		// Not even a negated IPv4 network says anything about IPv6.
		return nil, network.Addr().BitLen() == s.addr.BitLen() && network.Contains(s.addr) != not, nil
	}
	return next, true, nil
}

func parseCIDR(pattern string) (netip.Prefix, error) {
	if text, mask, ok := strings.Cut(pattern, "/"); ok && pattern[0] != '[' {
		if _, err := netip.ParseAddr(text); err == nil && strings.Trim(mask, "0123456789") != "" {
			return netip.Prefix{}, fmt.Errorf(`bad mask value in "%s"`, pattern)
		}
	}
	network, ok, err := parseNetwork(pattern)
	if err == nil && !ok {
		err = fmt.Errorf(`bad address pattern: "%s"`, pattern)
	}
	return network, err
}
