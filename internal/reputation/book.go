package reputation

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/mail"
)

// Book is what is known of our aliases. It is safe for concurrent use.
type Book struct {
	o      Options
	log    *slog.Logger
	params atomic.Pointer[Params]
	keeper *cachefile.Keeper

	mu        sync.Mutex // guards what follows
	byAlias   rates
	byDomain  rates
	byOwnRate rates
	catchAll  catchAlls

	loaded  bool
	aliases ledger
	domains ledger // that mail went to
	sent    sentRing
}

// New makes a Book. It always works: a file that cannot be read is warned about.
func New(o Options) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b := &Book{
		o: o, log: o.Log.With(mail.KeyDaemon, "cleanup"),
		byAlias: rates{max: maxRated}, byDomain: rates{max: maxRated}, byOwnRate: rates{max: maxRated},
		aliases: ledger{max: maxAliases}, domains: ledger{max: maxDomains},
	}
	b.keeper = cachefile.NewKeeper(cachefile.KeeperOptions{
		File: o.File, Now: o.Now, Delay: b.saveDelay, Content: b.encode, Failed: b.unsaved,
		Clean: b.clean, CleanEvery: cleanEvery,
	})
	b.Update(o.Params)
	return b
}

// Update replaces the parameters. What was counted stays.
func (b *Book) Update(p Params) {
	p.setDefaults()
	b.params.Store(&p)
}

// Enabled tells whether the ledger is kept.
func (b *Book) Enabled() bool { return b.params.Load().Enabled }

// Limits tells whether Recipient ever says no.
func (b *Book) Limits() bool { return !b.params.Load().idle() }

// Close writes the file.
func (b *Book) Close() { b.keeper.Close() }

// Accepted counts a message that was committed.
func (b *Book) Accepted(ctx context.Context, env *mail.Envelope) {
	p := b.params.Load()
	if !p.Enabled {
		return
	}
	list := p.toAliases(ctx, env)
	if len(list) == 0 {
		return
	}
	seen := map[string]bool{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	today := dayOf(b.o.Now())
	for _, s := range list {
		if !seen["a"+s.alias] {
			seen["a"+s.alias] = true
			b.aliases.of(s.alias, today).In++
		}
		if !seen["d"+s.domain] {
			seen["d"+s.domain] = true
			b.domains.of(s.domain, today).In++
		}
		b.sent.add(s)
	}
	b.keeper.Changed()
}

// Expect has Results count what becomes of a message that may be accepted only after it: its
// aliases are known from now on.
func (b *Book) Expect(ctx context.Context, env *mail.Envelope) {
	p := b.params.Load()
	if !p.Enabled {
		return
	}
	list := p.toAliases(ctx, env)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	for _, s := range list {
		b.aliases.of(s.alias, dayOf(b.o.Now()))
	}
}

// toAliases are the recipients that an alias of ours leads to.
func (p *Params) toAliases(ctx context.Context, env *mail.Envelope) []sent {
	var list []sent
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		if r.Orig == r.Final {
			continue // no alias
		}
		if ours, err := p.Ours(ctx, r.Orig); err != nil || !ours {
			continue
		}
		alias, _ := p.alias(r.Orig)
		list = append(list, sent{env.ID, alias, targetDomain(r)})
	}
	return list
}

// targetDomain is where a recipient's mail goes.
func targetDomain(r *mail.Recipient) string {
	d := strings.ToLower(r.Final.Domain)
	return d[:min(len(d), maxAddress)]
}

// Results counts what became of recipients in an attempt.
func (b *Book) Results(env *mail.Envelope, results []mail.Result) {
	p := b.params.Load()
	if !p.Enabled {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.load()
	today := dayOf(b.o.Now())
	for i := range results {
		res := &results[i]
		r := &env.Rcpts[res.Rcpt]
		if res.State == mail.Deferred || r.Orig == r.Final {
			continue
		}
		alias, _ := p.alias(r.Orig)
		if !b.aliases.has(alias) {
			continue // none of ours: Accepted knows those
		}
		for _, c := range []*Counts{b.aliases.of(alias, today), b.domains.of(targetDomain(r), today)} {
			switch {
			case res.State == mail.Delivered:
				c.Delivered++
			case res.Status.Enhanced[0] == 5 && res.Status.Enhanced[1] == 7:
				c.Policy++
				fallthrough
			default:
				c.Refused++
			}
		}
		b.keeper.Changed()
	}
}
