package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"aliasmx/internal/mail"
)

// The operator's hand: postqueue(1) and postsuper(1). What an operator does holds at
// once for all that waits; an attempt under way comes to its end first.

// List yields all messages, oldest first (postqueue -p, -j).
func (q *Queue) List(ctx context.Context, yield func(mail.Listed) bool) error {
	return q.store.List(ctx, yield)
}

// Load returns a message (postcat -q).
func (q *Queue) Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	return q.store.Load(ctx, id)
}

// Flush has all mail tried now, and forgets which destinations are dead (postqueue -f).
// Nothing is written for it, however much mail waits: a process that ends before all was
// tried has forgotten the wish.
func (q *Queue) Flush(context.Context) error {
	q.tell(evFlush{})
	return nil
}

// FlushID makes a message due now (postqueue -i).
func (q *Queue) FlushID(ctx context.Context, id mail.QueueID) error {
	q.rounds.await(ctx, id)
	heads, err := q.store.MakeDue(ctx, id)
	if err != nil {
		return err
	}
	q.tell(evHeads{heads: heads, revive: true})
	return nil
}

// FlushDest makes all mail with a recipient at site due now (postqueue -s): a domain,
// or an address in brackets.
func (q *Queue) FlushDest(ctx context.Context, site string) error {
	site = strings.TrimSuffix(site, ".")
	ids, err := q.ids(ctx, func(l *mail.Listed) bool {
		return l.Queue != "hold" && l.Queue != "corrupt" && slices.ContainsFunc(l.Rcpts, func(r mail.ListedRcpt) bool {
			return strings.EqualFold(strings.TrimSuffix(r.Address.Domain, "."), site)
		})
	})
	if err != nil {
		return err
	}
	_, err = each(ctx, ids, q.FlushID)
	return err
}

// Hold keeps a message from being tried (postsuper -h).
func (q *Queue) Hold(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "placed on hold", func() ([]DestHead, error) {
		return nil, q.store.Hold(ctx, id)
	})
}

// Release lets a held message go on, due now (postsuper -H).
func (q *Queue) Release(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "released from hold", func() ([]DestHead, error) {
		return q.store.Unhold(ctx, id)
	})
}

// Delete takes a message out of the queue; nobody is told (postsuper -d).
func (q *Queue) Delete(ctx context.Context, id mail.QueueID) error {
	return q.touch(ctx, id, "removed", func() ([]DestHead, error) {
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
	return q.touch(ctx, id, "expired", func() ([]DestHead, error) {
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
	return q.touch(ctx, id, "requeued", func() ([]DestHead, error) {
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
	ids, err := q.ids(ctx, func(l *mail.Listed) bool {
		if len(queues) == 0 {
			return l.Queue != "corrupt"
		}
		return slices.Contains(queues, l.Queue)
	})
	if err != nil {
		return 0, err
	}
	return each(ctx, ids, op)
}

// each calls op with every message, with several at a time: most of the time of an
// operation is a wait for the disk, which one write serves for all that wait.
func each(ctx context.Context, ids []mail.QueueID, op func(context.Context, mail.QueueID) error) (int, error) {
	const atOnce = 32
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, succeeded atomic.Int64
	var workers sync.WaitGroup
	for range min(atOnce, len(ids)) {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(len(ids)) && ctx.Err() == nil; i = next.Add(1) {
				switch err := op(ctx, ids[i-1]); {
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

// ids are those of the messages that match: eight bytes each, so that the list can
// be changed while it is worked through.
func (q *Queue) ids(ctx context.Context, match func(*mail.Listed) bool) ([]mail.QueueID, error) {
	var ids []mail.QueueID
	err := q.store.List(ctx, func(l mail.Listed) bool {
		if match(&l) {
			ids = append(ids, l.ID)
		}
		return true
	})
	return ids, err
}

// touch does something to a message while none of its jobs waits in memory.
func (q *Queue) touch(ctx context.Context, id mail.QueueID, what string, op func() ([]DestHead, error)) error {
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
	q.event("postsuper", mail.EventOperator, id, slog.String(mail.KeyReason, what))
	q.release(waiting)
	q.tell(evHeads{heads: heads, revive: true})
	return nil
}
