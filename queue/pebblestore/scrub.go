package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Mail that waits for days, or is on hold for years, is read by nobody meanwhile. Once a
// week everything is read and held against its checksums, so that a disk which forgets is
// noticed while the sender can still be asked. It is done a little at a time, and in the
// pauses: at most a megabyte a second, and while the queue is at work a tenth of that.

const (
	scrubPeriod = 7 * 24 * time.Hour
	scrubPause  = time.Second // between two steps
	scrubBytes  = 1 << 20     // of a step
	scrubIDs    = 256         // of a step
	scrubBusy   = 10          // pauses that are one, while the queue is at work
	scrubSave   = time.Minute // how often the position is written down
)

// scrubState is where the check is. It is written without a sync: after a crash a minute
// of it is done again.
type scrubState struct {
	begun time.Time    // the last one
	next  mail.QueueID // where to go on
	done  bool
	saved time.Time
	found int // messages in this process's part of it
	bad   int
}

func (s *Store) loadScrub() *scrubState {
	value, err := s.value([]byte(keyScrub))
	if err != nil || len(value) != 17 {
		return &scrubState{begun: s.now(), done: true} // there was nothing a week ago
	}
	return &scrubState{
		begun: time.UnixMilli(int64(binary.BigEndian.Uint64(value))),
		next:  mail.QueueID(binary.BigEndian.Uint64(value[8:])),
		done:  value[16] == 1,
	}
}

func (s *Store) saveScrub(p *scrubState) {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.begun.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(p.next))
	done := byte(0)
	if p.done {
		done = 1
	}
	if s.failure() == nil {
		_ = guarded(func() error { // a hint, no more
			return s.db.Set([]byte(keyScrub), append(b, done), pebble.NoSync)
		})
	}
	p.saved = s.now()
}

// scrub runs until ctx ends, when the store is closed.
func (s *Store) scrub(ctx context.Context) {
	defer close(s.scrubbed)
	p := s.loadScrub()
	s.saveScrub(p)
	batches := s.counts.batches.Load()
	skipped := 0
	for {
		wait := scrubPause
		if p.done {
			wait = min(max(p.begun.Add(scrubPeriod).Sub(s.now()), scrubPause), scrubPeriod)
		}
		if !pause(ctx, wait) {
			s.saveScrub(p)
			return
		}
		if p.done {
			*p = scrubState{begun: s.now()}
		}
		now := s.counts.batches.Load()
		if now != batches && skipped < scrubBusy {
			batches = now
			skipped++
			continue
		}
		skipped = 0
		var read int64
		if s.enter() != nil {
			return
		}
		err := guarded(func() (err error) {
			read, err = s.scrubStep(p)
			return err
		})
		s.leave()
		if err != nil && s.failure() == nil {
			s.log.Warn(fmt.Sprintf("queue: the weekly check stops for today: %v", err))
			if !pause(ctx, 24*time.Hour) {
				return
			}
			continue
		}
		if p.done {
			s.log.Info(fmt.Sprintf("queue: weekly check: %d messages read, %d of them corrupt", p.found, p.bad))
		}
		if p.done || s.now().Sub(p.saved) >= scrubSave {
			s.saveScrub(p)
		}
		if !pause(ctx, time.Duration(read/scrubBytes)*scrubPause) {
			s.saveScrub(p)
			return
		}
		batches = s.counts.batches.Load()
	}
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// scrubStep checks the next messages and returns how many bytes it has read.
func (s *Store) scrubStep(p *scrubState) (read int64, err error) {
	ids, err := s.idsFrom(p.next, scrubIDs)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		n, bad := s.scrubOne(id)
		p.next = id + 1
		p.found++
		if bad {
			p.bad++
		}
		s.counts.scrubbed.Add(1)
		if read += n; read >= scrubBytes {
			return read, nil
		}
	}
	p.done = len(ids) < scrubIDs
	return read, nil
}

// scrubOne reads a message whole. One that is under way is read anyway.
func (s *Store) scrubOne(id mail.QueueID) (read int64, bad bool) {
	s.mu.Lock()
	underWay := s.active[id] != nil
	var err error
	if !underWay {
		_, err = s.get(id)
	}
	s.mu.Unlock()
	if underWay {
		return 0, false
	}
	var env *mail.Envelope
	if err == nil {
		env, _, err = s.load(id)
	}
	if d, damaged := asDamage(err); damaged {
		return 0, errors.Is(s.quarantine(d), queue.ErrCorrupt)
	}
	switch {
	case err == nil:
		return env.Size + int64(len(env.Prepend)), false
	case errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrCorrupt): // gone, or known
	default:
		s.log.Error(fmt.Sprintf("queue: weekly check: %v", err))
	}
	return 0, false
}
