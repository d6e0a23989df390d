package pebblestore

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Destinations that operators hold: one record each, under the settings. There are as
// many as operators have named.

const heldVersion = 1

func encodeHeld(h mail.HeldDest) []byte {
	return seal(appendText(appendTime([]byte{heldVersion}, h.Since), h.Reason))
}

func decodeHeld(record []byte) (h mail.HeldDest, err error) {
	b, err := unseal(record)
	if err != nil {
		return h, err
	}
	f := &fields{rest: string(b)}
	if f.byte() > heldVersion {
		return h, errNewer
	}
	h.Since, h.Reason = f.time(), f.text()
	return h, f.end()
}

func heldKey(d mail.Dest) []byte { return append([]byte(keyHeldDest), d...) }

// HoldDest implements queue.Store.
func (s *Store) HoldDest(ctx context.Context, dest mail.Dest, reason string) error {
	return s.changeHeld(ctx, func(b *pebble.Batch) error {
		h, there, err := s.held(dest)
		if err != nil {
			return err
		}
		if !there {
			h.Since = s.now()
		}
		h.Reason = reason
		put(b.Set(heldKey(dest), encodeHeld(h), nil))
		return nil
	})
}

// ReleaseDest implements queue.Store.
func (s *Store) ReleaseDest(ctx context.Context, dest mail.Dest) error {
	return s.changeHeld(ctx, func(b *pebble.Batch) error {
		_, there, err := s.held(dest)
		if err == nil && !there {
			err = fmt.Errorf("destination %s is not on hold: %w", dest, queue.ErrNotFound)
		}
		if err == nil {
			put(b.Delete(heldKey(dest), nil))
		}
		return err
	})
}

func (s *Store) changeHeld(ctx context.Context, prepare func(*pebble.Batch) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.do(&change{prepare: prepare})
}

// held reads one of the records. One that is damaged still says that the destination is
// held.
func (s *Store) held(dest mail.Dest) (h mail.HeldDest, there bool, err error) {
	it, err := s.iter(heldKey(dest), append(heldKey(dest), 0))
	if err != nil {
		return h, false, err
	}
	defer it.Close()
	if !it.First() {
		return h, false, it.Error()
	}
	h, err = s.heldAt(it)
	return h, true, err
}

// HeldDests implements queue.Store.
func (s *Store) HeldDests(ctx context.Context) ([]mail.HeldDest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	end := []byte(keyHeldDest)
	end[len(end)-1]++
	it, err := s.iter([]byte(keyHeldDest), end)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var all []mail.HeldDest
	for ok := it.First(); ok; ok = it.Next() {
		h, err := s.heldAt(it)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	return all, nil
}

func (s *Store) heldAt(it *pebble.Iterator) (mail.HeldDest, error) {
	dest := mail.Dest(it.Key()[len(keyHeldDest):])
	record, err := it.ValueAndErr()
	if err != nil {
		return mail.HeldDest{}, fmt.Errorf("read queue: %w", err)
	}
	h, err := decodeHeld(record)
	if err != nil {
		s.log.Warn(fmt.Sprintf("queue: why destination %s is on hold cannot be read: %v", dest, err))
		h = mail.HeldDest{}
	}
	h.Dest = dest
	return h, nil
}
