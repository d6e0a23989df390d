package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
)

// Find implements queue.Store: List for one message.
func (s *Store) Find(ctx context.Context, id mail.QueueID) (l mail.Listed, err error) {
	if err := ctx.Err(); err != nil {
		return l, err
	}
	if err := s.enter(); err != nil {
		return l, err
	}
	defer s.leave()
	w := &walk{store: s, next: id, begun: true, snap: s.db.NewSnapshot()}
	defer func() {
		if cerr := w.close(); err == nil && cerr != nil {
			err = fmt.Errorf("read queue: %w", cerr)
		}
	}()
	if err := w.open(); err != nil {
		return l, fmt.Errorf("read queue: %w", err)
	}
	kind := walkNew
	_, closer, err := w.snap.Get(idKey(keyNew, id))
	switch {
	case err == nil:
		_ = closer.Close()
	case !errors.Is(err, pebble.ErrNotFound):
		return l, fmt.Errorf("message %s: read queue: %w", id, err)
	default:
		var at mail.QueueID
		if kind, at = w.first(); kind < 0 || at != id {
			return l, notFound(id)
		}
	}
	l, there := w.read(kind, id)
	if !there {
		return l, notFound(id)
	}
	return l, nil
}
