package pebblestore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Every queue has an identity, random, made with it and never changed. By it a queue that
// takes another one over is known again, whatever the directories are called meanwhile.

type identity [16]byte

func (i identity) String() string { return hex.EncodeToString(i[:]) }

// identify reads the identity of the queue, or gives it one.
func (s *Store) identify() error {
	value, closer, err := s.db.Get([]byte(keyIdentity))
	switch {
	case err == nil:
		n := copy(s.identity[:], value)
		_ = closer.Close()
		if n != len(s.identity) {
			return errors.New("its identity is damaged")
		}
		return nil
	case !errors.Is(err, pebble.ErrNotFound):
		return fmt.Errorf("read its identity: %w", err)
	}
	if _, err := rand.Read(s.identity[:]); err != nil {
		return fmt.Errorf("make its identity: %w", err)
	}
	return s.db.Set([]byte(keyIdentity), s.identity[:], pebble.Sync)
}
