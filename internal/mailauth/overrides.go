package mailauth

import (
	"context"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// mailauth_policy_maps: other actions for some mail. The tables are asked as access(5) has it,
// from what says most of a message to what says least: the author's domain, the domain of the
// reverse-path, the client's name, its address; domains with those above them, addresses with
// the networks they are in. An entry that says nothing of an action leaves it to the next.
//
// Anybody can write a reverse-path: what an entry for its domain says of others than SPF counts
// only if SPF passes. And what is done with mail that names a hosted domain is for the entry of
// that domain to say, or of the client.

// Override are the actions that an entry names, in their order.
type Override []struct {
	name   string
	action Action
}

// ParseOverride reads an entry: "dmarc=ignore spf=reject". dmarc stands for dmarc_reject and
// dmarc_quarantine.
func ParseOverride(value string) (Override, error) {
	var list Override
	for word := range strings.FieldsFuncSeq(value, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
		name, text, _ := strings.Cut(strings.ToLower(word), "=")
		a, err := ParseAction(text)
		if err == nil && len(new(Policy).named(name)) == 0 {
			err = fmt.Errorf("%q is not one of spf, spf_temperror, dmarc, dmarc_reject, dmarc_quarantine, dmarc_temperror, no_author, hosted, hosted_temperror", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
		list = append(list, struct {
			name   string
			action Action
		}{name, a})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("an empty entry; write name=action, as in dmarc=ignore")
	}
	return list, nil
}

// named are the actions that a name of an entry stands for.
func (p *Policy) named(name string) []*Action {
	switch name {
	case "spf":
		return []*Action{&p.SPFFail}
	case "spf_temperror":
		return []*Action{&p.SPFTempError}
	case "dmarc":
		return []*Action{&p.DMARCReject, &p.DMARCQuarantine}
	case "dmarc_reject":
		return []*Action{&p.DMARCReject}
	case "dmarc_quarantine":
		return []*Action{&p.DMARCQuarantine}
	case "dmarc_temperror":
		return []*Action{&p.DMARCTempError}
	case "no_author":
		return []*Action{&p.NoAuthor}
	case "hosted":
		return []*Action{&p.Hosted}
	case "hosted_temperror":
		return []*Action{&p.HostedTempError}
	}
	return nil
}

// override gives a policy the actions that the tables have for a message.
func (v *Verifier) override(ctx context.Context, f *Findings, p *Policy) error {
	if v.o.Overrides == nil {
		return nil
	}
	set := make(map[*Action]bool)
	author, path := f.Author(), pathDomain(&f.Request)
	for _, of := range []struct {
		keys []string
		says func(name string) bool // what an entry may decide about; nil: all
	}{
		{v.domainKeys(author), func(name string) bool { return !isHostedName(name) || v.claims(ctx, author) }},
		{v.domainKeys(path), func(name string) bool {
			switch {
			case isHostedName(name):
				return v.claims(ctx, path)
			case strings.HasPrefix(name, "spf"):
				return true // about the domain itself
			}
			return f.SPF.Result == mail.AuthPass
		}},
		{v.domainKeys(clientName(f)), nil},
		{addressKeys(f), nil},
	} {
		value, err := v.firstEntry(ctx, of.keys)
		if err != nil {
			return fmt.Errorf("mailauth_policy_maps: %w", err)
		}
		if value == "" {
			continue
		}
		entry, err := ParseOverride(value)
		if err != nil {
			return fmt.Errorf("mailauth_policy_maps: %w", err)
		}
		for _, word := range entry {
			if of.says != nil && !of.says(word.name) {
				continue
			}
			for _, a := range p.named(word.name) {
				if !set[a] {
					*a, set[a] = word.action, true
				}
			}
		}
	}
	return nil
}

func isHostedName(name string) bool { return strings.HasPrefix(name, "hosted") }

// claims tells whether a domain is one that nobody outside may use.
func (v *Verifier) claims(ctx context.Context, domain string) bool {
	ours, err := v.isHosted(ctx, domain, "")
	return ours && err == nil
}

func (v *Verifier) firstEntry(ctx context.Context, keys []string) (string, error) {
	for _, key := range keys {
		value, found, err := v.o.Overrides.Lookup(ctx, key)
		if found || err != nil {
			return value, err
		}
	}
	return "", nil
}

// domainKeys are the keys of a domain: itself, and those above it.
func (v *Verifier) domainKeys(domain string) []string {
	if domain == "" || domain == "unknown" {
		return nil
	}
	keys := []string{domain}
	for _, above, more := strings.Cut(domain, "."); more; _, above, more = strings.Cut(above, ".") {
		if v.o.Subdomains {
			keys = append(keys, above)
		} else {
			keys = append(keys, "."+above)
		}
	}
	return keys
}

func clientName(f *Findings) string { return strings.ToLower(f.Request.Client.Name) }

// addressKeys are the keys of the client's address: itself, and the networks of whole bytes,
// or of whole groups, that it is in.
func addressKeys(f *Findings) []string {
	addr := f.Request.Client.Addr.Unmap()
	if !addr.IsValid() {
		return nil
	}
	keys, sep := []string{addr.String()}, "."
	if addr.Is6() {
		sep = ":"
	}
	for s := keys[0]; ; {
		i := strings.LastIndex(s, sep)
		if i <= 0 {
			return keys
		}
		if s = strings.TrimRight(s[:i], sep); s != "" {
			keys = append(keys, s)
		}
	}
}
