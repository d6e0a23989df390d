package main

import (
	"context"
	"errors"

	"aliasmx/internal/admin"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

// operator is the queue in an operator's hand, through the daemon or without one.
type operator interface {
	admin.Queue
	Apply(ctx context.Context, req admin.Request, yield func(admin.Result) bool) error
}

// direct is a queue that this process has opened itself.
type direct struct{ admin.Queue }

func (d direct) Apply(ctx context.Context, req admin.Request, yield func(admin.Result) bool) error {
	return admin.Apply(ctx, d.Queue, queue.ErrNotFound, req, yield)
}

// openOffline opens the queue of a daemon that is not running.
type openOffline func(cfg *postconf.Config) (admin.Queue, func(), error)

// withOperator calls f with the daemon's queue, or, when there is no daemon, with the
// queue itself after a call of down, which says why.
func withOperator(cfg *postconf.Config, open openOffline, down func(why error), f func(operator) error) error {
	daemon := admin.Dial(controlSocket(cfg))
	why := daemon.Health(context.Background())
	if !errors.Is(why, admin.ErrDown) { // an ailing daemon is one as well
		return f(daemon)
	}
	q, done, err := open(cfg)
	if err != nil {
		return &noQueueError{err}
	}
	defer done()
	down(why)
	return f(direct{q})
}

// noQueueError: there is no daemon, and the queue cannot be opened without it.
type noQueueError struct{ err error }

func (e *noQueueError) Error() string { return "the mail system is down, and " + e.err.Error() }
func (e *noQueueError) Unwrap() error { return e.err }

// isNotFound tells whether a message was not there, by whichever way it was asked for.
func isNotFound(err error) bool {
	return errors.Is(err, admin.ErrNotFound) || errors.Is(err, queue.ErrNotFound)
}
