package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// A session is counted at once. Whether its domain wants to know is asked afterwards.

const (
	// settle is how long after the end of a day its sessions may still be told of.
	settle = time.Minute
	// spread is over how long the reports of a day are sent (RFC 8460 section 4.1).
	spread = 4 * time.Hour

	saveDelay = time.Minute // how long what was counted may be missing in the file

	maxUntold = 3 // lines about a domain that wait for the log
	askers    = 4
	askTime   = 30 * time.Second
)

// Session counts a session. It does not wait for anything.
func (r *Reporter) Session(s mail.TLSSession) {
	domain, ok := domainOf(&s.Peer)
	if !ok {
		return
	}
	now := r.o.Now()
	r.mu.Lock()
	t := r.tallyFor(s.At, now, domain)
	if t == nil {
		r.countBeyond(dayOf(now), &s)
	} else {
		t.count(&s, &r.room)
		if t.wish == unknown && len(t.untold) < maxUntold {
			t.untold = append(t.untold, logLine(domain, &s))
		}
	}
	tell := t != nil && t.wish == wanted
	r.mark(now.Add(saveDelay))
	r.mu.Unlock()
	if tell {
		r.log.Info(logLine(domain, &s))
	}
}

// tallyFor is the tally that a session belongs to; nil: its day has too many domains. The
// caller holds r.mu.
func (r *Reporter) tallyFor(at, now time.Time, domain string) *tally {
	k := key{dayOf(at), domain}
	if now.Sub(k.end()) > settle || k.start().After(now.Add(settle)) {
		k.day = dayOf(now) // it was told too late, or in the time of another clock
	}
	if t := r.tallies[k]; t != nil && !t.begun.IsZero() {
		k.day = dayOf(now)
	}
	if t := r.tallies[k]; t != nil {
		return t
	}
	if r.domains[k.day] >= maxDomains {
		return nil
	}
	t := &tally{key: k, due: k.end().Add(settle + r.o.Delay(spread-settle).Truncate(time.Second))}
	r.put(t)
	r.ask(t)
	return t
}

// put adds a tally. The caller holds r.mu.
func (r *Reporter) put(t *tally) {
	r.tallies[t.key] = t
	r.domains[t.day]++
}

// drop removes a tally. The caller holds r.mu.
func (r *Reporter) drop(t *tally) {
	t.forget(&r.room)
	delete(r.tallies, t.key)
	if r.domains[t.day]--; r.domains[t.day] == 0 {
		delete(r.domains, t.day)
	}
}

// countBeyond counts a session with one domain too many. The caller holds r.mu.
func (r *Reporter) countBeyond(day int64, s *mail.TLSSession) {
	c := r.beyond[day]
	if c == nil {
		c = &totals{}
		r.beyond[day] = c
	}
	c.count(s)
}

// mark has the file written not later than at a time. The caller holds r.mu.
func (r *Reporter) mark(at time.Time) {
	if r.unsaved.IsZero() || at.Before(r.unsaved) {
		r.unsaved = at
		r.poke()
	}
}

func (r *Reporter) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ask has it found out whether a domain wants reports. Where there are too many questions
// already, that is asked when the report is due.
func (r *Reporter) ask(t *tally) {
	select {
	case r.asks <- t.key:
	default:
	}
}

// answer asks for one domain after the other until ctx ends.
func (r *Reporter) answer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-r.asks:
			_, err := r.record(ctx, k.domain)
			if !errors.Is(err, errTemporary) {
				r.decide(k, err)
			}
		}
	}
}

// errTemporary: nobody could say what a domain has published.
var errTemporary = errors.New("lookup failed")

// record is what a domain has published now. An error is errTemporary or of ParseRecord.
func (r *Reporter) record(ctx context.Context, domain string) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	txts, err := r.current().TXT(ctx, QueryName(domain))
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", errTemporary, err)
	}
	return ParseRecord(txts)
}

// decide takes note of whether a domain has a record; err is of ParseRecord.
func (r *Reporter) decide(k key, err error) {
	if err != nil && !plainlyNone(err) {
		r.warn("domain="+k.domain, err, "it gets no report")
	}
	r.mu.Lock()
	t := r.tallies[k]
	if t == nil || t.wish != unknown {
		r.mu.Unlock()
		return
	}
	untold := t.untold
	t.untold, t.wish = nil, wanted
	if err != nil {
		t.wish, untold = unwanted, nil
		t.forget(&r.room)
	}
	r.mark(r.o.Now().Add(saveDelay))
	r.mu.Unlock()
	for _, line := range untold {
		r.log.Info(line)
	}
}

// warn writes a line about an error that others may have had a word in.
func (r *Reporter) warn(what string, err error, then string) {
	r.log.Warn("TLSRPT: " + what + ": " + clean(err.Error(), 2*maxReason) + "; " + then)
}

// plainlyNone tells whether a domain has just no record, as most have.
func plainlyNone(err error) bool { return err == ErrNoRecord }

// logLine is what Postfix says about a session (TLSRPT_README).
func logLine(domain string, s *mail.TLSSession) string {
	where := fmt.Sprintf("domain=%s, receiving_mx=%s[%s]", domain, clean(s.Peer.Host, maxName), address(s.Remote))
	result, reason := s.Result, s.Reason
	for _, p := range s.Policies {
		if result == "" {
			result, reason = p.Result, p.Reason
		}
	}
	if result == "" {
		return "TLSRPT: status=success, " + where
	}
	line := "TLSRPT: status=failure, " + where + ", failure_type=" + strings.ReplaceAll(clean(result, maxName), "-", "_")
	if reason != "" {
		line += ", failure_reason=" + clean(reason, maxReason)
	}
	return line
}
