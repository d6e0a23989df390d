package alias

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// The life of an alias: attributes that stand beside its entry, in tables of their own
// (alias_attribute_maps), searched as virtual(5) searches. An entry for a whole domain
// holds for its aliases that have none themselves.
//
// They are about the address that a client names: an alias that leads on to another one is
// judged by itself.

// Attributes of an alias. The zero value restricts nothing.
type Attributes struct {
	Expires   time.Time     // from then on nobody knows it; zero: never
	Senders   []string      // who may write: user@domain, @domain, .domain (its subdomains), <>; nil: everybody
	Suspended *mail.Status  // what to refuse everybody with; nil: it is not suspended
	Rate      int           // messages in RatePer; 0: any number
	RatePer   time.Duration // time unit of Rate
}

// ParseAttributes reads a table's value: words NAME or NAME=VALUE, where "..." holds blanks
// together.
//
//	expires=2027-01-31                   to the end of that day (UTC); or with a time, RFC 3339
//	senders=joe@example.com,@example.net,.example.org,<>
//	suspended="closed until May"         or with a reply: suspended="450 4.2.1 on holiday"
//	rate=20/h                            s, m, h or d
func ParseAttributes(value string) (Attributes, error) {
	var a Attributes
	words, err := attributeWords(value)
	seen := make(map[string]bool)
	for _, w := range words {
		name, text, _ := strings.Cut(w, "=")
		name = strings.ToLower(name)
		if seen[name] {
			return Attributes{}, fmt.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		switch name {
		case "expires":
			a.Expires, err = expiry(text)
		case "senders":
			a.Senders, err = senderPatterns(text)
		case "suspended":
			a.Suspended, err = suspension(text)
		case "rate":
			a.Rate, a.RatePer, err = ParseRate(text)
		default:
			err = fmt.Errorf("unknown attribute %q (known: expires, senders, suspended, rate)", name)
		}
		if err != nil {
			return Attributes{}, err
		}
	}
	return a, err
}

// Attributes are those of an alias; the zero value where it has none. An error is a
// *mail.Status, always temporary: what cannot be read restricts everybody.
func (r *Resolver) Attributes(ctx context.Context, a mail.Address) (Attributes, error) {
	return r.attributesOf(ctx, r.Complete(a), nil)
}

func (r *Resolver) attributesOf(ctx context.Context, a mail.Address, tr *trace) (Attributes, error) {
	h, found, err := r.find(ctx, r.attributes, a)
	if err != nil || !found {
		if err != nil {
			tr.failed(a)
		}
		return Attributes{}, err
	}
	attr, err := ParseAttributes(h.value)
	if err != nil {
		r.log.Warn(fmt.Sprintf("alias_attribute_maps: %s: %s: %v; mail to it is deferred", h.locate(), h.key, err))
		tr.unreadable(a, h, err)
		return Attributes{}, lookupFailure()
	}
	tr.attributes(a, h)
	return attr, nil
}

// alive refuses mail that the attributes of an alias do not let through.
func (r *Resolver) alive(ctx context.Context, a, sender mail.Address, tr *trace) error {
	attr, err := r.attributesOf(ctx, a, tr)
	if err != nil {
		return err
	}
	switch {
	case attr.Suspended != nil:
		return attr.Suspended
	case !attr.Expires.IsZero() && !r.o.Now().Before(attr.Expires):
		tr.expired(a, attr.Expires)
		return &mail.Status{
			Code: r.o.UnknownVirtualAliasCode, Enhanced: mail.Code(uint16(r.o.UnknownVirtualAliasCode/100), 1, 1),
			Text: "Recipient address rejected: " + r.unknownText(mail.ClassVirtualAlias),
		}
	case !attr.mayWrite(sender):
		return &mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "Recipient address rejected: Access denied"}
	}
	return nil
}

// mayWrite tells whether a sender is one of those who may.
func (a *Attributes) mayWrite(sender mail.Address) bool {
	if a.Senders == nil {
		return true
	}
	sender.Domain = strings.ToLower(asciiName(sender.Domain))
	whole, domain := strings.ToLower(sender.String()), sender.Domain
	for _, p := range a.Senders {
		switch {
		case p == "<>":
			if sender.IsNull() {
				return true
			}
		case sender.IsNull():
		case p[0] == '@' && domain == p[1:], p[0] == '.' && strings.HasSuffix(domain, p), p == whole:
			return true
		}
	}
	return false
}

func (tr *trace) attributes(a mail.Address, h hit) {
	if tr != nil {
		tr.note("%s has the attributes %s  (%s, by the entry %s)", external(a), h.value, h.locate(), h.key)
	}
}

func (tr *trace) unreadable(a mail.Address, h hit, err error) {
	if tr != nil {
		tr.note("%s: its attributes cannot be read: %v  (%s, by the entry %s)", external(a), err, h.locate(), h.key)
	}
}

func (tr *trace) expired(a mail.Address, at time.Time) {
	if tr != nil {
		tr.note("%s has expired: %s", external(a), at.UTC().Format(time.RFC3339))
	}
}
