package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/dmarc"
	"aliasmx/internal/table"
)

// Whether srs_domain may stand in for senders. All forwarded mail leaves with an SPF pass for it,
// forged mail too. With DMARC's relaxed alignment a pass counts for every domain of the same
// organisation: were one of ours among them, whoever sends a letter through us that claims to
// be from there would have it authenticated.

// srsProofTime bounds the questions to the DNS.
const srsProofTime = 5 * time.Second

// maxAskedDomains is how many domains the DNS is asked about.
const maxAskedDomains = 20

// organisation asks for the organisational domain of a domain (RFC 9989 section 4.10).
type organisation func(ctx context.Context, domain string) (string, error)

// proveSRSDomain refuses an srs_domain that a domain of ours is aligned with, or warns of it
// (srs_domain_allow_aligned).
func (v *view) proveSRSDomain(ctx context.Context, names *dns.Resolver, log *slog.Logger) error {
	return v.proveApart(ctx, names, log, "srs_domain", v.tables.codec.Domain(), "an SPF pass")
}

// proveApart refuses a domain of a parameter, which all forwarded mail leaves with a pass of.
func (v *view) proveApart(ctx context.Context, names *dns.Resolver, log *slog.Logger, parameter, domain, pass string) error {
	p := srsProof{own: domain, ask: organisationBy(names)}
	v.resolver.DomainLists(func(parameter string, list *table.DomainList) bool {
		return p.look(ctx, parameter, list)
	})
	aligned, doubt := p.verdict(ctx)
	where := fmt.Sprintf("%s (%s): ", parameter, v.cfg.Where(parameter))
	switch {
	case aligned != "" && !v.cfg.Bool("srs_domain_allow_aligned"):
		return fmt.Errorf("%s%s: forged mail from there would leave with %s that counts for it; "+
			"use a domain of an organisation of its own, or set srs_domain_allow_aligned = yes", where, aligned, pass)
	case aligned != "":
		log.Warn(where + aligned + ": forged mail from there leaves with " + pass + " that counts for it (srs_domain_allow_aligned = yes)")
	case doubt != "":
		log.Warn(where + doubt)
	}
	return nil
}

// srsProof is what is found out about a domain. The first domain of ours that is aligned
// without a question to anybody ends it.
type srsProof struct {
	own     string // A-label, lower case
	ask     organisation
	aligned string
	near    []hostedDomain // have labels in common with it
}

// hostedDomain is one of ours, and the parameter that lists it.
type hostedDomain struct{ name, parameter string }

// look goes through a list. What a table that cannot be listed holds is asked for: the
// domain itself and those above it.
func (p *srsProof) look(ctx context.Context, parameter string, list *table.DomainList) bool {
	opaque, _ := list.Each(func(name string, in table.Table) bool {
		if strings.Contains(name, "@") || in != nil && !strings.Contains(name, ".") {
			return true // no domain: an address, or a word that stands for something
		}
		// ".example.com" is for all below; a dot at the end is a mistake that others may forgive.
		name = strings.ToLower(strings.Trim(name, "."))
		if domain, err := idna.Lookup.ToASCII(name); err == nil {
			name = domain
		}
		p.compare(name, parameter)
		return p.aligned == ""
	})
	for name := p.own; len(opaque) > 0 && p.aligned == "" && strings.Contains(name, "."); {
		if found, err := list.Match(ctx, name); found && err == nil { // a failure is told where the list is used
			p.compare(name, parameter)
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return p.aligned == ""
}

func (p *srsProof) compare(domain, parameter string) {
	switch {
	case domain == p.own:
		p.aligned = fmt.Sprintf("%s is itself a domain of %s", p.own, parameter)
	case strings.HasSuffix(p.own, "."+domain):
		p.aligned = fmt.Sprintf("%s lies within %s of %s", p.own, domain, parameter)
	case strings.HasSuffix(domain, "."+p.own):
		p.aligned = fmt.Sprintf("%s of %s lies within %s", domain, parameter, p.own)
	case commonLabels(p.own, domain) >= 2 && len(p.near) < maxAskedDomains:
		// With one label in common, that of a registry, no organisation is.
		if h := (hostedDomain{domain, parameter}); !slices.Contains(p.near, h) {
			p.near = append(p.near, h)
		}
	}
}

// verdict is how a domain of ours is aligned, or what speaks against saying that none is.
func (p *srsProof) verdict(ctx context.Context) (aligned, doubt string) {
	if p.aligned != "" || len(p.near) == 0 {
		return p.aligned, ""
	}
	own, err := p.ask(ctx, p.own)
	for _, h := range p.near {
		other := ""
		if err == nil {
			other, err = p.ask(ctx, h.name)
		}
		if err == nil && other == own {
			return fmt.Sprintf("%s and %s of %s are of one organisation, %s", p.own, h.name, h.parameter, own), ""
		}
		if shared := samePublicSuffix(p.own, h.name); shared != "" && doubt == "" {
			doubt = fmt.Sprintf("%s and %s of %s are both below %s, which receivers that go by the list of public suffixes take for one organisation: "+
				"forged mail from there may pass; use a domain of its own", p.own, h.name, h.parameter, shared)
		}
	}
	if err != nil {
		said := fmt.Sprintf("whether it is of one organisation with %s of %s the DNS does not say: %v", p.near[0].name, p.near[0].parameter, err)
		if doubt != "" {
			said += "; " + doubt
		}
		return "", said
	}
	return "", doubt
}

// commonLabels is how many labels two domains have in common, from the right.
func commonLabels(a, b string) (n int) {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for n < len(as) && n < len(bs) && as[len(as)-1-n] == bs[len(bs)-1-n] {
		n++
	}
	return n
}

// samePublicSuffix is the domain below a public suffix that two have in common; "": none.
func samePublicSuffix(a, b string) string {
	one, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return ""
	}
	if other, err := publicsuffix.EffectiveTLDPlusOne(b); err != nil || other != one {
		return ""
	}
	return one
}

// organisationBy asks the DNS.
func organisationBy(names *dns.Resolver) organisation {
	return func(ctx context.Context, domain string) (string, error) {
		return dmarc.OrgDomain(ctx, names, domain)
	}
}
