package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// Load implements queue.Store. The first attempt reads a small body from memory, where
// it still is. What comes from disk is checked; the file of a message that this
// process has just written is checked while it is read.
func (s *Store) Load(ctx context.Context, id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if err := s.enter(); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	env, body, err := s.load(id)
	if d, damaged := asDamage(err); damaged {
		err = s.quarantine(d)
	}
	if err != nil {
		return nil, nil, err
	}
	return env, body, nil
}

func (s *Store) load(id mail.QueueID) (*mail.Envelope, mail.Body, error) {
	var record []byte
	var inMemory *memBody
	var env *mail.Envelope
	ours := false // we wrote it, and nobody has tried it yet
	s.mu.Lock()
	if m := s.active[id]; m != nil {
		if m.removed {
			s.mu.Unlock()
			return nil, nil, notFound(id)
		}
		record, inMemory, ours, env = m.raw, m.body, m.fresh, m.env.Value()
	}
	s.mu.Unlock()

	if env == nil {
		var err error
		if env, err = s.loadEnvelope(id, record); err != nil {
			return nil, nil, err
		}
	}
	if inMemory != nil {
		return env, inMemory, nil
	}
	body, err := s.loadBody(env, ours)
	return env, body, err
}

// loadEnvelope decodes the envelope record of a message, which it reads if it is nil, and
// lets those share it who want it next.
func (s *Store) loadEnvelope(id mail.QueueID, record []byte) (*mail.Envelope, error) {
	s.mu.Lock()
	rewritten := s.rewritten
	s.mu.Unlock()
	if record == nil {
		var err error
		if record, err = s.envelopeRecord(id); err != nil {
			return nil, err
		}
	}
	env, err := decodeEnvelope(record)
	if err == nil && env.ID != id {
		err = fmt.Errorf("it is the envelope of %s", env.ID)
	}
	if err != nil {
		return nil, &damage{id, "envelope: " + err.Error()}
	}
	s.mu.Lock()
	if m := s.active[id]; m != nil && s.rewritten == rewritten {
		m.env = weak.Make(env)
	}
	s.mu.Unlock()
	return env, nil
}

// envelopeRecord reads the envelope record of a message. A message changes from n to
// m and never back, so that looking in this order misses none.
func (s *Store) envelopeRecord(id mail.QueueID) ([]byte, error) {
	for _, kind := range []byte{keyNew, keyMessage} {
		record, err := s.read(kind, id)
		if err == nil || !errors.Is(err, queue.ErrNotFound) {
			return record, err
		}
	}
	if record, err := s.read(keyCorrupt, id); err == nil {
		reason, _ := decodeCorrupt(record)
		return nil, fmt.Errorf("message %s: %s: %w", id, reason, queue.ErrCorrupt)
	}
	return nil, notFound(id)
}

// read returns a copy of a value; ErrNotFound when there is none.
func (s *Store) read(kind byte, id mail.QueueID) ([]byte, error) {
	value, closer, err := s.db.Get(idKey(kind, id))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return nil, notFound(id)
	case pebble.IsCorruptionError(err):
		return nil, &damage{id, err.Error()}
	case err != nil:
		return nil, fmt.Errorf("message %s: read queue: %w", id, err)
	}
	value = bytes.Clone(value)
	if value == nil {
		value = []byte{}
	}
	return value, closer.Close()
}

func (s *Store) loadBody(env *mail.Envelope, ours bool) (mail.Body, error) {
	b, err := s.read(keyBody, env.ID)
	if err == nil {
		if err := checkBytes(b, env); err != nil {
			return nil, &damage{env.ID, err.Error()}
		}
		return bodyOf(b), nil
	}
	if !errors.Is(err, queue.ErrNotFound) {
		return nil, err
	}
	if _, err := s.read(keyFile, env.ID); errors.Is(err, queue.ErrNotFound) {
		return nil, &damage{env.ID, "the body is missing"}
	} else if err != nil {
		return nil, err
	}
	body := &fileBody{fs: s.spool.fs, path: s.spool.path(env.ID), size: env.Size, crc: env.CRC}
	if ours {
		return body, nil
	}
	if err := body.check(); isDamaged(err) {
		return nil, &damage{env.ID, err.Error()}
	} else if err != nil {
		return nil, err
	}
	return body, nil
}
