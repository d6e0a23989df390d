package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// A message whose bytes are not those that were stored is moved to the corrupt queue:
// an x record with the reason and the envelope as it was found. Its body stays where
// it is, for whoever wants to rescue something, until the message is removed.

// damage is the error that leads there.
type damage struct {
	id     mail.QueueID
	reason string
}

func (d *damage) Error() string { return fmt.Sprintf("message %s: %s", d.id, d.reason) }
func (d *damage) Unwrap() error { return queue.ErrCorrupt }

func asDamage(err error) (*damage, bool) {
	var d *damage
	ok := errors.As(err, &d)
	return d, ok
}

// isDamaged tells whether an error in reading a body file means that it is not what
// was stored; any other error may be gone at the next try.
func isDamaged(err error) bool {
	return errors.Is(err, queue.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)
}

const corruptVersion = 1

func encodeCorrupt(reason string, envelope []byte) []byte {
	b := appendText([]byte{corruptVersion}, reason)
	return seal(appendText(b, envelope))
}

func decodeCorrupt(record []byte) (reason string, envelope []byte) {
	b, err := unseal(record)
	if err != nil {
		return err.Error(), nil
	}
	f := &fields{rest: string(b[1:])}
	reason = f.text()
	return reason, []byte(f.text())
}

// quarantine moves a message to the corrupt queue and returns what its reader is to be
// told: ErrCorrupt, or ErrNotFound when it has gone meanwhile.
func (s *Store) quarantine(d *damage) error {
	moved := false
	var h hand
	err := s.do(&change{
		prepare: func(b *pebble.Batch) (err error) {
			h, moved, err = s.moveToCorrupt(b, d)
			return err
		},
		settle: func(err error) {
			if err == nil && moved {
				s.unpin(h)
			}
		},
	})
	switch {
	case err != nil:
		return err
	case !moved:
		return notFound(d.id)
	}
	s.tellCorrupt(d)
	return fmt.Errorf("%s: %w", d, queue.ErrCorrupt)
}

func (s *Store) tellCorrupt(d *damage) {
	s.counts.corrupt.Add(1)
	s.log.Error(fmt.Sprintf("%s: moved to the corrupt queue", d), mail.KeyQueueID, d.id.String())
}

// moveToCorrupt writes the move into b. The caller is in the writer and holds s.mu.
func (s *Store) moveToCorrupt(b *pebble.Batch, d *damage) (h hand, moved bool, err error) {
	m := s.active[d.id]
	if m != nil && m.removed {
		return hand{}, false, nil
	}
	kind, envelope, err := s.anyEnvelope(d.id)
	if err != nil {
		return hand{}, false, err
	}
	if kind == 0 && m == nil && !s.hasJobs(d.id) {
		return hand{}, false, nil
	}
	if m == nil {
		m = s.jobsLeft(b, d.id)
		s.doubt(b) // as what it was counted its jobs do not tell
	}
	if kind == keyNew {
		put(b.Delete(idKey(keyNew, d.id), nil))
	} else {
		put(b.Delete(idKey(keyMessage, d.id), nil))
	}
	for _, j := range m.jobs {
		j.rcpts, j.reasons = nil, nil
		saveJob(b, m, j)
	}
	put(b.Delete(idKey(keyHold, d.id), nil))
	put(b.Set(idKey(keyCorrupt, d.id), encodeCorrupt(d.reason, envelope), nil))
	m.removed = true
	s.recount(b, m.counted, stateCorrupt)
	return s.pin(m, nil), true, nil
}

// anyEnvelope reads an envelope record however damaged; kind 0 when there is none.
func (s *Store) anyEnvelope(id mail.QueueID) (kind byte, record []byte, err error) {
	for _, kind := range []byte{keyNew, keyMessage} {
		record, err := s.read(kind, id)
		if _, damaged := asDamage(err); damaged {
			return kind, nil, nil // its block cannot be read
		}
		if err == nil || !errors.Is(err, queue.ErrNotFound) {
			return kind, record, err
		}
	}
	return 0, nil, nil
}

func (s *Store) hasJobs(id mail.QueueID) bool {
	it, err := s.iter(jobKey(id, 0), jobKey(id+1, 0))
	if err != nil {
		return false
	}
	defer it.Close()
	return it.First()
}

// jobsLeft collects what can be read of the jobs of a damaged message, and removes
// what cannot. A key of the index that stays behind is found by Claim.
func (s *Store) jobsLeft(b *pebble.Batch, id mail.QueueID) *message {
	m := &message{id: id}
	it, err := s.iter(jobKey(id, 0), jobKey(id+1, 0))
	if err != nil {
		return m
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		_, n, good := parseJobKey(it.Key())
		record, err := it.ValueAndErr()
		var j *job
		if err == nil && good {
			j, err = decodeJob(record, m)
		}
		if err != nil || !good {
			put(b.Delete(it.Key(), nil))
			continue
		}
		j.n, j.stored = n, true
		if _, closer, err := s.db.Get(dueKey(j.dest, j.at(id))); err == nil {
			_ = closer.Close()
			j.indexed, j.indexAt = true, j.due
		}
		m.jobs = append(m.jobs, j)
	}
	return m
}

// removeCorrupt is Remove for a message in the corrupt queue.
func (s *Store) removeCorrupt(b *pebble.Batch, id mail.QueueID) (file bool, err error) {
	if _, err := s.read(keyCorrupt, id); err != nil {
		if _, damaged := asDamage(err); !damaged {
			return false, err
		}
	}
	_, err = s.read(keyFile, id)
	file = err == nil
	s.recount(b, stateCorrupt, stateNone)
	for _, kind := range []byte{keyCorrupt, keyBody, keyFile} {
		put(b.Delete(idKey(kind, id), nil))
	}
	return file, nil
}

// listCorrupt shows a message of the corrupt queue, as far as it can be read.
func listCorrupt(id mail.QueueID, record []byte) mail.Listed {
	reason, envelope := decodeCorrupt(record)
	l := mail.Listed{Queue: "corrupt", ID: id, Arrived: id.Time()}
	if len(envelope) < 4 {
		return l
	}
	env, err := readEnvelope(envelope[:len(envelope)-4])
	if err != nil || env.ID != id {
		return l
	}
	l.Arrived, l.Sender, l.Size = env.Arrived, env.Sender, env.Size+int64(len(env.Prepend))
	for i := range env.Rcpts {
		r := &env.Rcpts[i]
		l.Rcpts = append(l.Rcpts, mail.ListedRcpt{Address: r.Final, Orig: r.OrigTo(), Reason: reason})
	}
	if l.Arrived.After(id.Time().Add(time.Hour)) { // the damage is where the time is
		l.Arrived = id.Time()
	}
	return l
}
