package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// unpack puts a page into this queue, in one batch, and returns the destinations that
// have work by it. The jobs are claimed until the batch is on stable storage.
func (a *adoption) unpack(page []*parcel) (heads []queue.DestHead, err error) {
	t := a.taker
	var hands []hand
	var taken []*parcel
	for _, p := range page {
		if !p.before {
			taken = append(taken, p)
		}
	}
	err = t.do(&change{
		prepare: func(b *pebble.Batch) error {
			for _, id := range a.gone {
				put(b.Delete(originKey(a.source.identity, id), nil))
			}
			for _, p := range taken {
				if h := a.write(b, p); h.m != nil {
					hands = append(hands, h)
				}
			}
			return nil
		},
		settle: func(err error) {
			if err != nil {
				return
			}
			for _, h := range hands {
				for _, j := range h.jobs {
					h.m.unclaim(j) // an operator may have requeued it meanwhile
				}
				heads = append(heads, h.m.heads()...)
				t.unpin(h)
			}
		},
	})
	if err != nil {
		// The log may have it: the files stay, and are swept at the next start if not.
		return nil, err
	}
	a.gone = a.gone[:0]
	for _, p := range taken {
		a.count(p)
	}
	return heads, nil
}

// write writes a message into b. The caller is in the writer and holds s.mu.
func (a *adoption) write(b *pebble.Batch, p *parcel) (h hand) {
	t := a.taker
	if p.m == nil {
		put(b.Set(idKey(keyCorrupt, p.id), p.raw, nil))
		t.recount(b, stateNone, stateCorrupt)
	} else {
		put(b.Set(idKey(keyMessage, p.id), p.raw, nil))
		if p.m.held {
			put(b.Set(idKey(keyHold, p.id), nil, nil))
		}
		for _, j := range p.m.jobs {
			saveJob(b, p.m, j)
			j.claimed = true
		}
		p.m.counted = stateNone // here
		t.count(b, p.m)
		h = t.pin(p.m, slices.Clone(p.m.jobs))
	}
	switch {
	case p.file != nil:
		put(b.Set(idKey(keyFile, p.id), nil, nil))
	case p.body != nil:
		op := b.SetDeferred(idKeyLen, int(p.body.size))
		copy(op.Key, idKey(keyBody, p.id))
		p.body.copyTo(op.Value)
		put(op.Finish())
	}
	state := byte(originWhole)
	if p.bodyLeft {
		state = originBodyLeft
	}
	put(b.Set(originKey(a.source.identity, p.old), append(idBytes(p.id), state), nil))
	t.raiseHighWater(b, p.id)
	t.counts.messages.Add(1)
	return h
}

func (a *adoption) count(p *parcel) {
	a.add(func(sum *mail.Adoption) {
		sum.Messages++
		if p.m == nil {
			sum.Corrupt++
		}
		if p.id != p.old {
			sum.Renamed++
		}
	})
	a.taker.log.Info(fmt.Sprintf("adopted from %s of %s", p.old, a.source.opts.Dir),
		slog.String(mail.KeyDaemon, "postsuper"), slog.Any(mail.KeyQueueID, p.id))
}

// remove removes a page from the source.
func (a *adoption) remove(page []*parcel) error {
	if len(page) == 0 {
		return nil
	}
	src := a.source
	var hands []hand
	var files []mail.QueueID
	err := src.do(&change{
		prepare: func(b *pebble.Batch) error {
			for _, p := range page {
				h, file, err := src.eraseAny(b, p)
				if err != nil {
					return err
				}
				if h.m != nil {
					hands = append(hands, h)
				}
				if file {
					files = append(files, p.old)
				}
			}
			return nil
		},
		settle: func(err error) {
			if err == nil {
				for _, h := range hands {
					src.unpin(h)
				}
			}
		},
	})
	if err != nil {
		return err
	}
	for _, id := range files {
		src.spool.remove(id)
	}
	for _, p := range page {
		a.gone = append(a.gone, p.old)
		if p.before {
			a.add(func(sum *mail.Adoption) { sum.Before++ })
		}
	}
	return nil
}

// eraseAny writes into b that a message is gone, corrupt or not. The caller is in the
// writer and holds s.mu.
func (s *Store) eraseAny(b *pebble.Batch, p *parcel) (h hand, file bool, err error) {
	if p.bodyLeft {
		put(b.Delete(idKey(keyCorrupt, p.old), nil))
		s.recount(b, stateCorrupt, stateNone)
		return hand{}, false, nil
	}
	m, err := s.get(p.old)
	switch {
	case err == nil:
		h = s.erase(b, m)
		return h, m.file, nil
	case !errors.Is(err, queue.ErrNotFound):
		return hand{}, false, err
	}
	file, err = s.removeCorrupt(b, p.old)
	if errors.Is(err, queue.ErrNotFound) {
		err = nil
	}
	return hand{}, file, err
}
