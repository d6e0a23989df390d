package delivery

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"aliasmx/internal/dns"
)

// The next hop of a destination, as transport(5) and relayhost write it:
//
//	domain  domain:port  [host]  [host]:port  [192.0.2.1]:port  [ipv6:2001:db8::1]:port
//
// A name without brackets is a domain with MX records; brackets mean the host itself.
// Bare addresses are tolerated, with and without brackets. lmtp also has "inet:" in
// front of any of these, and "unix:path". Several next hops, separated by commas or
// spaces, are tried in this order.

type nextHop struct {
	text   string // as it is written
	domain string // host or domain
	direct bool   // the host itself: no MX lookup
	port   uint16
	path   string // of a Unix socket; then the rest is empty
}

// name is what tables know it by: as it is written, a socket by its path.
func (h *nextHop) name() string {
	if h.path != "" {
		return h.path
	}
	return h.text
}

// CheckNextHop tells what is wrong with the next hop of a transport (smtp, relay, lmtp):
// how it is written, and names that no lookup finds.
func CheckNextHop(transport, nextHop string) error {
	parse, port := parseNextHops, uint16(25)
	if transport == "lmtp" {
		parse, port = parseLMTP, 24
	}
	hops, err := parse(nextHop, port)
	if err != nil {
		return err
	}
	for _, h := range hops {
		if _, err := netip.ParseAddr(h.domain); h.path != "" || err == nil {
			continue
		}
		// The dot that ends a name is left out when it is looked up.
		if !dns.ValidName(aLabels(strings.TrimSuffix(h.domain, "."))) {
			return fmt.Errorf("next hop %q: %q cannot be the name of a host or domain", h.text, h.domain)
		}
	}
	return nil
}

// parseNextHops reads a list of next hops for SMTP.
func parseNextHops(s string, defaultPort uint16) ([]nextHop, error) {
	var hops []nextHop
	for _, f := range splitList(s) {
		h, err := parseNextHop(f, defaultPort)
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	if len(hops) == 0 {
		return nil, fmt.Errorf("empty next hop %q", s)
	}
	return hops, nil
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
}

// parseLMTP reads the next hop of the lmtp transport: never by MX.
func parseLMTP(s string, defaultPort uint16) ([]nextHop, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return nil, fmt.Errorf("no path in next hop %q", s)
		}
		return []nextHop{{text: s, direct: true, path: path}}, nil
	}
	hops, err := parseNextHops(strings.TrimPrefix(s, "inet:"), defaultPort)
	for i := range hops {
		hops[i].direct = true
	}
	return hops, err
}

func parseNextHop(s string, defaultPort uint16) (nextHop, error) {
	h := nextHop{text: s, domain: s, port: defaultPort}
	service := ""
	switch {
	case s == "":
		return h, fmt.Errorf("empty next hop")
	case s[0] == '[':
		inner, after, ok := strings.Cut(s[1:], "]")
		if !ok {
			return h, fmt.Errorf("next hop %q: missing \"]\"", s)
		}
		if after != "" && after[0] != ':' {
			return h, fmt.Errorf("next hop %q: garbage after \"]\"", s)
		}
		h.direct = true
		h.domain, service = inner, strings.TrimPrefix(after, ":")
		if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
			h.domain = inner[5:]
			if a, err := netip.ParseAddr(h.domain); err != nil || !a.Is6() {
				return h, fmt.Errorf("next hop %q: malformed IPv6 address", s)
			}
		}
	case strings.Count(s, ":") == 1:
		h.domain, service, _ = strings.Cut(s, ":")
	}
	if a, err := netip.ParseAddr(h.domain); err == nil {
		h.domain, h.direct = a.Unmap().String(), true
	}
	if h.domain == "" {
		return h, fmt.Errorf("next hop %q: missing host", s)
	}
	if service != "" {
		port, err := portNumber(service)
		if err != nil {
			return h, fmt.Errorf("next hop %q: %w", s, err)
		}
		h.port = port
	}
	return h, nil
}

// services are those of services(5) that mail is sent to.
var services = map[string]uint16{"smtp": 25, "lmtp": 24, "submission": 587, "submissions": 465, "smtps": 465}

func portNumber(s string) (uint16, error) {
	if p, ok := services[strings.ToLower(s)]; ok {
		return p, nil
	}
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil || p == 0 {
		return 0, fmt.Errorf("bad port %q", s)
	}
	return uint16(p), nil
}
