package dnscheck

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxLabels bounds the walk up the tree to the record of a parent (RFC 9989 section 4.10).
const maxLabels = 8

// dmarc judges what the domain asks receivers to do with mail in its name that is not
// signed by it and does not pass SPF. Mail that we forward is in the name of others, and
// judged by their records.
func (c *Checker) dmarc(ctx context.Context, r *report) {
	publish := txtRecord("_dmarc."+r.domain, "v=DMARC1; p=none; rua=mailto:"+c.reportAddress(r.domain))
	labels := strings.Split(r.domain, ".")
	for i := 0; i < len(labels); i++ {
		if i == 1 && len(labels) > maxLabels {
			i = len(labels) - maxLabels + 1
		}
		at := strings.Join(labels[i:], ".")
		name := "_dmarc." + at
		txts, err := c.o.Resolver.TXT(ctx, name)
		if r.unasked(DMARC, name, err) {
			return
		}
		var records []string
		for _, t := range txts {
			if version, _, _ := strings.Cut(t, ";"); strings.Join(strings.Fields(version), "") == "v=DMARC1" {
				records = append(records, t)
			}
		}
		switch {
		case len(records) == 0:
			continue
		case len(records) > 1:
			r.say(DMARC, Wrong, fmt.Sprintf("%s has %d DMARC records, where one may be: receivers take none", name, len(records)), instead(publish)...)
		default:
			c.dmarcRecord(ctx, r, at, records[0], publish)
		}
		return
	}
	r.say(DMARC, Missing, "no record: nobody is asked to refuse mail that others send in this name, and nobody reports it", publish)
}

// dmarcRecord judges a record: the domain's own, or that of a domain above it.
func (c *Checker) dmarcRecord(ctx context.Context, r *report, at, record string, publish Record) {
	tags, err := parseTags(record)
	if err != nil {
		r.say(DMARC, Wrong, "the record is malformed: "+err.Error(), instead(publish)...)
		return
	}
	policy, hasPolicy := valueOf(tags, "p")
	name := "p"
	if sub, has := valueOf(tags, "sp"); at != r.domain && has {
		policy, hasPolicy, name = sub, true, "sp"
	}
	policy = strings.ToLower(policy)
	for _, t := range tags {
		allowed := map[string][]string{
			"p": {"none", "quarantine", "reject"}, "sp": {"none", "quarantine", "reject"}, "np": {"none", "quarantine", "reject"},
			"adkim": {"r", "s"}, "aspf": {"r", "s"}, "t": {"y", "n"}, "psd": {"y", "n", "u"},
		}[t.name]
		if allowed != nil && !slices.Contains(allowed, strings.ToLower(t.value)) {
			r.say(DMARC, Wrong, fmt.Sprintf("%s=%s is none of %s", t.name, short(t.value), strings.Join(allowed, ", ")), instead(publish)...)
			return
		}
	}
	from := ""
	if at != r.domain {
		from = " (by the record of " + at + ")"
	}
	switch {
	case !hasPolicy:
		r.say(DMARC, Note, "the record has no p=, which is read as p=none"+from)
	case policy == "none":
		r.say(DMARC, OK, name+"=none"+from+": mail in this name is only reported; mail that is forwarded is judged by its author's record")
	default:
		r.say(DMARC, OK, fmt.Sprintf("%s=%s%s: mail in this name must be signed by it or pass SPF, whoever sends it; "+
			"mail that is forwarded is judged by its author's record", name, policy, from))
	}
	if t, _ := valueOf(tags, "t"); strings.EqualFold(t, "y") {
		r.say(DMARC, Note, "t=y: the domain only tests, the policy is not to be applied in full")
	}
	c.dmarcReports(ctx, r, at, tags)
}

// dmarcReports judges where reports go (RFC 9990).
func (c *Checker) dmarcReports(ctx context.Context, r *report, at string, tags []tag) {
	rua, has := valueOf(tags, "rua")
	if !has || rua == "" {
		r.say(DMARC, Note, "the record has no rua=: nobody reports")
		return
	}
	const maxURIs = 10
	for i, uri := range strings.Split(rua, ",") {
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
