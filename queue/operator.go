package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"aliasmx/internal/mail"
)

// The operator's hand: postqueue(1) and postsuper(1). What an operator does holds at
// once for all that waits; an attempt under way comes to its end first.

// List yields all messages, oldest first (postqueue -p, -j).
func (q *Queue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	held, err := q.heldSet(ctx)
	if err != nil {
		return err
	}
	return q.store.List(ctx, func(l mail.Listed) bool {
		held.explain(&l)
		return yield(l)
	})
}

// Find is what List yields of one message.
func (q *Queue) Find(ctx context.Context, id mail.QueueID) (mail.Listed, error) {
	held, err := q.heldSet(ctx)
	if err != nil {
		return mail.Listed{}, err
	}
	l, err := q.store.Find(ctx, id)
	held.explain(&l)
	return l, err
}

// Counts is how many messages are in each queue.
func (q *Queue) Counts(ctx context.Context) (mail.QueueCounts, error) { return q.store.Counts(ctx) }

// Load returns a message (postcat -q).
func (q *Queue) Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	return q.store.Load(ctx, id)
}

// Hold keeps a message from being tried (postsuper -h).
func (q *Queue) Hold(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "placed on hold", false, func() ([]DestHead, error) {
		return nil, q.store.Hold(ctx, id)
	})
}

// Release lets a held message go on, due now (postsuper -H).
func (q *Queue) Release(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "released from hold", false, func() ([]DestHead, error) {
		return q.store.Unhold(ctx, id)
	})
}

// Delete takes a message out of the queue; nobody is told (postsuper -d).
func (q *Queue) Delete(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "removed", false, func() ([]DestHead, error) {
		err := q.store.Remove(ctx, id)
		if err == nil {
			q.rounds.mark(id, func(r *round) { r.removed = true })
		}
		return nil, err
	})
}

// Expire makes a message expire, due now (postsuper -e); with release also one on hold
// (postsuper -f).
func (q *Queue) Expire(ctx context.Context, id mail.QueueID, release bool) error {
	return q.touch(ctx, id, "expired", true, func() ([]DestHead, error) {
		heads, err := q.store.ForceExpire(ctx, id)
		if err != nil || !release {
			return heads, err
		}
		freed, err := q.store.Unhold(ctx, id)
		if errors.Is(err, ErrNotFound) { // it was not on hold
			err = nil
		}
		return append(heads, freed...), err
	})
}

// Requeue lets route say anew where each unfinished recipient of a message goes, due
// now, also when it was on hold (postsuper -r).
func (q *Queue) Requeue(ctx context.Context, id mail.QueueID, route Route) error {
	return q.touch(ctx, id, "requeued", false, func() ([]DestHead, error) {
		// What the store gives out of it from now on must wait for attempts under way:
		// they may deliver what the new jobs are about.
		q.rounds.mark(id, func(r *round) { r.requeued = true })
		heads, err := q.store.Requeue(ctx, id, route)
		if err != nil {
			q.rounds.mark(id, func(r *round) { r.requeued = false })
		}
		return heads, err
	})
}

// Each calls op with every message in one of the named queues (none: all but corrupt),
// in no order, and returns how many it succeeded with. Messages that are gone by then
// do not count; another error ends it.
func (q *Queue) Each(ctx context.Context, queues []string, op func(context.Context, mail.QueueID) error) (int, error) {
	return q.each(ctx, func(l *mail.Listed) bool {
		if len(queues) == 0 {
			return l.Queue != "corrupt"
		}
		return slices.Contains(queues, l.Queue)
	}, op)
}

// each calls op with every message that matches, as they are listed: what is done to
// those that were listed does not change what is still to come, for the order is that of
// their IDs. So a queue of any size is gone through without a list of it.
func (q *Queue) each(ctx context.Context, match func(*mail.Listed) bool, op func(context.Context, mail.QueueID) error) (succeeded int, err error) {
	const chunk = 256
	ids := make([]mail.QueueID, 0, chunk)
	work := func() bool {
		var n int
		n, err = atOnce(ctx, ids, op)
		succeeded += n
		ids = ids[:0]
		return err == nil
	}
	listErr := q.store.List(ctx, func(l mail.Listed) bool {
		if match(&l) {
			ids = append(ids, l.ID)
		}
		return len(ids) < chunk || work()
	})
	if err == nil && listErr == nil {
		work()
	}
	return succeeded, errors.Join(err, listErr)
}

// atOnce calls op with every item, with several at a time: most of the time of an
// operation is a wait for the disk, which one write serves for all that wait. What is not
// found does not count; another error ends it.
func atOnce[T any](ctx context.Context, items []T, op func(context.Context, T) error) (int, error) {
	const width = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, succeeded atomic.Int64
	var workers sync.WaitGroup
	for range min(width, len(items)) {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(len(items)) && ctx.Err() == nil; i = next.Add(1) {
				switch err := op(ctx, items[i-1]); {
				case err == nil:
					succeeded.Add(1)
				case !errors.Is(err, ErrNotFound):
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return int(succeeded.Load()), context.Cause(ctx)
}

// touch does something to a message while none of its jobs waits in memory.
// What it makes due waits for a dead site as all else does; but what has expired need not
// be tried there: revive.
func (q *Queue) touch(ctx context.Context, id mail.QueueID, what string, revive bool, op func() ([]DestHead, error)) error {
	q.rounds.await(ctx, id)
	var waiting []Job
	for _, a := range q.ask(evDrop{id, q.rounds.dests(id)}) {
		if dropped, ok := a.(actDropped); ok {
			waiting = dropped.jobs
			continue
		}
		q.perform([]action{a})
	}
	heads, err := op()
	if err != nil {
		q.tell(evArrived{waiting}) // as if nothing had been
		return err
	}
	q.operated(ctx, "postsuper", what, idAttr(id))
	q.release(waiting)
	q.tell(evHeads{heads: heads, revive: revive})
	return nil
}

// LogOperator logs what an operator has done to several messages, as daemon.
func (q *Queue) LogOperator(ctx context.Context, daemon, what string) { q.operated(ctx, daemon, what) }

// operated logs what an operator has done, and who it was if that is known.
func (q *Queue) operated(ctx context.Context, daemon, what string, attrs ...slog.Attr) {
	all := make([]slog.Attr, 0, len(attrs)+3)
	all = append(append(all, slog.String(mail.KeyDaemon, daemon)), attrs...)
	all = append(all, slog.String(mail.KeyReason, what))
	if uid, known := mail.User(ctx); known {
		all = append(all, slog.Int(mail.KeyUID, uid))
	}
	q.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, mail.EventOperator, all...)
}
