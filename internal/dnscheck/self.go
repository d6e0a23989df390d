package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// What others see of us when we send: the name that we say, and the names of our addresses.

// helo judges the name that we say HELO with (RFC 5321 section 4.1.4).
func (c *Checker) helo(ctx context.Context, r *report) {
	name := r.domain
	if !dns.ValidName(name) || !strings.Contains(name, ".") {
		r.say(HELO, Wrong, fmt.Sprintf("%s is no full host name; set myhostname (or smtp_helo_name) to one that the DNS has", short(name)))
		return
	}
	addrs, err := c.o.Resolver.Addrs(ctx, name, dns.Any)
	switch {
	case r.unasked(HELO, name, err):
		return
	case c.o.RelayHost != "":
		r.say(HELO, Note, fmt.Sprintf("mail leaves through %s (relayhost): next hops see its name and its address", c.o.RelayHost))
		return
	case err != nil:
		r.say(HELO, Missing, name+" has no address", addrRecords(name, c.o.Sending)...)
		return
	}
	good := true
	for _, a := range c.o.Sending {
		if !slices.Contains(addrs, a) {
			good = false
			r.say(HELO, Wrong, fmt.Sprintf("%s does not have our address %s, from which we say it", name, a), addrRecords(name, []netip.Addr{a})...)
		}
	}
	if good {
		r.say(HELO, OK, name+" ("+joined(addrs)+")")
	}
}

// ptr judges the names of our addresses: many hosts take no mail from one without a name,
// or whose name does not have it in turn.
func (c *Checker) ptr(ctx context.Context, r *report) {
	own := slices.Clone(c.o.Sending)
	for _, a := range c.o.Receiving {
		if !slices.Contains(own, a) {
			own = append(own, a)
		}
	}
	if len(own) == 0 {
		r.say(PTR, Note, "our public addresses are not known: say them by proxy_interfaces or --ip")
	}
	for _, addr := range own {
		c.ptrOf(ctx, r, addr)
	}
}

// maxNames is how many names of one address are looked at.
const maxNames = 10

func (c *Checker) ptrOf(ctx context.Context, r *report, addr netip.Addr) {
	reverse, err := miekg.ReverseAddr(addr.String())
	if err != nil {
		return // every valid address has one
	}
	publish := Record{Name: reverse, Type: "PTR", Data: miekg.Fqdn(c.o.HeloName)}
	const whose = " (whoever gave us the address publishes it)"
	missing, wrong := Missing, Wrong
	if c.o.RelayHost != "" || !slices.Contains(c.o.Sending, addr) {
		missing, wrong = Note, Note // nobody sees it as a client
	}
	names, err := c.o.Resolver.PTR(ctx, addr)
	switch {
	case r.unasked(PTR, addr.String(), err):
		return
	case err != nil:
		r.say(PTR, missing, addr.String()+" has no name"+whose, publish)
		return
	}
	doubt := error(nil)
	for _, name := range names[:min(len(names), maxNames)] {
		family := dns.IPv6
		if addr.Is4() {
			family = dns.IPv4
		}
		addrs, err := c.o.Resolver.Addrs(ctx, name, family)
		switch {
		case err == nil && slices.Contains(addrs, addr):
			if !sameName(name, c.o.HeloName) {
				r.say(PTR, Note, fmt.Sprintf("%s is %s and back, but not the name of our HELO, %s", addr, name, c.o.HeloName))
				return
			}
			r.say(PTR, OK, fmt.Sprintf("%s is %s and back", addr, name))
			return
		case err != nil && doubt == nil && (&report{}).unasked(PTR, name, err):
			doubt = err
		}
	}
	if doubt != nil {
		r.unasked(PTR, names[0], doubt)
		return
	}
	shown := make([]string, 0, 3)
	for _, name := range names[:min(len(names), 3)] {
		shown = append(shown, short(name))
	}
	r.say(PTR, wrong, fmt.Sprintf("%s has the name %s, which does not have this address%s", addr, strings.Join(shown, ", "), whose), instead(publish)...)
}
