package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"aliasmx/internal/mail"
)

// Who goes through all that is there, to take it over or to check it, must not rely on
// one part of the keyspace: a table with a damaged block hides what is in the block. The
// same IDs are in other parts.

// idKinds are the parts of the keyspace that are sorted by ID.
var idKinds = []byte{keyNew, keyMessage, keyJob, keyBody, keyFile, keyCorrupt}

// idsFrom returns up to limit IDs, from the given one upwards, of which the database has
// anything. A part of the keyspace that cannot be read, because it is damaged, is left to
// the others.
func (s *Store) idsFrom(from mail.QueueID, limit int) (ids []mail.QueueID, err error) {
	var its []*pebble.Iterator
	defer func() {
		for _, it := range its {
			// What it met was told when it met it.
			if cerr := it.Close(); err == nil && cerr != nil && !pebble.IsCorruptionError(cerr) {
				err = fmt.Errorf("read queue: %w", cerr)
			}
		}
	}()
	for _, kind := range idKinds {
		it, err := s.iter([]byte{kind}, []byte{kind + 1})
		if err != nil {
			return nil, err
		}
		it.SeekGE(idKey(kind, from))
		its = append(its, it)
	}
	for len(ids) < limit {
		lowest, found := mail.QueueID(0), false
		for _, it := range its {
			if id, ok := atID(it); ok && (!found || id < lowest) {
				lowest, found = id, true
			}
		}
		if !found {
			break
		}
		ids = append(ids, lowest)
		for k, it := range its {
			if id, ok := atID(it); ok && id == lowest {
				it.SeekGE(idKey(idKinds[k], lowest+1))
			}
		}
	}
	for _, it := range its {
		if err := it.Error(); err != nil && !pebble.IsCorruptionError(err) {
			return nil, fmt.Errorf("read queue: %w", err)
		}
	}
	return ids, nil
}

// atID is the ID at which an iterator stands.
func atID(it *pebble.Iterator) (mail.QueueID, bool) {
	if !it.Valid() {
		return 0, false
	}
	return parseID(it.Key())
}

// get of a key that may be missing; nil: it is.
func (s *Store) value(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	value = append([]byte{}, value...)
	return value, closer.Close()
}
