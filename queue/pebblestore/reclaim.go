package pebblestore

import (
	"context"
	"time"
)

// What is removed from the queue makes room only when the removal gets from memory to
// the tables. That happens by itself as mail goes through; but on a full disk nothing
// goes through, and little is removed that would not fit into memory. So when mail is
// turned away for want of room, memory is flushed and tables are cleared.

// reclaimEvery is how often that may be done.
const reclaimEvery = 2 * time.Second

// smallQueue is up to what size all tables are gone through; in larger ones the
// database finds those that are worth it.
const smallQueue = 256 << 20

// reclaim runs until ctx ends, when the store is closed.
func (s *Store) reclaim(ctx context.Context) {
	defer close(s.reclaimed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.space.short:
		}
		if s.enter() == nil {
			_ = guarded(func() error { return s.makeRoom(ctx) })
			s.leave()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reclaimEvery):
		}
	}
}

func (s *Store) makeRoom(ctx context.Context) error {
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-flushed:
	}
	if s.db.Metrics().DiskSpaceUsage() > smallQueue {
		return nil
	}
	return s.db.Compact(ctx, []byte{keyBody}, []byte{keyBody + 1}, false)
}
