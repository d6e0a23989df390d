package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/spf"
)

// SPFOf judges the SPF record of a domain that stands in the reverse-path of what we send
// from addrs: does it let each of them?
func (c *Checker) SPFOf(ctx context.Context, domain string, addrs []netip.Addr) []Finding {
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	name, ok := asciiName(domain)
	if !ok {
		return []Finding{{Domain: domain, What: SPF, Level: Wrong, Text: "this is no name of a domain"}}
	}
	from := *c
	from.o.Sending = addrs
	r := &report{domain: name}
	from.spf(ctx, r, true, false)
	return r.findings
}

// spf judges the SPF record of a domain whose mail may come from our addresses: for an
// alias domain that is mail which its users send, for the name of our HELO each report (its reverse-path is
// null, and so RFC 7208 section 2.4 takes that name). sends: we do send in its name, as in that
// of our HELO. byMX: all MX are ours.
func (c *Checker) spf(ctx context.Context, r *report, sends, byMX bool) {
	name := r.domain
	txts, err := c.o.Resolver.TXT(ctx, name)
	if r.unasked(SPF, name, err) {
		return
	}
	var publish []Record // what a provider sends for us, only the provider knows
	if c.o.RelayHost == "" {
		publish = []Record{txtRecord(name, c.ownSPF(byMX))}
	}
	records := spf.Records(txts)
	switch len(records) {
	case 0:
		text := "no record: anybody can send in this name"
		if c.o.RelayHost != "" {
			text += fmt.Sprintf("; whoever runs %s (relayhost) knows what to write", c.o.RelayHost)
		}
		r.say(SPF, Missing, text, publish...)
		return
	case 1:
	default:
		r.say(SPF, Wrong, fmt.Sprintf("%d records begin with v=spf1, where one may: receivers take them for none (permerror)", len(records)), instead(publish...)...)
		return
	}
	text := records[0]
	record, err := spf.Parse(text)
	if err != nil {
		r.say(SPF, Wrong, "the record is malformed (permerror): "+err.Error(), instead(publish...)...)
		return
	}
	switch everybody, only := record.Everybody(); {
	case everybody == mail.AuthPass:
		r.say(SPF, Wrong, short(text)+" lets everybody send in this name", instead(publish...)...)
		return
	case everybody == "" && !record.Redirects():
		r.say(SPF, Note, "the record has no \"all\" at its end: it says nothing of other senders")
	case everybody == mail.AuthFail && only && !sends:
		// Forwarded mail keeps its sender, and reports have none: this may well be meant.
		r.say(SPF, Note, "the record says that no mail comes from the domain, ours included: right as long as nobody sends in its name")
		return
	}
	c.spfOfAddresses(ctx, r, name, text)
}

// spfOfAddresses evaluates a record for each address that we send from.
func (c *Checker) spfOfAddresses(ctx context.Context, r *report, name, record string) {
	if c.o.RelayHost != "" {
		r.say(SPF, Note, fmt.Sprintf("%s; not decided whether it covers what we send, which leaves through %s (relayhost)", short(record), c.o.RelayHost))
		return
	}
	if len(c.o.Sending) == 0 {
		r.say(SPF, Note, short(record)+"; not decided whether it covers what we send: say our addresses by --ip")
		return
	}
	var passed, refused []netip.Addr
	for _, addr := range c.o.Sending {
		res, trail := spf.Explain(ctx, c.o.Resolver, spf.Request{IP: addr, Helo: c.o.HeloName, Sender: mail.Address{Local: "postmaster", Domain: name}})
		switch {
		case res.Result == mail.AuthTempError:
			r.say(SPF, Unknown, fmt.Sprintf("whether mail from our address %s passes could not be asked: %s", addr, res.Problem))
		case res.Result == mail.AuthPermError:
			r.say(SPF, Wrong, "receivers can make nothing of the record (permerror): "+res.Problem)
			return
		case trail.Local:
			r.say(SPF, Note, fmt.Sprintf("not decided whether mail from our address %s passes: it depends on the local part of the sender", addr))
		case res.Result == mail.AuthPass:
			passed = append(passed, addr)
		default:
			refused = append(refused, addr)
			r.say(SPF, Wrong, fmt.Sprintf("mail from our address %s does not pass (%s) by %s", addr, res.Result, short(record)))
		}
	}
	if len(refused) > 0 {
		last := &r.findings[len(r.findings)-1]
		last.Publish = instead(txtRecord(name, "v=spf1 "+strings.Join(spfNetworks(refused), " ")+record[len("v=spf1"):]))
	}
	if len(passed) > 0 {
		r.say(SPF, OK, fmt.Sprintf("%s; mail from %s passes", short(record), joined(passed)))
	}
}

// ownNetworks is how many addresses of ours a record to publish lists: with more, a name for
// them is easier to keep.
const ownNetworks = 10

// ownSPF is a record by which what we send passes, and nothing else.
func (c *Checker) ownSPF(byMX bool) string {
	switch {
	case len(c.o.Sending) > 0 && len(c.o.Sending) <= ownNetworks:
		return "v=spf1 " + strings.Join(spfNetworks(c.o.Sending), " ") + " -all"
	case byMX:
		return "v=spf1 mx -all"
	}
	return "v=spf1 a:" + c.o.Hostname + " -all"
}

func spfNetworks(addrs []netip.Addr) (words []string) {
	for _, a := range addrs {
		kind := "ip6:"
		if a.Is4() {
			kind = "ip4:"
		}
		words = append(words, kind+a.String())
	}
	return words
}
