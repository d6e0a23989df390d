package alias

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Canonical mapping and masquerading, canonical(5) and ADDRESS_REWRITING_README: one
// address is replaced by one other, in the envelope and in the header, before aliases
// are looked at.

// place is where an address stands.
type place uint8

const (
	envelopeSender place = iota
	envelopeRecipient
	headerSender
	headerRecipient
	places
)

// placeNames are what canonical_classes and masquerade_classes call the places.
var placeNames = [places]string{"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"}

// canonicalMaps are the tables of one canonical parameter.
type canonicalMaps struct {
	parameter string
	searched
}

// maxCanonical is how often one table may replace an address (cleanup(8)).
const maxCanonical = 10

// placeCanonicals notes which tables concern which place.
func (r *Resolver) placeCanonicals() error {
	for _, c := range []struct {
		parameter string
		in        searched
		classes   []string
	}{
		{"sender_canonical_maps", search(r.o.SenderCanonicalMaps), r.o.SenderCanonicalClasses},
		{"recipient_canonical_maps", search(r.o.RecipientCanonicalMaps), r.o.RecipientCanonicalClasses},
		{"canonical_maps", search(r.o.CanonicalMaps), r.o.CanonicalClasses},
		{"masquerade_domains", searched{}, r.o.MasqueradeClasses},
	} {
		for _, class := range c.classes {
			at := slices.Index(placeNames[:], strings.ToLower(class))
			switch {
			case at < 0:
				return fmt.Errorf("alias: %s: unknown class %q; known: %s", c.parameter, class, strings.Join(placeNames[:], ", "))
			case c.parameter == "masquerade_domains":
				r.masquerades[at] = len(r.o.MasqueradeDomains) > 0
			case len(c.in.whole) > 0:
				r.canonicals[at] = append(r.canonicals[at], canonicalMaps{c.parameter, c.in})
			}
		}
	}
	return nil
}

// canonical is a completed address in its canonical form. An error is a *mail.Status.
func (r *Resolver) canonical(ctx context.Context, at place, a mail.Address, tr *trace) (mail.Address, error) {
	for _, maps := range r.canonicals[at] {
		var err error
		if a, err = r.replace(ctx, maps, a, tr); err != nil {
			return a, err
		}
	}
	if r.masquerades[at] {
		return r.masquerade(ctx, a, tr)
	}
	return a, nil
}

// replace looks an address up, and what is found in its turn. When that goes on for too
// long the last address stands, as in cleanup(8): the mail is not to blame.
func (r *Resolver) replace(ctx context.Context, maps canonicalMaps, a mail.Address, tr *trace) (mail.Address, error) {
	given := a
	for range maxCanonical {
		next, found, err := r.mapOne(ctx, maps.parameter, maps.searched, "canonical", a, tr)
		if err != nil {
			r.log.Warn(maps.parameter + " map lookup problem for " + external(a) + " -- message not accepted, try again later")
			return a, err
		}
		if !found {
			return a, nil
		}
		a, next = next, a
		if r.same(a, next) {
			return a, nil
		}
	}
	r.log.Warn("unreasonable " + maps.parameter + " map nesting for " + external(given))
	return a, nil
}

// mapOne replaces an address by the one that a table has for it, once
// (mail_addr_map(3) of Postfix). class is the word of propagate_unmatched_extensions.
func (r *Resolver) mapOne(ctx context.Context, parameter string, in searched, class string, a mail.Address, tr *trace) (mail.Address, bool, error) {
	h, found, err := r.find(ctx, in, a)
	if err != nil {
		tr.failed(a)
		return a, false, err
	}
	if !found {
		return a, false, nil
	}
	results, err := r.addresses(parameter, a, h, slices.Contains(r.o.PropagateUnmatchedExtensions, class), tr)
	if err != nil {
		return a, false, err
	}
	if len(results) > 1 {
		r.log.Warn("multi-valued " + parameter + " entry for " + external(a))
	}
	return results[0], true, nil
}

// masquerade cuts the name of a host off a domain (masquerade_domains): the first
// element that the domain is or lies below decides; "!" spares what lies below.
func (r *Resolver) masquerade(ctx context.Context, a mail.Address, tr *trace) (mail.Address, error) {
	if a.Domain == "" {
		return a, nil
	}
	if r.o.MasqueradeExceptions != nil {
		excepted, err := r.o.MasqueradeExceptions.Match(ctx, a.Local)
		if err != nil {
			r.complain("masquerade_exceptions", err)
			return a, lookupFailure()
		}
		if excepted {
			return a, nil
		}
	}
	domain := strings.ToLower(a.Domain)
	for _, word := range r.o.MasqueradeDomains {
		parent := strings.ToLower(strings.TrimLeft(word, "!"))
		switch {
		case parent == "":
		case parent == domain:
			return a, nil
		case strings.HasSuffix(domain, "."+parent):
			if (len(word)-len(parent))%2 == 0 {
				tr.masqueraded(a, parent)
				a.Domain = parent
			}
			return a, nil
		}
	}
	return a, nil
}

// HeaderAddress is what an address in a header field becomes. sender tells the fields
// that say who a message is from. remoteDomain completes addresses instead of
// $myorigin and $mydomain (remote_header_rewrite_domain); empty: a message of our own
// clients. An error is a *mail.Status.
func (r *Resolver) HeaderAddress(ctx context.Context, a mail.Address, sender bool, remoteDomain string) (mail.Address, error) {
	if remoteDomain != "" {
		remote := *r
		remote.o.MyOrigin, remote.o.MyDomain = remoteDomain, remoteDomain
		a = remote.Complete(a)
	} else {
		a = r.Complete(a)
	}
	if sender {
		return r.canonical(ctx, headerSender, a, nil)
	}
	return r.canonical(ctx, headerRecipient, a, nil)
}

// Generic is what an address becomes when mail leaves by SMTP, generic(5). An error is a
// *mail.Status.
func (r *Resolver) Generic(ctx context.Context, a mail.Address) (mail.Address, error) {
	a, _, err := r.mapOne(ctx, "smtp_generic_maps", r.generic, "generic", a, nil)
	return a, err
}

// LMTPGeneric is Generic for mail that leaves by LMTP (lmtp_generic_maps).
func (r *Resolver) LMTPGeneric(ctx context.Context, a mail.Address) (mail.Address, error) {
	a, _, err := r.mapOne(ctx, "lmtp_generic_maps", r.lmtpGeneric, "generic", a, nil)
	return a, err
}
