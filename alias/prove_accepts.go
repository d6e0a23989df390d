package alias

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// What a domain accepts, entry by entry. Other than Prove this keeps the keys of the
// domain in memory, to name them in order.

// Acceptance says how mail to a domain is decided about.
type Acceptance struct {
	Domain   string
	Class    mail.Class
	Lists    []string // parameters that list the domain; the first decides
	Open     bool     // every address of it exists: the class has no recipient maps
	Unlisted []string // tables that cannot be listed and may hold more
}

// Accepted is one entry: an address, or @domain for all that have no entry.
type Accepted struct {
	Key     string
	Where   string           // "FILE, line N", or a table
	Mirror  string           // "@otherdomain": the same user there decides
	Targets []mail.Recipient // where mail to it goes, else
	Refusal *mail.Status     // what it is refused with, nil when it is accepted
}

// Accepts tells what a domain is, then calls yield with each of its entries in the alias
// tables and in the recipient maps of its class, in the order of their keys. An error is
// that of a table or list that could not be asked.
func (r *Resolver) Accepts(ctx context.Context, domain string, begin func(Acceptance), yield func(Accepted) bool) error {
	quiet := *r
	quiet.log = slog.New(slog.DiscardHandler)
	r = &quiet
	a := Acceptance{Domain: domain}
	local, err := r.isLocal(ctx, domain)
	if err != nil {
		return err
	}
	a.Class = mail.ClassLocal
	if !local {
		if a.Class, err = r.remoteClass(ctx, domain); err != nil {
			return err
		}
	}
	for _, l := range r.classLists() {
		if found, err := r.inList(ctx, l.list, l.name, domain); err == nil && found {
			a.Lists = append(a.Lists, l.name)
		}
	}
	recipients, hasMaps := r.recipientMaps(a.Class)
	dest, err := r.destination(ctx, a.Class, domain, mail.Address{})
	if err != nil {
		return err
	}
	a.Open = hasMaps && len(recipients) == 0 && dest.Transport() != "error"
	s := selection{r: r, domain: domain, withBare: local || strings.EqualFold(domain, r.o.MyOrigin), at: make(map[string]string)}
	for _, t := range slices.Concat(r.o.VirtualAliasMaps, recipients) {
		listed, err := s.add(ctx, t)
		if err != nil {
			return err
		}
		switch kind, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "proxy:"), ":"); {
		case kind == "static":
			a.Open = true // it has every key
		case !listed && t.Name() != "inline:{}":
			a.Unlisted = append(a.Unlisted, t.Name())
		}
	}
	begin(a)
	for _, key := range s.keys() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(s.accepted(ctx, key)) {
			return nil
		}
	}
	return nil
}

// recipientMaps are those of a class that has some at all.
func (r *Resolver) recipientMaps(class mail.Class) (maps table.Maps, has bool) {
	switch class {
	case mail.ClassLocal:
		return r.o.LocalRecipientMaps, true
	case mail.ClassVirtualMailbox:
		return r.o.VirtualMailboxMaps, true
	case mail.ClassRelay:
		return r.o.RelayRecipientMaps, true
	}
	return nil, false
}

// selection is the keys of one domain.
type selection struct {
	r        *Resolver
	domain   string
	withBare bool              // keys without a domain hold too
	at       map[string]string // where each first stands
}

// add takes the keys of a table, and tells whether it can list them.
func (s *selection) add(ctx context.Context, t table.Table) (listed bool, err error) {
	lister, ok := t.(table.Lister)
	if !ok {
		return false, nil
	}
	other, hasOther := otherLabels(s.domain)
	err = lister.Each(func(key, _ string) bool {
		at := strings.LastIndexByte(key, '@')
		if at < 0 && !s.withBare {
			return ctx.Err() == nil
		}
		if at >= 0 && !strings.EqualFold(key[at+1:], s.domain) && !(hasOther && strings.EqualFold(key[at+1:], other)) {
			return ctx.Err() == nil
		}
		if k, why := s.r.readKey(ctx, key); why != "" || k.domainOnly {
			return ctx.Err() == nil
		}
		if _, known := s.at[key]; !known {
			s.at[key] = hit{key: key, table: t}.locate()
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return true, err
}

// keys are in order, the one for all others last.
func (s *selection) keys() []string {
	keys := make([]string, 0, len(s.at))
	for key := range s.at {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if all := strings.HasPrefix(a, "@"); all != strings.HasPrefix(b, "@") {
			if all {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	return keys
}

func (s *selection) accepted(ctx context.Context, key string) Accepted {
	x := Accepted{Key: key, Where: s.at[key]}
	k, _ := s.r.readKey(ctx, key)
	addr := k.addr
	if k.bare {
		addr.Domain = s.domain
	}
	if k.catchAll {
		p := prover{ctx: ctx, r: s.r}
		if a, ok := p.anyone(addr.Domain); ok {
			addr = a
		}
		if h, found, err := s.r.find(ctx, s.r.aliases, addr); found && err == nil && strings.HasPrefix(h.value, "@") {
			x.Mirror = h.value
			return x
		}
	}
	var err error
	x.Targets, err = s.r.Expand(ctx, mail.RcptRequest{Addr: addr})
	x.Refusal = mail.StatusOf(err)
	return x
}
