package certs

import (
	"context"
	"crypto/tls"
	"slices"
)

// Shown are the certificates that a client can get which asks for a name, one for each kind
// of key: those of the table, or else our own.
func (s *Store) Shown(ctx context.Context, name string) ([]*tls.Certificate, error) {
	s.refresh()
	if s.o.SNI != nil && name != "" {
		if chosen, err := s.byName(ctx, name); err != nil || chosen != nil {
			return slices.Clone(chosen), err
		}
	}
	return slices.Clone(s.own.current()), nil
}
