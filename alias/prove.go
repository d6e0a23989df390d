package alias

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Proving: every entry of virtual_alias_maps is expanded as mail to it would be, and
// what would be refused, deferred or returned is told before any mail comes. The tables
// are gone through once, and of all keys nothing is kept but a number for each domain.

// Finding is something that the tables or lists say and that is probably not meant.
type Finding struct {
	Kind Kind
	// Where is "FILE, line N", or the name of a table that does not know its lines. For a
	// domain that stands in a parameter itself it is empty.
	Where     string
	Parameter string // of postconf(5) that names the table or the domain
	Key       string
	Text      string // what is the matter, to be read after the key
	// Info is for what is no fault, but good to know.
	Info bool
}

// Kind says of what sort a finding is.
type Kind string

// The kinds of findings.
const (
	DeadEnd      Kind = "dead-end"       // leads to nobody: mail to it is refused
	SelfAlias    Kind = "self-alias"     // leads to itself, where nobody is
	Loop         Kind = "loop"           // leads round in a circle
	OverLimit    Kind = "limit"          // longer, deeper or larger than allowed
	BrokenTarget Kind = "broken-target"  // one target among good ones leads to nobody
	BadTarget    Kind = "bad-target"     // a target that no mail can be sent to
	NoAddress    Kind = "no-address"     // the value holds no address at all
	Unreachable  Kind = "unreachable"    // a key that no address is looked up by
	Shadowed     Kind = "shadowed"       // an earlier table has the same key
	ForeignKey   Kind = "foreign-domain" // a key in a domain that is not ours
	EmptyDomain  Kind = "empty-domain"   // a virtual alias domain without an entry
	NoPostmaster Kind = "postmaster"     // of a virtual alias domain, is nobody
	TwoClasses   Kind = "two-classes"    // a domain in the lists of two classes
	CatchAll     Kind = "catch-all"      // @domain
	Unproven     Kind = "unproven"       // a table that cannot be listed or asked

	BadAttributes Kind = "bad-attributes" // cannot be read
	Expired       Kind = "expired"        // an alias whose time is over
)

// Prove calls yield with everything that is wrong with the alias tables and the lists
// of domains, until yield has enough or ctx ends; that it ended is a finding too. The
// order is that of the tables; in a table it is the table's own.
func (r *Resolver) Prove(ctx context.Context, yield func(Finding) bool) {
	p := newProver(ctx, r, yield)
	for i, t := range r.o.VirtualAliasMaps {
		if !p.table(i, t) {
			return
		}
	}
	_ = p.attributes() && p.domains() && p.classes()
}

// prover is one run of Prove. Its methods return false when it is over.
type prover struct {
	ctx   context.Context
	r     *Resolver
	brief *Resolver // gives up early, to look for a circle before the limits are reached
	yield func(Finding) bool
	over  bool

	// Of the domains with an entry, a number each: a collision, of two in 2^64, would hide
	// one domain without an entry.
	seen   map[uint64]struct{}
	seed   maphash.Seed
	latest string // domain that was put there
	opaque bool   // some table cannot enumerate: who knows what it holds
}

// An expansion that is deeper or larger than this is looked at closely. Nearly all of
// them are neither, and of the others nearly all are circles.
const (
	briefDepth = 8
	briefSize  = 100
)

func newProver(ctx context.Context, r *Resolver, yield func(Finding) bool) *prover {
	quiet := *r
	quiet.log = slog.New(slog.DiscardHandler) // what is wrong is told by yield
	quiet.refuseUnlisted = true
	brief := quiet
	brief.o.RecursionLimit = min(briefDepth, r.o.RecursionLimit)
	brief.o.ExpansionLimit = min(briefSize, r.o.ExpansionLimit)
	return &prover{
		ctx: ctx, r: &quiet, brief: &brief, yield: yield,
		seen: make(map[uint64]struct{}), seed: maphash.MakeSeed(),
	}
}

