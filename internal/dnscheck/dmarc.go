package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/dmarc"
)

// dmarc judges what the domain asks receivers to do with mail in its name that is not
// signed by it and does not pass SPF, as receivers by RFC 9989 read it. Mail that we forward
// is in the name of others, and judged by their records.
func (c *Checker) dmarc(ctx context.Context, r *report) {
	publish := txtRecord("_dmarc."+r.domain, "v=DMARC1; p=none; rua=mailto:"+c.reportAddress(r.domain))
	d, err := dmarc.Discover(ctx, c.o.Resolver, r.domain)
	if err != nil {
		name := "_dmarc." + r.domain
		if e, ok := errors.AsType[*dns.Error](err); ok {
			name = e.Name
		}
		r.say(DMARC, Unknown, name+" could not be asked: "+reason(err))
		return
	}
	for _, s := range d.Several {
		text := fmt.Sprintf("_dmarc.%s has %d DMARC records, where one may be: receivers take none", s.Domain, s.Records)
		if d.Record != nil {
			text += ", but that of " + d.Domain
		}
		var fix []Record
		if s.Domain == r.domain {
			fix = instead(publish)
		}
		r.say(DMARC, Wrong, text, fix...)
	}
	switch {
	case d.Record != nil:
		c.dmarcRecord(ctx, r, d, publish)
	case len(d.Several) == 0:
		r.say(DMARC, Missing, "no record: nobody is asked to refuse mail that others send in this name, and nobody reports it", publish)
	}
}

// dmarcRecord judges a record: the domain's own, or that of a domain above it.
func (c *Checker) dmarcRecord(ctx context.Context, r *report, d dmarc.Discovery, publish Record) {
	from := ""
	if d.Domain != r.domain {
		from = " (by the record of " + d.Domain + ")"
	}
	usable, ok := d.Record.Usable()
	c.dmarcIgnored(r, d, ok, publish)
	if !ok {
		return
	}
	policy, name := usable.P, "p"
	if d.Domain != r.domain {
		if policy = usable.PolicyBelow(true); usable.SP != "" {
			name = "sp"
		}
	}
	switch {
	case d.Record.P == "" && !isIgnored(d.Record, "p"):
		r.say(DMARC, Note, "the record has no p=, which is read as p=none"+from)
	case policy == dmarc.None:
		r.say(DMARC, OK, name+"=none"+from+": mail in this name is only reported; mail that is forwarded is judged by its author's record")
	default:
		r.say(DMARC, OK, fmt.Sprintf("%s=%s%s: mail in this name must be signed by it or pass SPF, whoever sends it; "+
			"mail that is forwarded is judged by its author's record", name, policy, from))
	}
	if usable.Testing {
		r.say(DMARC, Note, "t=y: the domain only tests, the policy is to be applied one step milder")
	}
	if usable.PSD == 'y' && d.Domain == r.domain {
		r.say(DMARC, Note, "psd=y: the record says that others register their domains below this one, and that none of them belongs to it")
	}
	c.dmarcReports(ctx, r, d.Domain, usable)
}

// dmarcIgnored tells of the parts of a record that receivers pass over, and what they make of
// the record without them; usable is whether they make anything of it.
func (c *Checker) dmarcIgnored(r *report, d dmarc.Discovery, usable bool, publish Record) {
	effect := ""
	for _, t := range d.Record.Ignored {
		if t.Name != "p" && t.Name != "sp" && t.Name != "np" || t.Why > dmarc.Twice {
			continue
		}
		if effect = ": receivers take the record for p=none"; !usable {
			effect = ": receivers take the record for none, and there is no DMARC for the domain"
		}
	}
	fix := func() []Record {
		if d.Domain != r.domain {
			return nil
		}
		return instead(publish)
	}
	told := map[string]bool{}
	for _, t := range d.Record.Ignored {
		if told[t.Name] {
			continue
		}
		told[t.Name] = true
		because := ": receivers take it as if it were not there"
		if t.Name == "p" || t.Name == "sp" || t.Name == "np" {
			because = effect
		}
		switch t.Why {
		case dmarc.Malformed:
			r.say(DMARC, Wrong, "malformed: "+short(t.Name)+" is not name=value"+because, fix()...)
		case dmarc.Twice:
			r.say(DMARC, Wrong, t.Name+"= stands in it twice, so that none holds"+because, fix()...)
		case dmarc.Obsolete:
			r.say(DMARC, Note, t.Name+"= is gone since RFC 9989"+because)
		case dmarc.Unknown:
			r.say(DMARC, Note, short(t.Name)+" is no tag that there is"+because)
		default:
			if t.Name != "rua" && t.Name != "ruf" { // each of their addresses is judged
				r.say(DMARC, Wrong, fmt.Sprintf("%s=%s is none of %s%s", t.Name, short(t.Value), dmarcValues(t.Name), because), fix()...)
			}
		}
	}
	if !usable && effect == "" {
		r.say(DMARC, Wrong, "the record has neither a p= nor an address that reports can go to: there is no DMARC for the domain", fix()...)
	}
}

// dmarcValues are the values that a tag may have.
func dmarcValues(tag string) string {
	switch tag {
	case "p", "sp", "np":
		return "none, quarantine, reject"
	case "adkim", "aspf":
		return "r, s"
	case "t":
		return "y, n"
	case "psd":
		return "y, n, u"
	case "fo":
		return "0, 1, d, s, or several with colons between them"
	}
	return ""
}

func isIgnored(r *dmarc.Record, name string) bool {
	return slices.ContainsFunc(r.Ignored, func(t dmarc.Tag) bool { return t.Name == name })
}

// dmarcReports judges where reports go (RFC 9990).
func (c *Checker) dmarcReports(ctx context.Context, r *report, at string, record dmarc.Record) {
	if record.RUA == "" {
		r.say(DMARC, Note, "the record has no rua=: nobody reports")
		return
	}
	const maxURIs = 10
	for i, uri := range strings.Split(record.RUA, ",") {
		if i == maxURIs {
			break
		}
		domain, ok := mailtoDomain(strings.Trim(uri, " \t"))
		if !ok {
			r.say(DMARC, Wrong, "rua="+short(uri)+" is no mailto: address with a domain")
			continue
		}
		if domain == at || strings.HasSuffix(at, "."+domain) || strings.HasSuffix(domain, "."+at) {
			continue
		}
		name := at + "._report._dmarc." + domain
		txts, err := c.o.Resolver.TXT(ctx, name)
		if r.unasked(DMARC, name, err) {
			continue
		}
		if !slices.ContainsFunc(txts, func(t string) bool { return strings.HasPrefix(t, "v=DMARC1") }) {
			r.say(DMARC, Wrong, fmt.Sprintf("%s has not agreed to get reports about %s: none are sent there", domain, at), txtRecord(name, "v=DMARC1"))
		}
	}
}

// mailtoDomain is the domain of a mailto URI; RFC 7489 had a size behind "!".
func mailtoDomain(uri string) (string, bool) {
	uri, _, _ = strings.Cut(uri, "!")
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "mailto") {
		return "", false
	}
	at := strings.LastIndexByte(u.Opaque, '@')
	if at < 1 {
		return "", false
	}
	return asciiName(u.Opaque[at+1:])
}
