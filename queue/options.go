package queue

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Options are what a Queue is built from. Store, Transport and Notifier are required.
type Options struct {
	Store     Store            // the caller's to close, after Run has returned
	Transport Transport        // for all but "error", "retry" and "discard", which are done here
	Notifier  Notifier         // may be a Copier, too
	Sites     Sites            // nil: each destination is a site of its own
	Log       *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // nil: time.Now
	Rand      func() float64   // uniform in [0, 1); nil: math/rand
	// ShutdownGrace is how long Run waits, once it is to end, for the attempts under
	// way. Zero: 5 s.
	ShutdownGrace time.Duration
	// RecipientLimits are those of the store: what is more than one job at a destination is
	// not relayed while its client waits. Unheard is the file that keeps what was done with
	// and not heard of ("": in memory only).
	RecipientLimits RecipientLimits
	Unheard         string
	Params          Params
}

// Params are the settings that Update may change while the queue runs. Where zero is
// not a sensible value, it stands for the default in brackets.
type Params struct {
	MinimalBackoff       time.Duration // minimal_backoff_time [300s]
	MaximalBackoff       time.Duration // maximal_backoff_time [4000s]
	MaximalQueueLifetime time.Duration // maximal_queue_lifetime; 0: tried once
	BounceQueueLifetime  time.Duration // bounce_queue_lifetime, of mail with the null sender; 0: tried once
	DelayWarningTime     time.Duration // delay_warning_time; 0: no warnings
	QueueRunDelay        time.Duration // queue_run_delay [300s]: how often to look for due mail that no timer knows
	SoftBounce           bool          // soft_bounce

	// MessageActiveLimit bounds the jobs in memory [20000]. Postfix's
	// qmgr_message_active_limit counts messages; nearly all have one job.
	MessageActiveLimit int
	// ProcessLimit bounds the connections out in all, default_process_limit [100]. Those that
	// hang do not count (stuck.go).
	ProcessLimit int
	// Default are the limits of transports that Transports does not name; all zero: the
	// defaults in brackets at TransportParams.
	Default    TransportParams
	Transports map[string]TransportParams

	// InFlowDelay is in_flow_delay, how long mail is to wait at the door while much more
	// comes than can be tried (FlowDelay); 0: it does not wait.
	InFlowDelay time.Duration

	// ConnectedLimit is relay_while_connected_limit [50]: how many of the connections, in
	// percent of ProcessLimit, may be used for mail whose client waits.
	ConnectedLimit int

	ConnectionReuseCount int           // smtp_connection_reuse_count_limit; 0: no limit
	ConnectionReuseTime  time.Duration // smtp_connection_reuse_time_limit; 0: no limit
}

// Sizes that are no parameters.
const (
	ringSize     = 32               // jobs that are fetched ahead for one destination
	siteShare    = 4 * ringSize     // likewise for one site
	claimsAtOnce = 4                // Claims of the store under way
	turn         = 10               // attempts of a connection while others wait for a slot
	livelyStreak = 10               // attempts, after which an idle connection waits for the next,
	streakPause  = time.Second      // when there was no such pause between two
	holdLimit    = 10 * time.Minute // how long a failure waits for others of its round
	claimRetry   = time.Minute      // after the store could not be read
	applyRetry   = 5 * time.Second  // after the store could not be written
)

func (p Params) withDefaults() Params {
	set(&p.MinimalBackoff, 300*time.Second)
	set(&p.MaximalBackoff, 4000*time.Second)
	p.MaximalBackoff = max(p.MaximalBackoff, p.MinimalBackoff)
	set(&p.QueueRunDelay, 300*time.Second)
	set(&p.MessageActiveLimit, 20000)
	set(&p.ProcessLimit, 100)
	set(&p.ConnectedLimit, 50)
	if p.Default == (TransportParams{}) {
		p.Default = DefaultTransportParams()
	}
	return p
}

// set gives a setting that cannot be zero or less its default.
func set[T int | float64 | time.Duration](v *T, byDefault T) {
	if *v <= 0 {
		*v = byDefault
	}
}

// TransportParams are the limits of one transport's sites, each a parameter as
// smtp_destination_concurrency_limit, and with default_ in place of the name.
type TransportParams struct {
	ConcurrencyLimit int // _destination_concurrency_limit [20]; 0: no limit but ProcessLimit
	// ProcessLimit bounds a site's connections whatever else is set: the process limit of
	// the transport's service in master(5). 0: only that of all.
	ProcessLimit       int
	InitialConcurrency int // _initial_destination_concurrency [5]
	// PositiveFeedback, NegativeFeedback and FailedCohortLimit are
	// _destination_concurrency_positive_feedback, _negative_feedback and
	// _failed_cohort_limit [1/4, 1/4, 2]. Postfix's 1, 1, 1 defers half of the mail for
	// a server that limits connections, and suspends a small site for one bad minute.
	PositiveFeedback, NegativeFeedback Feedback
	FailedCohortLimit                  float64 // 0: a site is never dead
	// DestinationRateDelay is _destination_rate_delay, the pause after each delivery to a
	// site, which then has one connection; TransportRateDelay is _transport_rate_delay,
	// between the beginnings of two deliveries of the transport. 0: none.
	DestinationRateDelay, TransportRateDelay time.Duration
}

// DefaultTransportParams are those in brackets.
func DefaultTransportParams() TransportParams {
	return TransportParams{
		ConcurrencyLimit: 20, InitialConcurrency: 5,
		PositiveFeedback: Feedback{Num: 0.25}, NegativeFeedback: Feedback{Num: 0.25}, FailedCohortLimit: 2,
	}
}

// of are the limits of a transport.
func (p *Params) of(transport string) TransportParams {
	if t, ok := p.Transports[transport]; ok {
		return t
	}
	return p.Default
}

// backoff is the pause after an attempt of mail of that age: as long as it has waited
// so far, so that the pauses double (qmgr(8), exponential backoff).
func (p *Params) backoff(age time.Duration) time.Duration {
	return min(max(age, p.MinimalBackoff), p.MaximalBackoff)
}

func (o *Options) check() error {
	switch {
	case o.Store == nil:
		return errors.New("queue: no Store")
	case o.Transport == nil:
		return errors.New("queue: no Transport")
	case o.Notifier == nil:
		return errors.New("queue: no Notifier")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	set(&o.ShutdownGrace, 5*time.Second)
	o.Params = o.Params.withDefaults()
	return nil
}
