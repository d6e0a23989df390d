package verify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"aliasmx/internal/mail"
)

// ErrClosed is the answer of a Verifier that has been stopped.
var ErrClosed = errors.New("address verification has ended")

// Verifier answers whether mail for an address would be taken. It is safe for concurrent
// use.
type Verifier struct {
	transport Transport
	newID     func() mail.QueueID
	log       *slog.Logger
	now       func() time.Time
	file      string
	name      string

	ctx  context.Context // ends with Stop
	stop context.CancelFunc
	wake chan struct{} // tells keep that there is something to keep
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	params  Params
	cache   cache
	flights map[string]*flight // probes, by the key of their address
	lanes   map[mail.Dest]*lane
	backlog []*lane   // those that could use a connection, the longest waiting first
	slots   int       // connections in use
	asked   bool      // somebody has asked: only then there is anything to clean
	cleaned time.Time // when the cache was
	dirty   time.Time // since when the file lacks something; zero: it does not
	stopped bool
}

// New makes a Verifier and begins to keep its cache. It always works: a file that cannot
// be read is warned about.
func New(o Options) *Verifier {
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
	v := &Verifier{
		transport: o.Transport, newID: o.NewID, log: o.Log, now: o.Now, file: o.File, name: o.Name, params: o.Params,
		cache:   cache{max: o.MaxEntries, entries: map[string]*entry{}},
		flights: map[string]*flight{}, lanes: map[mail.Dest]*lane{}, wake: make(chan struct{}, 1),
	}
	v.ctx, v.stop = context.WithCancel(context.Background())
	v.load()
	v.wg.Go(v.keep)
	return v
}

// Update replaces the parameters. Probes under way end as they began.
func (v *Verifier) Update(p Params) {
	p.setDefaults()
	v.mu.Lock()
	v.params = p
	v.mu.Unlock()
	v.poke()
}

// Stop ends everything that waits: questions are answered with what is known, probes that
// have no connection yet are dropped. It does not wait.
func (v *Verifier) Stop() {
	v.mu.Lock()
	v.stopped = true
	v.mu.Unlock()
	v.stop()
}

// Close stops, waits for the probes under way, and writes the cache's file. Whoever cannot
// wait for servers that do not answer closes the Transport's connections before.
func (v *Verifier) Close() {
	v.Stop()
	v.wg.Wait()
	v.save()
}

// VerifyRecipient tells whether the next hops would take mail for a, as far as that is
// known or can be found out within a short time (address_verify_poll_count,
// address_verify_poll_delay). What is not known then, or when ctx ends, is pending. The
// only error is ErrClosed.
func (v *Verifier) VerifyRecipient(ctx context.Context, a mail.Address) (mail.Verdict, error) {
	return v.verify(ctx, a)
}

// VerifySender is the same question about the sender of a message: whether a report could
// reach it. The null sender needs no report.
func (v *Verifier) VerifySender(ctx context.Context, a mail.Address) (mail.Verdict, error) {
	if a.IsNull() {
		return deliverable("null sender"), nil
	}
	return v.verify(ctx, a)
}

// ProbeSender tells whether a is where our own probes come from, and returns it without
// the part that changes with time. Mail for it is to be taken without a question: a server
// that we ask may ask in return. It will give the domain; a bare name is another address.
func (v *Verifier) ProbeSender(a mail.Address) (mail.Address, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.params.isProbeSender(a, v.now())
}

// verify looks as often as verify(8) is asked, but sees an answer as soon as it is there.
// With address_verify_negative_cache = no each look may send a probe of its own.
func (v *Verifier) verify(ctx context.Context, a mail.Address) (mail.Verdict, error) {
	for looks := 1; ; looks++ {
		verdict, f, err := v.look(a)
		v.mu.Lock()
		count, delay := v.params.PollCount, v.params.PollDelay
		v.mu.Unlock()
		if err != nil || f == nil || verdict.State != mail.VerdictPending {
			return verdict, err
		}
		if looks >= count {
			f.hasBegun(ctx)
			return verdict, nil
		}
		verdict = v.wait(ctx, f, delay)
		if verdict.State != mail.VerdictPending || v.ctx.Err() != nil || ctx.Err() != nil {
			return verdict, nil
		}
	}
}

