package verify

import (
	"context"
	"log/slog"
	"time"

	"aliasmx/internal/mail"
)

// Transport delivers probes. It is queue.Transport, and serves "error", "retry" and
// "discard" as well.
type Transport interface {
	Work(ctx context.Context, dest mail.Dest, src mail.Source)
}

// Options are what a Verifier is made of. Transport, NewID and Resolve are required.
type Options struct {
	Transport Transport
	NewID     func() mail.QueueID
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now

	// File keeps the cache over restarts (address_verify_map); "": in memory only. Name is
	// what the log calls it.
	File, Name string
	MaxEntries int // addresses that are remembered (100000)

	Params
}

// Params can be changed while the Verifier is in use. Zero values of numbers and times
// are taken for what they say but where a default is named.
type Params struct {
	// Resolve says where an address leads, as it does for RCPT, but refuses nothing that
	// could be told by an "error:" destination. Complete gives a bare name its domain.
	Resolve  func(context.Context, mail.RcptRequest) ([]mail.Recipient, error)
	Complete func(mail.Address) mail.Address

	MyHostname string
	MailName   string
	SMTPUTF8   bool // smtputf8_autodetect_classes has "verify"

	Sender    string        // address_verify_sender; "" and "<>": the null sender
	SenderTTL time.Duration // address_verify_sender_ttl; 0: the sender never changes

	PollCount int           // address_verify_poll_count: how often smtpd looks
	PollDelay time.Duration // address_verify_poll_delay: how long it waits in between

	PositiveExpire  time.Duration // address_verify_positive_expire_time
	PositiveRefresh time.Duration // address_verify_positive_refresh_time
	NegativeExpire  time.Duration // address_verify_negative_expire_time
	NegativeRefresh time.Duration // address_verify_negative_refresh_time
	NegativeCache   bool          // address_verify_negative_cache
	CleanupInterval time.Duration // address_verify_cache_cleanup_interval; 0: never

	PendingLimit    int           // address_verify_pending_request_limit (5000)
	ProcessLimit    int           // probes under way at a time, to all destinations (100)
	DestConcurrency int           // and to one (initial_destination_concurrency, 5)
	Backoff         time.Duration // minimal_backoff_time: how long a dead destination is left alone
}

func (p *Params) setDefaults() {
	for _, l := range []struct {
		value *int
		def   int
	}{{&p.PendingLimit, 5000}, {&p.ProcessLimit, 100}, {&p.DestConcurrency, 5}} {
		if *l.value <= 0 {
			*l.value = l.def
		}
	}
	if p.Complete == nil {
		p.Complete = func(a mail.Address) mail.Address { return a }
	}
}
