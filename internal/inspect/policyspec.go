package inspect

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// How restrictions name a policy server: inet:host:port, unix:path, or
// { inet:host:port, timeout=10s, default_action=DUNNO } (postconf(5):
// check_policy_service).

// NewPolicy makes a policy server of what a restriction names. The options are those that
// hold where it says nothing else. No connection is made.
func NewPolicy(spec string, o PolicyOptions) (*Policy, error) {
	p := &Policy{name: spec, o: o}
	if p.o.Now == nil {
		p.o.Now = time.Now
	}
	if p.o.Dial == nil {
		p.o.Dial = new(net.Dialer).DialContext
	}
	server := spec
	if strings.HasPrefix(spec, "{") {
		inner, ok := strings.CutSuffix(spec[1:], "}")
		if !ok {
			return nil, fmt.Errorf("policy service %s: missing }", spec)
		}
		words := split(inner)
		if len(words) == 0 {
			return nil, fmt.Errorf("policy service %s: it is empty; write inet:host:port or unix:path first", spec)
		}
		server = words[0]
		for _, word := range words[1:] {
			if err := p.o.set(word); err != nil {
				return nil, fmt.Errorf("policy service %s: %w", spec, err)
			}
		}
		p.name = server
	}
	kind, address, _ := strings.Cut(server, ":")
	switch kind {
	case "unix":
		if address == "" {
			return nil, fmt.Errorf("policy service %s: write unix:path", spec)
		}
		if !filepath.IsAbs(address) {
			address = filepath.Join(p.o.QueueDirectory, address)
		}
		p.network, p.address = kind, address
	case "inet":
		host, port, err := hostPort(address)
		if err != nil {
			return nil, fmt.Errorf("policy service %s: %w", spec, err)
		}
		p.network, p.address = "tcp", net.JoinHostPort(host, port)
	default:
		return nil, fmt.Errorf("policy service %s: write inet:host:port or unix:path", spec)
	}
	return p, nil
}

// hostPort reads host:port, [address]:port, or a port alone, which is one of this machine.
func hostPort(s string) (host, port string, err error) {
	if !strings.Contains(s, ":") {
		host, port = "localhost", s
	} else if host, port, err = net.SplitHostPort(s); err != nil {
		return "", "", fmt.Errorf("%q is not host:port", s)
	}
	if n, bad := strconv.ParseUint(port, 10, 16); bad != nil || n == 0 || host == "" {
		return "", "", fmt.Errorf("%q is not host:port with a port number", s)
	}
	return host, port, nil
}

// set takes over one name=value or { name = value }.
func (o *PolicyOptions) set(word string) error {
	if inner, ok := strings.CutPrefix(word, "{"); ok {
		word = strings.TrimSuffix(inner, "}")
	}
	name, value, ok := strings.Cut(word, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" {
		return fmt.Errorf("%q is not name=value", word)
	}
	times := map[string]*time.Duration{"timeout": &o.Timeout, "max_idle": &o.MaxIdle, "max_ttl": &o.MaxTTL, "retry_delay": &o.RetryDelay}
	numbers := map[string]*int{"request_limit": &o.RequestLimit, "try_limit": &o.TryLimit}
	switch {
	case name == "default_action":
		o.DefaultAction = value
	case name == "policy_context":
		o.Context = value
	case times[name] != nil:
		d, err := parseTime(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*times[name] = d
	case numbers[name] != nil:
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return fmt.Errorf("%s: %q is no number", name, value)
		}
		*numbers[name] = int(n)
	default:
		return fmt.Errorf("unknown option %q; known: timeout, max_idle, max_ttl, retry_delay, request_limit, try_limit, default_action, policy_context", name)
	}
	return nil
}

// parseTime reads a number of seconds, or of another unit: 10s, 5m, 1h, 1d, 1w.
func parseTime(s string) (time.Duration, error) {
	unit := time.Second
	digits := s
	if s != "" {
		units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
		if u, ok := units[s[len(s)-1]]; ok {
			unit, digits = u, s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(digits, 10, 24)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a time such as 10s", s)
	}
	return time.Duration(n) * unit, nil
}

// split splits at commas and white space, but not inside braces.
func split(s string) []string {
	var list []string
	level, start := 0, -1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || level == 0 && strings.IndexByte(", \t\r\n", s[i]) >= 0 {
			if start >= 0 {
				list = append(list, s[start:i])
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case s[i] == '{':
			level++
		case s[i] == '}' && level > 0:
			level--
		}
	}
	return list
}
