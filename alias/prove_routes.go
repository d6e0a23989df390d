package alias

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Proving the tables beside the aliases: where mail is sent (transport(5), relocated(5),
// tables by sender) and what addresses are rewritten to (canonical(5)).

// More kinds of findings.
const (
	BadRoute Kind = "route" // a transport or next hop that is none
)

// ProveRoutes is Prove for transport_maps, sender_dependent_..._maps, relocated_maps and
// the canonical maps. check says what is wrong with a transport or its next hop; one that
// is empty is the recipient's domain. Tables that cannot be listed are left out.
func (r *Resolver) ProveRoutes(ctx context.Context, check func(transport, nextHop string) error, yield func(Finding) bool) {
	p := newProver(ctx, r, yield)
	for _, part := range []struct {
		parameter string
		maps      table.Maps
		prove     entryProof
	}{
		{"transport_maps", r.o.TransportMaps, p.transport(check)},
		{"sender_dependent_default_transport_maps", r.o.SenderTransportMaps, p.transport(check)},
		{"sender_dependent_relayhost_maps", r.o.SenderRelayHostMaps, p.relayHost(check)},
		{"relocated_maps", r.o.RelocatedMaps, p.relocated},
		{"canonical_maps", r.o.CanonicalMaps, p.canonical("canonical_maps", r.o.CanonicalMaps)},
		{"sender_canonical_maps", r.o.SenderCanonicalMaps, p.canonical("sender_canonical_maps", r.o.SenderCanonicalMaps)},
		{"recipient_canonical_maps", r.o.RecipientCanonicalMaps, p.canonical("recipient_canonical_maps", r.o.RecipientCanonicalMaps)},
	} {
		for _, t := range part.maps {
			if !p.entries(part.parameter, t, part.prove) {
				return
			}
		}
	}
}

// entryProof says what is wrong with an entry: "" nothing.
type entryProof func(key, value string) (kind Kind, text string)

// entries proves a table entry by entry.
func (p *prover) entries(parameter string, t table.Table, prove entryProof) bool {
	lister, ok := t.(table.Lister)
	if !ok {
		return true
	}
	err := lister.Each(func(key, value string) bool {
		if !p.goOn(t.Name()) {
			return false
		}
		kind, text := prove(key, value)
		return text == "" || p.tell(Finding{Kind: kind, Where: hit{key: key, table: t}.locate(), Parameter: parameter, Key: key, Text: text})
	})
	if err != nil && !p.over {
		p.tell(Finding{Kind: Unproven, Where: t.Name(), Parameter: parameter, Text: "it cannot be read to its end: " + err.Error()})
	}
	return !p.over
}

func (p *prover) transport(check func(transport, nextHop string) error) entryProof {
	return func(_, value string) (Kind, string) {
		transport, nextHop, _ := strings.Cut(value, ":")
		if strings.EqualFold(value, "DUNNO") {
			return "", ""
		}
		if transport == "" {
			if nextHop == "" {
				return "", ""
			}
			transport = "smtp" // of the class: all of them that have a next hop are alike
		}
		return routeFault(check(transport, nextHop))
	}
}

func (p *prover) relayHost(check func(transport, nextHop string) error) entryProof {
	return func(_, value string) (Kind, string) {
		if strings.EqualFold(value, "DUNNO") {
			return "", ""
		}
		return routeFault(check("smtp", value))
	}
}

func routeFault(err error) (Kind, string) {
	if err == nil {
		return "", ""
	}
	return BadRoute, err.Error()
}

func (p *prover) relocated(_, value string) (Kind, string) {
	if !p.r.o.NoRelocatedPrefix {
		return "", ""
	}
	if code, text := splitStatus(value, mail.Enhanced{}); code != (mail.Enhanced{}) && text != "" {
		return "", ""
	}
	return BadTarget, fmt.Sprintf("%q must begin with a status such as 5.1.6 and say something (relocated_prefix_enable = no)", clipped(value))
}

// canonical proves what an address becomes by a table that is asked again for its own
// results.
func (p *prover) canonical(parameter string, maps table.Maps) entryProof {
	in := search(maps)
	return func(key, value string) (Kind, string) {
		results := p.r.targets(value, "")
		switch {
		case strings.HasPrefix(value, "@") && isDomain(value[1:]):
		case len(results) == 0:
			return NoAddress, fmt.Sprintf("%q holds no address; mail with this address is deferred (451 4.3.0)", clipped(value))
		case p.r.isMalformed(results[0]):
			return BadTarget, fmt.Sprintf("becomes %s, which is no valid address", external(results[0]))
		case len(results) > 1:
			return BadTarget, fmt.Sprintf("only the first of %d addresses counts: one address is replaced by one other", len(results))
		}
		k, why := p.r.readKey(p.ctx, key)
		if why != "" || k.catchAll || k.domainOnly {
			return "", ""
		}
		circle := []string{external(k.addr)}
		a := k.addr
		for range maxCanonical {
			next, found, err := p.r.mapOne(p.ctx, parameter, in, "canonical", a, nil)
			if err != nil {
				if errors.Is(err, p.ctx.Err()) {
					return "", ""
				}
				return Unproven, "a table could not be asked, or a result in turn holds no address"
			}
			if !found || p.r.same(a, next) {
				return "", ""
			}
			a = next
			circle = append(circle, external(a))
			if p.r.same(a, k.addr) {
				return Loop, "leads round in a circle: " + strings.Join(circle, " -> ") + "; after ten rounds the last address stands"
			}
		}
		return Loop, fmt.Sprintf("is replaced more than %d times: the last address stands", maxCanonical)
	}
}
