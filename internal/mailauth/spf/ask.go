package spf

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Questions to the DNS. Each is counted; errors are those of package dns.

func (c *check) texts(name string) ([]string, error) {
	c.questions++
	return c.names.TXT(c.ctx, name)
}

// hostAddrs are addresses of the client's family.
func (c *check) hostAddrs(host string) ([]netip.Addr, error) {
	family := dns.IPv6
	if c.ip.Is4() {
		family = dns.IPv4
	}
	c.questions++
	return c.names.Addrs(c.ctx, host, family)
}

func (c *check) hasA(name string) (bool, error) {
	c.questions++
	addrs, err := c.names.Addrs(c.ctx, name, dns.IPv4)
	return len(addrs) > 0, err
}

func (c *check) exchangers(domain string) ([]dns.MX, error) {
	c.questions++
	return c.names.MX(c.ctx, domain)
}

// failed is a question without an answer.
func (c *check) failed(err error) error {
	why := err.Error()
	if e, ok := errors.AsType[*dns.Error](err); ok {
		why = e.Type + " of " + e.Name + " could not be asked"
		if e.Cause != nil {
			why += ": " + e.Cause.Error()
		}
	}
	return &failure{mail.AuthTempError, why}
}

// clientNames are the names of the client's address, asked for once in a check.
type clientNames struct {
	c       *check
	counted bool // as a term
	asked   bool
	names   []string
	err     error
	checked map[string]bool // whether a name has the address in turn
}

// list are the first ten names, in lower case; which of them hold is not known yet.
func (n *clientNames) list() ([]string, error) {
	if !n.asked {
		n.asked = true
		n.c.questions++
		names, err := n.c.names.PTR(n.c.ctx, n.c.ip)
		for _, name := range names[:min(len(names), maxNames)] {
			if name = strings.ToLower(name); askable(name) {
				n.names = append(n.names, name)
			}
		}
		n.err = err
	}
	return n.names, n.err
}

// valid tells whether a name has the client's address. Trouble is no.
func (n *clientNames) valid(name string) bool {
	if holds, known := n.checked[name]; known {
		return holds
	}
	if n.checked == nil {
		n.checked = map[string]bool{}
	}
	addrs, err := n.c.hostAddrs(name)
	holds := err == nil && slices.Contains(addrs, n.c.ip)
	n.checked[name] = holds
	return holds
}

// best is the name that a macro means (section 7.3): domain itself, one below it, another,
// or "unknown".
func (n *clientNames) best(domain string) string {
	names, _ := n.list()
	for _, fits := range []func(string) bool{
		func(name string) bool { return name == domain },
		func(name string) bool { return within(name, domain) },
		func(string) bool { return true },
	} {
		for _, name := range names {
			if fits(name) && n.valid(name) {
				return name
			}
		}
	}
	return "unknown"
}
