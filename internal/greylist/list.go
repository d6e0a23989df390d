package greylist

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/mail"
)

// List is the table of triples. It is safe for concurrent use and does not wait.
type List struct {
	o      Options
	log    *slog.Logger
	keeper *cachefile.Keeper

	mu       sync.Mutex // guards what follows
	params   Params
	loaded   bool
	triples  map[triple]stamps
	networks map[netip.Prefix]passes
}

// triple is who writes to whom from where.
type triple struct {
	network           netip.Prefix
	sender, recipient string
}

// stamps are when a triple came: for the first time that counts, and last.
type stamps struct{ first, last time.Time }

// passed tells whether the triple has come again in time.
func (s stamps) passed(p *Params) bool { return s.last.Sub(s.first) >= p.Delay }

// passes are how many triples of a network have passed, and when the last one or, of a
// network that passes as a whole, when mail came from it.
type passes struct {
	count int
	last  time.Time
}

// New makes a List. It always works: a file that cannot be read is warned about.
func New(o Options) *List {
	o.Params.setDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = 100_000
	}
	l := &List{
		o: o, log: o.Log.With(mail.KeyDaemon, "smtpd"), params: o.Params,
		triples: map[triple]stamps{}, networks: map[netip.Prefix]passes{},
	}
	l.keeper = cachefile.NewKeeper(cachefile.KeeperOptions{
		File: o.File, Now: o.Now, Delay: l.saveDelay, Content: l.encode, Failed: l.unsaved,
		Clean: l.clean, CleanEvery: cleanEvery,
	})
	return l
}

// Update replaces the parameters.
func (l *List) Update(p Params) {
	p.setDefaults()
	l.mu.Lock()
	l.params = p
	l.mu.Unlock()
}

// Close writes the file.
func (l *List) Close() { l.keeper.Close() }

// hourly is how often a network can gain, and how often its last mail is noted.
const hourly = time.Hour

// Known tells whether mail of a triple would be taken now, without noting that it came.
func (l *List) Known(client netip.Addr, sender, recipient mail.Address) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.load()
	now, t := l.o.Now(), l.triple(client, sender, recipient)
	if l.allowed(l.networks[t.network], now) {
		return true
	}
	s, known := l.triples[t]
	return known && !l.expired(s, now) && s.passed(&l.params)
}

// Check notes that mail of a triple has come, and returns for how long it is not to be taken
// yet; 0: it is.
func (l *List) Check(client netip.Addr, sender, recipient mail.Address) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.keeper.Changed()
	l.load()
	now, t := l.o.Now(), l.triple(client, sender, recipient)
	n, listed := l.networks[t.network]
	if l.allowed(n, now) {
		if now.Sub(n.last) >= hourly || n.last.After(now) {
			n.last = now
			l.networks[t.network] = n
		}
		return 0
	}
	s, known := l.triples[t]
	before := known && s.passed(&l.params)
	if !known || l.expired(s, now) || s.first.After(now) { // the clock was wrong
		s, before = stamps{first: now}, false
	}
	s.last = now
	if !known {
		room(l.triples, l.o.MaxEntries, stamps.older)
	}
	l.triples[t] = s
	wait = l.params.Delay - now.Sub(s.first)
	if wait > 0 {
		return wait
	}
	if l.params.AutoAllow > 0 && !before && (!listed || now.Sub(n.last) >= hourly) {
		l.gain(t.network, n, now)
	}
	return 0
}

// triple is the key of one. The caller holds mu.
func (l *List) triple(client netip.Addr, sender, recipient mail.Address) triple {
	return triple{l.params.network(client), bounded(senderKey(sender)), bounded(recipientKey(recipient))}
}

// allowed tells whether a network passes as a whole. The caller holds mu.
func (l *List) allowed(n passes, now time.Time) bool {
	return l.params.AutoAllow > 0 && n.count >= l.params.AutoAllow && now.Sub(n.last) < l.params.Expire
}

// expired tells whether a triple is as good as new. The caller holds mu.
func (l *List) expired(s stamps, now time.Time) bool {
	if s.passed(&l.params) {
		return now.Sub(s.last) >= l.params.Expire
	}
	return now.Sub(s.first) > l.params.RetryWindow
}

// gain counts a triple that has passed for its network. The caller holds mu.
func (l *List) gain(network netip.Prefix, n passes, now time.Time) {
	if now.Sub(n.last) >= l.params.Expire {
		n.count = 0
	}
	if n.count == 0 {
		room(l.networks, l.o.MaxEntries, passes.older)
	}
	n.count++
	n.last = now
	l.networks[network] = n
	if n.count == l.params.AutoAllow {
		l.log.Info(fmt.Sprintf("greylist: mail from %s passes from now on: %d triples have", network, n.count))
	}
}