// table proves what one table holds.
func (p *prover) table(i int, t table.Table) bool {
	lister, ok := t.(table.Lister)
	if !ok {
		p.opaque = true
		return p.tell(Finding{Kind: Unproven, Where: t.Name(), Info: true,
			Text: "what it holds cannot be listed, and is not proven"})
	}
	err := lister.Each(func(key, value string) bool { return p.goOn(t.Name()) && p.entry(t, key, value) })
	if err != nil && !p.over {
		p.opaque = true
		p.tell(Finding{Kind: Unproven, Where: t.Name(), Text: "it cannot be read to its end: " + err.Error()})
	}
	return !p.over
}

// goOn looks whether there is time left.
func (p *prover) goOn(where string) bool {
	if err := p.ctx.Err(); err != nil && !p.over {
		why := "it was ended"
		if errors.Is(err, context.DeadlineExceeded) {
			why = "it took too long"
		}
		p.tell(Finding{Kind: Unproven, Where: where, Text: "not proven to its end: " + why})
		p.over = true
	}
	return !p.over
}

func (p *prover) tell(f Finding) bool {
	if f.Parameter == "" {
		f.Parameter = "virtual_alias_maps"
	}
	p.over = p.over || !p.yield(f)
	return !p.over
}

// entry proves one entry, or leaves it to the one that stands before it.
func (p *prover) entry(t table.Table, key, value string) bool {
	tell := func(kind Kind, format string, args ...any) bool {
		return p.tell(Finding{Kind: kind, Where: hit{key: key, table: t}.locate(), Key: key, Text: fmt.Sprintf(format, args...), Info: kind == CatchAll})
	}
	k, why := p.r.readKey(p.ctx, key)
	switch {
	case k.domainOnly:
		return true // "virtual.example anything" makes a domain, and leads nowhere
	case why != "":
		return tell(Unreachable, "%s", why)
	}
	p.sawDomain(k.addr.Domain)
	a := k.addr
	if k.catchAll {
		var ok bool
		if a, ok = p.anyone(k.addr.Domain); !ok {
			return true // everybody there has an entry, or a pattern takes them all
		}
	}
	h, found, err := p.r.find(p.ctx, p.r.aliases, a)
	switch {
	case err != nil:
		return p.goOn(t.Name()) && tell(Unproven, "a table or list could not be asked")
	case !found:
		return tell(Unreachable, "never counts: no address is looked up by this key")
	case !strings.EqualFold(h.key, key):
		return true // another entry decides about this address
	case h.table != t:
		return tell(Shadowed, "never counts: the same key comes first in %s", h.locate())
	}
	if k.catchAll && !tell(CatchAll, "takes every address of %s that has no entry of its own", k.addr.Domain) {
		return false
	}
	if !k.bare {
		class, err := p.class(a.Domain)
		if err == nil && class == mail.ClassDefault && !strings.EqualFold(a.Domain, p.r.o.MyOrigin) {
			if !tell(ForeignKey, "%s is in none of our domains: the entry holds only for mail from clients that may relay, "+
				"and where another alias leads there", a.Domain) {
				return false
			}
		}
	}
	return p.expansion(t, a, value, tell)
}

// class is the class of a domain.
func (p *prover) class(domain string) (mail.Class, error) {
	if local, err := p.r.isLocal(p.ctx, domain); local || err != nil {
		return mail.ClassLocal, err
	}
	return p.r.remoteClass(p.ctx, domain)
}

// anyone is an address in a domain that has no entry of its own.
func (p *prover) anyone(domain string) (mail.Address, bool) {
	for _, local := range []string{"anyone", "anybody", "everyone.else"} {
		a := mail.Address{Local: local, Domain: domain}
		h, found, err := p.r.find(p.ctx, p.r.aliases, a)
		if err != nil || !found || strings.HasPrefix(h.key, "@") {
			return a, true
		}
	}
	return mail.Address{}, false
}
