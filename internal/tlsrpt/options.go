package tlsrpt

import (
	"context"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// Queue takes the letters that reports are sent in. It is queue.Queue.
type Queue interface {
	// Admit tells whether a message of a size may come; an error: not now.
	Admit(size int64) error
	NewID() mail.QueueID
	// Stage begins a message. It is in the queue when Commit has returned no error.
	Stage(ctx context.Context) (mail.Draft, error)
}

// Options are what a Reporter is made of. Queue, and those that Params requires, are
// required.
type Options struct {
	Queue Queue
	Log   *slog.Logger
	Now   func() time.Time // nil: time.Now

	// File keeps the counts, and what is still to be sent, over restarts; "": in memory
	// only.
	File string

	// Delay is a random time below a bound; nil: by math/rand.
	Delay func(bound time.Duration) time.Duration
	// Dial connects to an address for HTTPS; nil: over the network, to public addresses
	// only. Who publishes a record must not be able to have us speak to what is behind
	// our firewall.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// RootCAs vouch for HTTPS servers; nil: those of the system.
	RootCAs *x509.CertPool

	Params
}

// Params can be changed while the Reporter is in use.
type Params struct {
	// TXT returns the texts of a name, each with its parts joined; none and no error where
	// there are none. An error is temporary. Required.
	TXT func(ctx context.Context, name string) ([]string, error)
	// Addrs returns the addresses of an HTTPS server. Required.
	Addrs func(ctx context.Context, host string) ([]netip.Addr, error)
	// Resolve says where mail to an address goes. Required.
	Resolve func(context.Context, mail.RcptRequest) ([]mail.Recipient, error)

	Organization string // tlsrpt_organization_name
	Contact      string // tlsrpt_contact_info, for which CheckAddress is nil
	// From is tlsrpt_from: who letters come from; "" and "<>": the null sender, and
	// Contact in their header.
	From       string
	MyHostname string
	MailName   string
	Location   *time.Location // of dates in letters; nil: local time
	// Node tells apart reporters that have the same name; 0: there is one.
	Node int
}

// submitter is who sends the reports: the domain of Contact (RFC 8460 section 5.3).
func (p *Params) submitter() string { return mail.SplitAddress(p.Contact).Domain }

// Reporter counts sessions and sends reports. It is safe for concurrent use; Run does
// the work.
type Reporter struct {
	o   Options
	log *slog.Logger

	wake chan struct{} // Run is to look again
	asks chan key      // does it want reports?

	mu      sync.Mutex // guards what follows, and all tallies
	params  Params
	tallies map[key]*tally
	domains map[int64]int     // tallies of each day
	beyond  map[int64]*totals // sessions of each day with domains beyond maxDomains
	room    room
	active  int       // reports under way
	unsaved time.Time // when to write the file; zero: there is nothing to write
	failing bool      // the file could not be written the last time
}

// New makes a Reporter with what its file knows.
func New(o Options) *Reporter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Delay == nil {
		o.Delay = func(bound time.Duration) time.Duration { return rand.N(bound) }
	}
	r := &Reporter{
		o: o, log: o.Log.With(mail.KeyDaemon, "smtp"),
		wake: make(chan struct{}, 1), asks: make(chan key, maxDomains),
		params: o.Params, tallies: map[key]*tally{}, domains: map[int64]int{}, beyond: map[int64]*totals{},
		room: room{maxRoom},
	}
	r.load()
	return r
}

// Update changes what can be changed. What was counted stays.
func (r *Reporter) Update(p Params) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.params = p
}

func (r *Reporter) current() Params {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.params
}
