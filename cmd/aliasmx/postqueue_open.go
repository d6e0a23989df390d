package main

import (
	"context"
	"errors"
	"os"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

// operator is the queue in an operator's hand, through the daemon or without one.
type operator interface {
	admin.Queue
	Apply(ctx context.Context, req admin.Request, yield func(admin.Result) bool) error
	Select(ctx context.Context, queues []string, sel admin.Selection, progress admin.Progress, yield func(mail.Listed) bool) error
}

// direct is a queue that this process has opened itself.
type direct struct{ admin.Queue }

func (d direct) Apply(ctx context.Context, req admin.Request, yield func(admin.Result) bool) error {
	done := 0
	err := admin.Apply(ctx, d.Queue, queue.ErrNotFound, req, func(r admin.Result) bool {
		if r.Err == nil {
			done++
		}
		return yield(r)
	})
	if q, ok := d.Queue.(operated); ok && req.All {
		q.LogOperator(ctx, "postsuper", req.Sum(done))
	}
	return err
}

func (d direct) Select(ctx context.Context, queues []string, sel admin.Selection, progress admin.Progress, yield func(mail.Listed) bool) error {
	return admin.Select(ctx, d.Queue, queues, sel, progress, yield)
}

// asSelf is the context of what this process's user does to the queue.
func asSelf() context.Context { return mail.ByUser(context.Background(), os.Getuid()) }

// openOffline opens the queue of a daemon that is not running.
type openOffline func(cfg *postconf.Config) (admin.Queue, func(), error)

// withOperator calls f with the daemon's queue, or, when there is no daemon, with the
// queue itself after a call of down, which says why.
func withOperator(cfg *postconf.Config, open openOffline, down func(why error), f func(context.Context, operator) error) error {
	ctx := asSelf() // before the user changes
	daemon := admin.Dial(controlSocket(cfg))
	why := daemon.Health(context.Background())
	if !errors.Is(why, admin.ErrDown) { // an ailing daemon is one as well
		return f(ctx, daemon)
	}
	q, done, err := open(cfg)
	if err != nil {
		return &noQueueError{err}
	}
	defer done()
	down(why)
	return f(ctx, direct{q})
}

// noQueueError: there is no daemon, and the queue cannot be opened without it.
type noQueueError struct{ err error }

func (e *noQueueError) Error() string { return "the mail system is down, and " + e.err.Error() }
func (e *noQueueError) Unwrap() error { return e.err }

// isNotFound tells whether a message was not there, by whichever way it was asked for.
func isNotFound(err error) bool {
	return errors.Is(err, admin.ErrNotFound) || errors.Is(err, queue.ErrNotFound)
}
