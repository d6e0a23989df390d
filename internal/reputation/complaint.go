package reputation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Which alias a report is about, and that it is counted.

// Find looks into a message that is about to be committed for a report that counts; nil:
// there is none. Complaints come to arf_recipients, notifications of failures without a
// reverse-path.
func (b *Book) Find(env *mail.Envelope, body func() (mail.Body, error)) *Report {
	p := b.params.Load()
	if !p.Enabled {
		return nil
	}
	complaint := slices.ContainsFunc(env.Rcpts, func(r mail.Recipient) bool {
		if len(p.Reports) == 0 {
			return false
		}
		alias, _ := p.alias(r.Orig)
		return p.Reports[alias]
	})
	if !complaint && !env.Sender.IsNull() {
		return nil
	}
	found, err := read(body, p.MyHostname)
	if err != nil {
		b.log.Warn("report: "+err.Error(), mail.KeyQueueID, env.ID.String())
	}
	if found == nil || (found.Kind != "") != complaint {
		return nil
	}
	if !env.Sender.IsNull() {
		found.from = env.Sender.Domain
	}
	return found
}

func read(body func() (mail.Body, error), hostname string) (*Report, error) {
	text, err := body()
	if err != nil {
		return nil, err
	}
	r, err := text.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return Parse(r, hostname), nil
}

// Reported counts a report that came as a message of that ID, for each alias that it is
// about. Without any it counts for nothing.
func (b *Book) Reported(ctx context.Context, id mail.QueueID, r *Report) {
	p := b.params.Load()
	b.mu.Lock()
	b.load()
	about := b.bySent(p, r)
	b.mu.Unlock()
	if len(about) == 0 {
		about = p.byAddress(ctx, r)
		b.mu.Lock()
		about = slices.DeleteFunc(about, func(s sent) bool { return !b.aliases.has(s.alias) }) // nobody had mail by it
		b.mu.Unlock()
	}
	what := "failure"
	if r.Kind != "" {
		what = "complaint (" + printable(r.Kind) + ")"
	}
	if len(about) == 0 {
		b.log.Info(what+" about no alias that is known", mail.KeyQueueID, id.String())
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	today := dayOf(b.o.Now())
	for _, s := range about {
		for _, c := range []*Counts{b.aliases.of(s.alias, today), b.domains.of(s.domain, today)} {
			if r.Kind != "" {
				c.Complaints++
				continue
			}
			c.Returned++
			if r.policy {
				c.Policy++
			}
		}
		b.log.Info(fmt.Sprintf("%s about %s, from %s", what, s.alias, s.domain), mail.KeyQueueID, id.String())
		if n := int(b.aliases.of(s.alias, today).Complaints); r.Kind != "" && p.ComplaintLimit > 0 && n == p.ComplaintLimit+1 {
			b.log.Warn(fmt.Sprintf("alias complaint limit exceeded: %d today about %s; %s", n, s.alias, consequences[p.ComplaintAction]))
		}
	}
	b.keeper.Changed()
}

// consequences are what an Action is for an alias.
var consequences = [...]string{
	ActNone:   "its mail goes on (alias_complaint_action = none)",
	ActHold:   "until tomorrow its mail is held",
	ActReject: "until tomorrow its mail is refused",
}

// bySent are the aliases by the queue ID of a message of ours: those that the report names,
// or that led to where it is from; all of them where that says nothing. The caller holds mu.
func (b *Book) bySent(p *Params, r *Report) []sent {
	var all []sent
	for _, h := range r.trace {
		if h.id == 0 || len(all) > 0 {
			continue
		}
		all = b.sent.find(h.id)
	}
	for _, fits := range []func(sent, mail.Address) bool{
		func(s sent, a mail.Address) bool { alias, _ := p.alias(a); return alias == s.alias },
		func(s sent, a mail.Address) bool { return strings.EqualFold(a.Domain, s.domain) },
	} {
		var some []sent
		for _, s := range all {
			if slices.ContainsFunc(r.about, func(a mail.Address) bool { return fits(s, a) }) {
				some = append(some, s)
			}
		}
		if len(some) > 0 {
			return once(some)
		}
	}
	return once(all)
}

// once has each alias once.
func once(list []sent) (some []sent) {
	for _, s := range list {
		if !slices.ContainsFunc(some, func(o sent) bool { return o.alias == s.alias }) {
			some = append(some, s)
		}
	}
	return some
}

// byAddress are the aliases that a report names: as the recipient, in our Received field, in
// what other hosts write of the recipient. The first of these that has one of ours counts.
func (p *Params) byAddress(ctx context.Context, r *Report) []sent {
	var traced []mail.Address
	for _, h := range r.trace {
		traced = append(traced, h.rcpt)
	}
	domain := r.from
	for _, list := range [][]mail.Address{r.about, traced, r.named} {
		var some []sent
		for _, a := range list {
			if a.IsNull() {
				continue
			}
			if ours, err := p.Ours(ctx, a); err != nil || !ours {
				domain = a.Domain // the target of an alias
				continue
			}
			alias, _ := p.alias(a)
			some = append(some, sent{alias: alias})
		}
		if len(some) == 0 {
			continue
		}
		for i := range some {
			some[i].domain = strings.ToLower(domain[:min(len(domain), maxAddress)])
		}
		return once(some)
	}
	return nil
}

// printable is a word of somebody else's for the log.
func printable(s string) string {
	s = s[:min(len(s), 40)]
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, s)
}
