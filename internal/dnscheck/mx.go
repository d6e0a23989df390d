package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// maxExchangers is how many MX hosts of a domain are looked at.
const maxExchangers = 20

// exchanger is one MX host.
type exchanger struct {
	host  string // lower case
	pref  uint16
	addrs []netip.Addr
	ours  bool
}

// exchangers judges where mail for a domain goes (RFC 5321 section 5.1). known is false
// where that could not be asked.
func (c *Checker) exchangers(ctx context.Context, r *report) (list []exchanger, known bool) {
	publish := mxRecord(r.domain, c.o.Hostname)
	mxs, err := c.o.Resolver.MX(ctx, r.domain)
	switch {
	case errors.Is(err, dns.ErrNullMX):
		r.say(MX, Wrong, "the domain says that it takes no mail (null MX, RFC 7505)", instead(publish)...)
		return nil, true
	case r.unasked(MX, r.domain, err):
		return nil, false
	case err != nil:
		text := "no MX record"
		if addrs, err := c.o.Resolver.Addrs(ctx, r.domain, dns.Any); err == nil {
			text = "no MX record: mail goes to the addresses of the domain itself, " + joined(addrs)
		}
		r.say(MX, Missing, text, publish)
		return nil, true
	}
	if len(mxs) > maxExchangers {
		r.say(MX, Note, fmt.Sprintf("%d MX records; only the first %d are looked at", len(mxs), maxExchangers))
		mxs = mxs[:maxExchangers]
	}
	known = true
	for _, mx := range mxs {
		x := exchanger{host: strings.ToLower(mx.Host), pref: mx.Pref}
		if !c.exchanger(ctx, r, &x) {
			known = false
		}
		list = append(list, x)
	}
	c.whose(r, list, known, publish)
	if a, err := c.o.Resolver.Query(ctx, r.domain, miekg.TypeMX); err == nil && a.Secure {
		r.say(DNSSEC, OK, "the MX records are signed, and the name server has verified them")
	} else if err == nil {
		r.say(DNSSEC, Note, "the MX records are not signed, or the name server does not say that it has verified them: DANE does not protect the domain")
	}
	return list, known
}

// exchanger judges one MX host. It is false where the addresses could not be asked.
func (c *Checker) exchanger(ctx context.Context, r *report, x *exchanger) bool {
	if !dns.ValidName(x.host) {
		r.say(MX, Wrong, fmt.Sprintf("MX %s is no host name; an address cannot stand there", short(x.host)))
		return true
	}
	if a, err := c.o.Resolver.Query(ctx, x.host, miekg.TypeA); (err == nil || errors.Is(err, dns.ErrNotFound)) && a.Name != "" && !sameName(a.Name, x.host) {
		var publish []Record
		if dns.ValidName(a.Name) {
			publish = instead(Record{Name: miekg.Fqdn(r.domain), Type: "MX", Data: fmt.Sprintf("%d %s", x.pref, miekg.Fqdn(a.Name))})
		}
		r.say(MX, Wrong, fmt.Sprintf("MX %s is an alias (CNAME) of %s, which no MX may be (RFC 2181 section 10.3): write that name into the MX record", x.host, a.Name), publish...)
	}
	addrs, err := c.o.Resolver.Addrs(ctx, x.host, dns.Any)
	if r.unasked(MX, x.host, err) {
		x.ours = c.ours(x.host, nil)
		return false
	}
	x.addrs, x.ours = addrs, c.ours(x.host, addrs)
	if err != nil {
		var publish []Record
		if x.ours {
			publish = addrRecords(x.host, c.o.Receiving)
		}
		r.say(MX, Wrong, "MX "+x.host+" has no address", publish...)
		return true
	}
	if !x.ours {
		return true
	}
	text, level := fmt.Sprintf("%d %s (%s)", x.pref, x.host, joined(addrs)), OK
	if len(c.o.Receiving) > 0 {
		for _, a := range addrs {
			if !slices.Contains(c.o.Receiving, a) {
				text, level = fmt.Sprintf("MX %s has the address %s, which is not ours; if it is, say so by proxy_interfaces or --ip", x.host, a), Wrong
			}
		}
	}
	r.say(MX, level, text)
	if !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		six := slices.DeleteFunc(slices.Clone(c.o.Receiving), netip.Addr.Is4)
		text := "MX " + x.host + " has no IPv6 address"
		if len(six) > 0 {
			text += ", though we have one"
		}
		r.say(MX, Note, text, addrRecords(x.host, six)...)
	}
	return true
}

// whose judges whether mail comes to us.
func (c *Checker) whose(r *report, list []exchanger, known bool, publish Record) {
	if !slices.ContainsFunc(list, func(x exchanger) bool { return x.ours }) {
		if !known {
			return // the one that could not be asked may be ours
		}
		var names []string
		for _, x := range list {
			names = append(names, x.host)
		}
		r.say(MX, Wrong, fmt.Sprintf("mail goes to %s, which is not %s and has no address of ours; if this machine is behind it, say so by proxy_interfaces or --ip",
			strings.Join(names, ", "), c.o.Hostname), instead(publish)...)
		return
	}
	best := list[0].pref
	for _, x := range list {
		switch {
		case x.ours || !dns.ValidName(x.host):
		case x.pref == best:
			r.say(MX, Note, fmt.Sprintf("mail goes to %d %s first, which is not ours", x.pref, x.host))
		default:
			r.say(MX, Note, fmt.Sprintf("%d %s is not ours: what it takes and we refuse, it bounces", x.pref, x.host))
		}
	}
}
