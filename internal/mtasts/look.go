package mtasts

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Looking at what a domain publishes: when mail is sent there, and in the background.

const (
	// lookAgain is how long after a look the next one comes: a record is not asked for more
	// often, and a fetch that has failed not tried again (RFC 8461 section 3.3).
	lookAgain = 5 * time.Minute
	// maxFlights bounds the looks under way, maxFetches those of them that fetch a policy: hosts
	// that are silent hold up no question for a record. They outlive the deliveries that wait
	// for them.
	maxFlights = 5000
	maxFetches = 200
	// refreshTime is how often a policy is fetched again, and retryTime how long after a
	// failure; both where max_age is not shorter.
	refreshTime = 24 * time.Hour
	retryTime   = time.Hour
)

// flight is a look under way, for all who want to know.
type flight struct {
	announced atomic.Bool // a record was found
	done      chan struct{}
	found     known // when done is closed
}

// known is what there is to know of a domain: a policy, or a failure where one is announced
// but cannot be had, or neither.
type known struct {
	policy  Policy // Mode is "" where there is none
	failure *Failure
	roots   *x509.CertPool
}

// ErrClosed is the answer of a Source that has been closed and does not know.
var ErrClosed = errors.New("MTA-STS policies are not looked up any more")

// policy is what is known of a domain, or is found out within s.wait. Where what is known
// does not name the host, and a look is under way, that is waited for as well: hosts and
// policy may just have been changed together.
func (s *Source) policy(ctx context.Context, domain, host string) (known, error) {
	s.mu.Lock()
	if s.fetcher == nil {
		s.mu.Unlock()
		return known{}, nil
	}
	now := s.now()
	e := s.entry(domain, now)
	roots := s.fetcher.Roots
	have := e.valid(now)
	if have && now.Sub(e.used) >= time.Hour {
		s.touch(now, saveDelay)
	}
	e.used = now
	if f := e.flight; f == nil && (now.Sub(e.looked) >= lookAgain || !have && e.failure == nil && e.id != "") {
		s.look(e, domain, false)
	}
	k := known{failure: e.failure, roots: roots}
	if have {
		k.policy, k.failure = e.policy, nil
	}
	f, closed := e.flight, s.closed
	s.mu.Unlock()
	if closed && !have {
		return known{}, ErrClosed
	}
	if f == nil || have && (k.policy.Mode != ModeEnforce || k.policy.Matches(host)) {
		return k, nil
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-f.done:
		if s.ctx.Err() != nil && !have {
			return known{}, ErrClosed
		}
		if f.found.policy.Mode != "" || !have {
			k.policy, k.failure = f.found.policy, f.found.failure
		}
	case <-timer.C:
		if !have && f.announced.Load() {
			k.failure = &Failure{resultFetch, fmt.Errorf("fetch https://%s/.well-known/mta-sts.txt: no policy after %v", policyHost(domain), s.wait)}
		}
	case <-ctx.Done():
		return known{}, context.Cause(ctx)
	}
	return k, nil
}

// look begins to look at a domain; with renew the policy is fetched whatever its id. The
// caller holds s.mu, and e has no flight.
func (s *Source) look(e *entry, domain string, renew bool) {
	if s.closed || s.flights >= maxFlights {
		return
	}
	f := &flight{done: make(chan struct{})}
	e.flight = f
	s.flights++
	if renew {
		s.renewed++
	}
	old := ""
	if !renew && e.valid(s.now()) {
		old = e.id
	}
	fetcher := s.fetcher
	s.wg.Go(func() {
		id, p, err := s.see(s.ctx, fetcher, domain, old, f)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flights--
		if renew {
			s.renewed--
		}
		e.flight = nil
		if s.ctx.Err() == nil {
			f.found = s.learn(e, domain, id, p, err, renew)
		}
		close(f.done)
		if renew || err == nil {
			s.poke()
		}
	})
}

// errUnchanged: the record has the id that is known.
var errUnchanged = errors.New("the policy has not changed")

// see is the look itself.
func (s *Source) see(ctx context.Context, fetcher *Fetcher, domain, old string, f *flight) (id string, p Policy, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, errTooLong)
	defer cancel()
	if id, err = fetcher.Record(ctx, domain); err != nil {
		return "", Policy{}, err
	}
	f.announced.Store(true)
	if id == old {
		return id, Policy{}, errUnchanged
	}
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return id, Policy{}, &Failure{resultFetch, fmt.Errorf("fetch https://%s/.well-known/mta-sts.txt: too many are fetched at a time", policyHost(domain))}
	}
	p, err = fetcher.Policy(ctx, domain)
	return id, p, err
}

// learn takes what a look has come to. What is wrong now does not touch a policy that still
// holds (RFC 8461 section 3.3). The caller holds s.mu.
func (s *Source) learn(e *entry, domain, id string, p Policy, err error, renew bool) known {
	now := s.now()
	e.looked, e.failure = now, nil
	switch {
	case err == nil:
		delay := saveDelay
		if p.String() != e.policy.String() || !e.valid(now) {
			delay = learntDelay
			s.log.Info(fmt.Sprintf("MTA-STS policy of %s: id %s, %s, for %v", domain, id, p.Mode, p.MaxAge))
		}
		e.id, e.fetched, e.warned = id, now, time.Time{}
		e.refresh = due(now, min(refreshTime, p.MaxAge/2))
		s.hold(e, domain, p)
		s.touch(now, delay)
		return known{policy: p}
	case err == errUnchanged:
		return known{policy: e.policy}
	}
	errors.As(err, &e.failure)
	k := known{failure: e.failure}
	if !e.valid(now) {
		if k.failure != nil {
			s.log.Info(fmt.Sprintf("MTA-STS policy of %s cannot be had, and mail goes as if there were none: %v", domain, err))
		}
		e.id = ""
		s.hold(e, domain, Policy{})
		return k
	}
	if left := e.expires().Sub(now); renew {
		e.refresh = due(now, min(retryTime, left/2))
		// Section 3.3: so that the administrator learns of it, once a day.
		if e.policy.Mode != ModeNone && now.Sub(e.warned) >= refreshTime {
			e.warned = now
			s.log.Warn(fmt.Sprintf("MTA-STS policy of %s cannot be refreshed: %v; the one that is known holds until %s",
				domain, err, e.expires().UTC().Format(time.RFC3339)))
		}
	}
	return k
}

// due is when to fetch a policy again: after some three quarters of d to all of it, so that
// those that came together do not stay together. Zero, never, where that is too often: a
// policy that holds for some minutes is fetched when there is mail.
func due(now time.Time, d time.Duration) time.Time {
	if d < lookAgain {
		return time.Time{}
	}
	return now.Add(d - time.Duration(rand.Int64N(int64(d/4))))
}
