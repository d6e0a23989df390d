package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// best_mx_transport: mail of which the DNS says that we are its best mail exchanger, and the
// tables do not know it, goes to another transport in place of back to its sender. So a
// machine can take mail for every domain that names it.

// bestMX is that transport, perhaps with a next hop; without one it is the mail's own.
type bestMX struct {
	transport string
	log       *slog.Logger
}

// passing is src, with that mail passed on.
func (t *transports) passing(ctx context.Context, dest mail.Dest, src mail.Source) mail.Source {
	best := t.best.Load()
	if best == nil {
		return src
	}
	return &loopingSource{Source: src, pass: func(a *mail.Attempt) []mail.Result {
		name, nextHop, _ := strings.Cut(best.transport, ":")
		if nextHop == "" {
			nextHop = dest.NextHop()
		}
		for _, n := range a.Rcpts {
			best.log.Info(fmt.Sprintf("passing <%s> to transport=%s", a.Env.Rcpts[n].Final, name), mail.KeyQueueID, a.Env.ID.String())
		}
		a.Dest = mail.MakeDest(name, nextHop)
		once := &onceSource{attempt: a}
		queue.WithAgents(carrier{t}).Work(ctx, a.Dest, once)
		return once.results
	}}
}

// carrier is transports without what looks at their results.
type carrier struct{ *transports }

func (c carrier) Work(ctx context.Context, dest mail.Dest, src mail.Source) { c.carry(ctx, dest, src) }

// loopingSource has those recipients tried by pass whose mail loops back to us.
type loopingSource struct {
	mail.Source
	pass func(*mail.Attempt) []mail.Result
}

// Done implements mail.Source.
func (s *loopingSource) Done(a *mail.Attempt, results []mail.Result, feedback mail.Feedback) {
	again := *a
	again.Rcpts = nil
	for _, r := range results {
		if loopsByDNS(&r) {
			again.Rcpts = append(again.Rcpts, r.Rcpt)
		}
	}
	if len(again.Rcpts) > 0 {
		others := slices.DeleteFunc(slices.Clone(results), func(r mail.Result) bool { return loopsByDNS(&r) })
		results, feedback = append(others, s.pass(&again)...), mail.FeedbackGood
	}
	s.Source.Done(a, results, feedback)
}

// loopsByDNS tells whether mail was not sent anywhere because it would come back. A host that
// says that it is ourselves is another matter: mail may go there again.
func loopsByDNS(r *mail.Result) bool {
	return r.State == mail.Failed && r.Status.Enhanced == mail.Code(5, 4, 6) && r.Relay == "none"
}

// onceSource has one attempt.
type onceSource struct {
	attempt *mail.Attempt
	taken   bool
	results []mail.Result
}

// Next implements mail.Source.
func (s *onceSource) Next(context.Context, time.Duration) (*mail.Attempt, bool) {
	if s.taken {
		return nil, false
	}
	s.taken = true
	return s.attempt, true
}

// Done implements mail.Source. A recipient without a result is tried again, as everywhere.
func (s *onceSource) Done(_ *mail.Attempt, results []mail.Result, _ mail.Feedback) {
	s.results = results
}
