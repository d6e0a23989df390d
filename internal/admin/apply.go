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
// notFound is how q says that there was nothing to act on; the result has ErrNotFound
// in its place.
func Apply(ctx context.Context, q Queue, notFound error, req Request, yield func(Result) bool) error {
	act, ok := actions[req.Action]
	if !ok {
		return fmt.Errorf("unknown action %q", req.Action)
	}
	do := func(id mail.QueueID) error {
		err := act.do(q, ctx, id)
		if notFound != nil && errors.Is(err, notFound) || errors.Is(err, ErrNotFound) {
			return ErrNotFound
		}
		return err
	}
	ids, err := selected(ctx, q, req)
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(ids, width) {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, r := range applyChunk(do, chunk) {
			if req.All && r.Err == ErrNotFound {
				continue // gone since it was listed
			}
			if !yield(r) {
				return nil
			}
		}
	}
	return nil
}

func applyChunk(do func(mail.QueueID) error, ids []mail.QueueID) []Result {
	results := make([]Result, len(ids))
	var done sync.WaitGroup
	for i, id := range ids {
		done.Go(func() { results[i] = Result{ID: id, Err: do(id)} })
	}
	done.Wait()
	return results
}

// selected are the messages that a request is about. It is eight bytes for each
// message of a queue, not a listing.
func selected(ctx context.Context, q Queue, req Request) ([]mail.QueueID, error) {
	if !req.All && len(req.Queues) == 0 {
		return req.IDs, nil
	}
	queues := req.Queues
	if len(queues) == 0 {
		queues = actions[req.Action].queues
	}
	var all []mail.QueueID
	found := make(map[mail.QueueID]bool, len(req.IDs))
	err := q.List(ctx, func(m mail.Listed) bool {
		switch {
		case !slices.Contains(queues, m.Queue):
		case req.All:
			all = append(all, m.ID)
		case slices.Contains(req.IDs, m.ID):
			found[m.ID] = true
		}
		return true
	})
	if err != nil || req.All {
		return all, err
	}
	return slices.DeleteFunc(slices.Clone(req.IDs), func(id mail.QueueID) bool { return !found[id] }), nil
}
