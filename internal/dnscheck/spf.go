package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// spf judges the SPF record of a domain whose mail may come from our addresses: for an
// alias domain that is mail which its users send, for the name of our HELO each report (its reverse-path is
// null, and so RFC 7208 section 2.4 takes that name). byMX: all MX are ours.
func (c *Checker) spf(ctx context.Context, r *report, helo, byMX bool) {
	name := r.domain
	txts, err := c.o.Resolver.TXT(ctx, name)
	if r.unasked(SPF, name, err) {
		return
	}
	var publish []Record // what a provider sends for us, only the provider knows
	if c.o.RelayHost == "" {
		publish = []Record{txtRecord(name, c.ownSPF(byMX))}
	}
	records := spfTexts(txts)
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
	record := records[0]
	terms, err := parseSPF(record)
	if err != nil {
		r.say(SPF, Wrong, "the record is malformed (permerror): "+err.Error(), instead(publish...)...)
		return
	}
	all := slices.IndexFunc(terms, func(t spfTerm) bool { return t.name == "all" && t.qualifier != 0 })
	switch {
	case all >= 0 && terms[all].qualifier == '+':
		r.say(SPF, Wrong, short(record)+" lets everybody send in this name", instead(publish...)...)
		return
	case all < 0 && !slices.ContainsFunc(terms, func(t spfTerm) bool { return t.name == "redirect" }):
		r.say(SPF, Note, "the record has no \"all\" at its end: it says nothing of other senders")
	case all == 0 && terms[0].qualifier == '-' && !helo:
		// Forwarded mail keeps its sender, and reports have none: this may well be meant.
		r.say(SPF, Note, "the record says that no mail comes from the domain, ours included: right as long as nobody sends in its name")
		return
	}
	c.spfOfAddresses(ctx, r, name, record)
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
		k := &spfCheck{resolver: c.o.Resolver, addr: addr}
		switch result := k.record(ctx, name, record); result {
		case spfPass:
			passed = append(passed, addr)
		case spfTempError:
			r.say(SPF, Unknown, fmt.Sprintf("whether mail from our address %s passes could not be asked: %s", addr, k.why))
		case spfUndecided:
			r.say(SPF, Note, fmt.Sprintf("not decided whether mail from our address %s passes: %s", addr, k.why))
		case spfPermError:
			r.say(SPF, Wrong, "receivers can make nothing of the record (permerror): "+k.why)
			return
		default:
			refused = append(refused, addr)
			r.say(SPF, Wrong, fmt.Sprintf("mail from our address %s does not pass (%s) by %s", addr, result, short(record)))
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

// ownSPF is a record by which what we send passes, and nothing else.
func (c *Checker) ownSPF(byMX bool) string {
	switch {
	case len(c.o.Sending) > 0 && len(c.o.Sending) <= spfLookups:
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
