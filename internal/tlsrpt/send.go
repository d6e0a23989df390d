package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A report on its way. Each endpoint of the record gets it; one that did not take it is
// tried again, at growing intervals, for a day after the first attempt (RFC 8460 section
// 5.5).

const (
	sendTime   = 5 * time.Minute // one attempt, all endpoints
	firstPause = 15 * time.Minute
	longest    = 4 * time.Hour
	giveUp     = 24 * time.Hour
)

// pause is how long to wait after so many attempts.
func pause(attempts int) time.Duration {
	p := firstPause
	for ; attempts > 1 && p < longest; attempts-- {
		p *= 2
	}
	return min(p, longest)
}

// send makes one attempt for a tally that takeDue gave.
func (r *Reporter) send(ctx context.Context, t *tally) {
	limit, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	now := r.o.Now()
	r.mu.Lock()
	if t.begun.IsZero() {
		t.begun = now
	}
	t.attempts++
	l := r.letterOf(t)
	r.mu.Unlock()

	rec, err := r.record(limit, t.domain)
	var done []string
	if err == nil {
		done, err = r.deliver(limit, &l, rec)
	}
	switch {
	case ctx.Err() != nil: // the end, not of the endpoint's making
		r.settle(t, func() {
			t.done = append(t.done, done...)
			t.attempts--
		})
	case err == nil:
		r.settle(t, func() { r.drop(t) })
	case !errors.Is(err, errTemporary) && !errors.Is(err, errUndelivered):
		if !plainlyNone(err) {
			r.warn("domain="+t.domain, err, "it gets no report")
		}
		r.settle(t, func() { r.drop(t) })
	default:
		over := r.o.Now().Add(pause(t.attempts)).Sub(t.begun) > giveUp
		text := "it is tried again in " + pause(t.attempts).String()
		if over {
			text = "given up"
		}
		r.warn("report "+l.doc.ID, err, text)
		r.settle(t, func() {
			t.done = append(t.done, done...)
			if t.due = r.o.Now().Add(pause(t.attempts)); over {
				r.drop(t)
			}
		})
	}
}

// settle ends an attempt.
func (r *Reporter) settle(t *tally, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.busy = false
	r.active--
	f()
	r.mark(r.o.Now().Add(soon))
	r.poke()
}

// letter is a report ready to go.
type letter struct {
	doc    *Report
	domain string
	file   string
	params Params
	done   []string
}

// letterOf makes it. The caller holds r.mu.
func (r *Reporter) letterOf(t *tally) letter {
	return letter{
		doc: t.report(&r.params), domain: t.domain, file: t.fileName(&r.params),
		params: r.params, done: slices.Clone(t.done),
	}
}

// errUndelivered: an endpoint did not take a report, and may do so later.
var errUndelivered = errors.New("not delivered")

// deliver gives a report to the endpoints that do not have it, and says which took it. An
// error is that of the first that did not.
func (r *Reporter) deliver(ctx context.Context, l *letter, rec Record) (done []string, err error) {
	packed, err := l.doc.packed()
	if err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	for _, e := range rec.Endpoints {
		if slices.Contains(l.done, e.URI()) {
			continue
		}
		var how string
		var failure error
		if e.HTTPS != "" {
			how, failure = r.post(ctx, l, e.HTTPS, packed)
		} else {
			how, failure = r.submit(ctx, l, e.Mailto, packed)
		}
		if failure != nil {
			if err == nil {
				err = fmt.Errorf("%w to %s: %w", errUndelivered, e.URI(), failure)
			}
			continue
		}
		done = append(done, e.URI())
		r.log.Info(fmt.Sprintf("TLSRPT: report %s: sent to %s (%s)", l.doc.ID, e.URI(), how))
	}
	return done, err
}
