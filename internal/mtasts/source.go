package mtasts

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Options are what a Source is made of.
type Options struct {
	// MaxDomains is how many domains are remembered, 10,000 by default. Those without a
	// policy go first, and then those that have had no mail for longest.
	MaxDomains int
	// Wait is how long a delivery waits for the first policy of a domain, 15 seconds by
	// default. Then it goes without.
	Wait time.Duration
	Now  func() time.Time // nil: time.Now
}

// Source says what the policies of domains ask of connections. It is safe for concurrent
// use.
type Source struct {
	max  int
	wait time.Duration
	now  func() time.Time

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wake chan struct{} // tells keep that something has changed
	// fetching has an element for each fetch under way.
	fetching chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex // guards what follows
	log     *slog.Logger
	file    string   // "": none
	fetcher *Fetcher // nil: nobody is asked
	entries map[string]*entry
	bytes   int       // that the policies of the entries take
	flights int       // looks under way
	renewed int       // of them, those of keep
	dirty   time.Time // when the file is to be written; zero: it lacks nothing
	started bool
	closed  bool
}

// New makes a Source that knows nothing and asks nobody: Update tells it whom.
func New(o Options) *Source {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxDomains <= 0 {
		o.MaxDomains = 10_000
	}
	if o.Wait <= 0 {
		o.Wait = 15 * time.Second
	}
	s := &Source{
		max: o.MaxDomains, wait: o.Wait, now: o.Now, log: slog.New(slog.DiscardHandler),
		wake: make(chan struct{}, 1), fetching: make(chan struct{}, maxFetches), entries: map[string]*entry{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Start begins to refresh the policies in the background, and to keep them in a file over
// restarts (smtp_tls_mta_sts_cache); "": in memory only. It always works: a file that cannot
// be read is warned about. Only the first Start counts.
func (s *Source) Start(file string, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return
	}
	s.started, s.file, s.log = true, file, log.With(mail.KeyDaemon, "smtp")
	s.load()
	s.wg.Go(s.keep)
}

// Update replaces whom to ask; nil: nobody, and no policy is refreshed. Looks under way
// end as they began.
func (s *Source) Update(f *Fetcher) {
	if f != nil && f.Now == nil {
		own := *f
		own.Now = s.now
		f = &own
	}
	s.mu.Lock()
	s.fetcher = f
	s.mu.Unlock()
	s.poke()
}

// Close ends everything that is under way, waits for it, and writes the file.
func (s *Source) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	s.save()
}

// TLS says what the policy of a domain asks of a connection to one of its mail exchangers.
// Everybody else is TLSMay, as is a host whose domain has no policy or one that only tests.
//
// The error is a *mail.TLSError where the policy does not name the host, and then the
// choice has its Policies; else it is that of ctx.
func (s *Source) TLS(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	may := mail.TLSChoice{Level: mail.TLSMay}
	domain, ok := policyDomain(&peer)
	if !ok {
		return may, nil
	}
	k, err := s.policy(ctx, domain, peer.Host)
	switch {
	case err != nil:
		return may, err
	case k.failure != nil:
		may.Policies = []mail.TLSPublished{{Type: "sts", Domain: domain, Result: k.failure.Result, Reason: k.failure.Error()}}
		return may, nil
	case k.policy.Mode != ModeEnforce && k.policy.Mode != ModeTesting:
		return may, nil
	}
	host := strings.ToLower(strings.TrimSuffix(peer.Host, "."))
	choice := mail.TLSChoice{
		Level:      mail.TLSSecure,
		Verify:     verifier(host, k.roots, s.now),
		ServerName: host,
		Key:        "sts " + host,
		Policies:   []mail.TLSPublished{{Type: "sts", Domain: domain, Strings: k.policy.Lines(), Hosts: k.policy.MX}},
	}
	if k.policy.Mode == ModeTesting {
		choice.Level, choice.Testing = mail.TLSMay, true
	}
	if !k.policy.Matches(host) {
		text := fmt.Sprintf("MX name '%s' does not match STS MX pattern for '%s'", host, domain)
		if k.policy.Mode == ModeEnforce {
			return mail.TLSChoice{Level: mail.TLSSecure, Policies: choice.Policies}, &mail.TLSError{
				Status: mail.Status{Enhanced: mail.Code(4, 7, 5), Text: text},
				Result: "validation-failure",
			}
		}
		choice.Result, choice.Reason = "validation-failure", text
		choice.Verify, choice.Key = otherHost(choice.Verify, text), ""
	}
	return choice, nil
}

// policyDomain is the domain whose policy counts for a host: that of the next hop, of which
// the host is a mail exchanger. There is none for hosts that are named otherwise, and never
// a parent (RFC 8461 section 3.4).
func policyDomain(peer *mail.TLSPeer) (string, bool) {
	if !peer.ByMX || peer.LMTP {
		return "", false
	}
	return Domain(peer.Domain)
}

// Domain is the form of a domain's name that its policy goes by: lower case, ASCII, no dot
// at the end. An address has no policy, nor has a name that leaves no room for those of the
// record and of the policy host.
func Domain(name string) (domain string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	domain, err := idna.Lookup.ToASCII(name)
	if err != nil {
		domain = name // perhaps it has an underscore
	}
	domain = strings.ToLower(domain)
	return domain, dns.ValidName(domain) && dns.ValidName("_mta-sts."+domain)
}