// look answers with what is known now, and the probe that is under way, if any.
func (v *Verifier) look(a mail.Address) (mail.Verdict, *flight, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stopped {
		return pending(), nil, ErrClosed
	}
	now := v.now()
	a = v.params.Complete(a)
	if _, own := v.params.isProbeSender(a, now); own {
		return deliverable("sender of address verification probes"), nil, nil
	}
	if v.cleanFirst(now) {
		v.poke()
	}
	verdict, f := v.ask(keyOf(a), a, now)
	return verdict, f, nil
}

// ask looks an address up and begins a probe where one is due. It returns the probe that
// is under way, if any. The caller holds v.mu.
func (v *Verifier) ask(key string, a mail.Address, now time.Time) (mail.Verdict, *flight) {
	f, p := v.flights[key], &v.params
	verdict, wanted := pending(), true
	e := v.cache.find(key, p, now)
	if e != nil {
		verdict, wanted = e.verdict, e.wantsProbe(p, now)
	}
	if f != nil || !wanted {
		return verdict, f
	}
	if len(v.flights) >= p.PendingLimit {
		if e == nil {
			return deferred(mail.Code(4, 3, 2), "Too many address verification requests"), nil
		}
		return verdict, nil
	}
	if e != nil {
		e.probed = now
	}
	f = &flight{addr: a, key: key, done: make(chan struct{}), begun: make(chan struct{}), untold: pending()}
	v.flights[key] = f
	v.wg.Go(func() { v.probe(f) })
	return verdict, f
}

// flight is one probe, from the question to its answer. Until its answer it belongs to
// one goroutine at a time; untold is guarded by the Verifier's lock.
type flight struct {
	addr mail.Address
	key  string
	done chan struct{} // closed when the answer is there
	// begun is closed when the log has the probe.
	begun chan struct{}

	env     *mail.Envelope
	dest    mail.Dest
	active  time.Time // when it came into its lane
	started time.Time // when it got a connection

	untold mail.Verdict // for those who wait, where the cache has no answer
}

// wait waits a while for the answer of a probe. One that has none, since failures are not
// remembered, is no reason to look again sooner.
func (v *Verifier) wait(ctx context.Context, f *flight, delay time.Duration) mail.Verdict {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	done := f.done
	for {
		select {
		case <-done:
			if answer := v.answerOf(f); answer.State != mail.VerdictPending {
				return answer
			}
			done = nil
		case <-timer.C:
			return pending()
		case <-v.ctx.Done():
			return pending()
		case <-ctx.Done():
			return pending()
		}
	}
}

// hasBegun waits until a probe has begun, so that who is told of its progress finds it in
// the log. That takes as long as the tables take to say where the address leads, and
// they are asked about a recipient anyway.
func (f *flight) hasBegun(ctx context.Context) {
	timer := time.NewTimer(beginning)
	defer timer.Stop()
	select {
	case <-f.begun:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// beginning is how long a probe may take to begin before nobody waits for that any more.
const beginning = time.Second

func (v *Verifier) answerOf(f *flight) mail.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.cache.find(f.key, &v.params, v.now()); e != nil {
		return e.verdict
	}
	return f.untold
}

func pending() mail.Verdict { return mail.Verdict{Reason: "Address verification in progress"} }

func deliverable(reason string) mail.Verdict {
	return mail.Verdict{
		State:  mail.VerdictDeliverable,
		Status: mail.Status{Code: 250, Enhanced: mail.Code(2, 0, 0), Text: reason}, Reason: reason,
	}
}

func deferred(code mail.Enhanced, reason string) mail.Verdict {
	return mail.Verdict{State: mail.VerdictDeferred, Status: mail.Status{Enhanced: code, Text: reason}, Reason: reason}
}
