package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"aliasmx/internal/mail"
)

// width is how many messages are changed at once: the store makes several changes
// durable with one sync.
const width = 64

// Apply carries out a request on a queue and yields one result for each message of
// IDs, in their order; for All only messages that were there are yielded. It ends when
// yield returns false. The server calls it, and so does a command that works on the
// queue without a daemon.
//
// All messages are worked through as they are listed: no list of them is kept, and what
// is done to those that were listed changes nothing about those to come.
//
// notFound is how q says that there was nothing to act on; the result has ErrNotFound
// in its place.
func Apply(ctx context.Context, q Queue, notFound error, req Request, yield func(Result) bool) error {
	act, ok := actions[req.Action]
	if !ok {
		return fmt.Errorf("unknown action %q", req.Action)
	}
	plain := func(err error) error {
		if notFound != nil && errors.Is(err, notFound) || errors.Is(err, ErrNotFound) {
			return ErrNotFound
		}
		return err
	}
	w := &worker{req: req, yield: yield, do: func(id mail.QueueID) error { return plain(act.do(q, ctx, id)) }}
	if !req.All {
		ids, err := restricted(ctx, q, req, plain)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(ids, width) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !w.work(chunk) {
				return nil
			}
			w.progress(int64(len(ids)))
		}
		return nil
	}
	queues := req.Queues
	if len(queues) == 0 {
		queues = act.queues
	}
	var chunk []mail.QueueID
	more := true
	err := Select(ctx, q, queues, req.Select, req.Progress, func(m mail.Listed) bool {
		if chunk = append(chunk, m.ID); len(chunk) == width {
			more = w.work(chunk)
			chunk = chunk[:0]
		}
		return more
	})
	if err == nil && more {
		w.work(chunk)
	}
	return err
}

// worker acts on messages, several at once.
type worker struct {
	req   Request
	do    func(mail.QueueID) error
	yield func(Result) bool
	done  int64
}

// work acts on a chunk and reports whether to go on.
func (w *worker) work(ids []mail.QueueID) bool {
	results := make([]Result, len(ids))
	var done sync.WaitGroup
	for i, id := range ids {
		done.Go(func() { results[i] = Result{ID: id, Err: w.do(id)} })
	}
	done.Wait()
	w.done += int64(len(ids))
	for _, r := range results {
		if w.req.All && r.Err == ErrNotFound {
			continue // gone since it was listed
		}
		if !w.yield(r) {
			return false
		}
	}
	return true
}

func (w *worker) progress(total int64) {
	if w.req.Progress != nil {
		w.req.Progress(w.done, total)
	}
}

// restricted are those of the IDs that are in the queues of a request.
func restricted(ctx context.Context, q Queue, req Request, plain func(error) error) ([]mail.QueueID, error) {
	if len(req.Queues) == 0 {
		return req.IDs, nil
	}
	var ids []mail.QueueID
	for _, id := range req.IDs {
		m, err := q.Find(ctx, id)
		switch err = plain(err); {
		case err == ErrNotFound:
		case err != nil:
			return nil, err
		case slices.Contains(req.Queues, m.Queue):
			ids = append(ids, id)
		}
	}
	return ids, nil
}
