package reputation

import (
	"context"
	"fmt"
	"time"

	"aliasmx/internal/mail"
)

// The question at RCPT: has this alias had enough?

func tooMuch() *mail.Status {
	return &mail.Status{Code: 450, Enhanced: mail.Code(4, 7, 1),
		Text: "Recipient address rejected: too much mail for this address, try again later"}
}

func tooManyComplaints() *mail.Status {
	return &mail.Status{Code: 450, Enhanced: mail.Code(4, 7, 1),
		Text: "Recipient address rejected: too many complaints about mail for this address, try again later"}
}

// Recipient says whether an address that is about to be accepted as a recipient may have a
// message, and counts it if so. An error is temporary: a table could not answer.
func (b *Book) Recipient(ctx context.Context, a mail.Address) (mail.AliasVerdict, error) {
	p := b.params.Load()
	if p.idle() {
		return mail.AliasVerdict{}, nil
	}
	if ours, err := p.Ours(ctx, a); err != nil || !ours {
		return mail.AliasVerdict{}, err
	}
	alias, domain := p.alias(a)
	if p.Reports[alias] {
		return mail.AliasVerdict{}, nil // complaints come when they come
	}
	q := question{alias: alias, domain: domain, aliasLimit: p.AliasRate, domainLimit: p.DomainRate}
	if p.Limit != nil {
		for key, limit := range map[string]*int{alias: &q.aliasLimit, domain: &q.domainLimit} {
			special, found, err := p.Limit(ctx, key)
			if err != nil {
				return mail.AliasVerdict{}, err
			}
			if found {
				*limit = special
			}
		}
	}
	if p.OwnRate != nil {
		var err error
		if q.ownLimit, q.ownUnit, err = p.OwnRate(ctx, a); err != nil {
			return mail.AliasVerdict{}, err
		}
	}
	if p.CatchAllLimit > 0 {
		var err error
		if q.catchAll, err = p.IsCatchAll(ctx, a); err != nil {
			return mail.AliasVerdict{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.complainedOf(p, alias)
	if v.Refused != nil {
		return v, nil
	}
	rated := b.rated(p, &q)
	rated.Hold = v.Hold
	return rated, nil
}

// question is one recipient with its limits; 0: there is none.
type question struct {
	alias, domain           string
	aliasLimit, domainLimit int
	ownLimit                int
	ownUnit                 time.Duration
	catchAll                bool
}

// rated counts a message, or refuses it: what is refused for one limit is not counted for
// another. The caller holds mu.
func (b *Book) rated(p *Params, q *question) (v mail.AliasVerdict) {
	now := b.o.Now()
	var h *hour
	if q.catchAll {
		h = b.catchAll.of(q.domain, now)
		if !b.catchAll.admits(h, q.alias, p.CatchAllLimit) {
			v.Refused = tooMuch()
			if !h.told {
				h.told = true
				v.Warn = fmt.Sprintf("catch-all address limit exceeded: %d addresses of %s in an hour", p.CatchAllLimit, q.domain)
			}
			return v
		}
	}
	type count struct {
		*unit
		key   string
		limit int
	}
	var counts []count
	if q.aliasLimit > 0 {
		counts = append(counts, count{b.byAlias.of(q.alias, now, p.RateUnit), q.alias, q.aliasLimit})
	}
	if q.ownLimit > 0 {
		counts = append(counts, count{b.byOwnRate.of(q.alias, now, q.ownUnit), q.alias, q.ownLimit})
	}
	if q.domainLimit > 0 {
		counts = append(counts, count{b.byDomain.of(q.domain, now, p.RateUnit), q.domain, q.domainLimit})
	}
	for _, c := range counts {
		if c.n < c.limit {
			continue
		}
		v.Refused = tooMuch()
		if !c.told {
			c.told = true
			v.Warn = fmt.Sprintf("Recipient address rate limit exceeded: %d for %s", c.n+1, c.key)
		}
		return v
	}
	for _, c := range counts {
		c.n++
	}
	if h != nil {
		b.catchAll.note(h, q.alias)
	}
	return v
}

// complainedOf is what is done about the complaints of today; Reported has warned of them.
// The caller holds mu.
func (b *Book) complainedOf(p *Params, alias string) (v mail.AliasVerdict) {
	if p.ComplaintLimit == 0 || p.ComplaintAction == ActNone {
		return v
	}
	b.load()
	c := b.aliases.find(alias, dayOf(b.o.Now()))
	if c == nil || int(c.Complaints) <= p.ComplaintLimit {
		return v
	}
	if p.ComplaintAction == ActReject {
		v.Refused = tooManyComplaints()
	} else {
		v.Hold = "too many complaints"
	}
	return v
}
