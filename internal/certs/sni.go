package certs

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
)

// Certificates by server name (postconf(5): tls_server_sni_maps). A name is looked up
// as it is, then ".parent" for each parent domain.

// maxNames bounds how many results are kept: names come from strangers, results from
// our own table.
const maxNames = 10_000

// byName is what the table has for a name, nil for nothing.
func (s *Store) byName(ctx context.Context, name string) ([]*tls.Certificate, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for key := name; ; {
		value, found, err := s.o.SNI(ctx, key)
		if err != nil {
			s.o.Warn(fmt.Sprintf("tls_server_sni_maps: %s: %v", key, err))
			return nil, err
		}
		if found {
			return s.chainsOf(key, value)
		}
		dot := strings.IndexByte(strings.TrimPrefix(key, "."), '.')
		if dot < 0 {
			return nil, nil
		}
		key = strings.TrimPrefix(key, ".")[dot:]
	}
}

// chainsOf reads what the table has for a name, or has it still.
func (s *Store) chainsOf(key, value string) ([]*tls.Certificate, error) {
	s.mu.Lock()
	f := s.names[value]
	s.mu.Unlock()
	if f == nil {
		f = new(files)
		if text, ok := decode(value); ok {
			list, err := parseChains(text)
			if err != nil {
				return nil, s.broken(key, err)
			}
			prefer(list)
			f.cur.Store(&list)
		} else {
			f.chains = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
			if err := f.load(); err != nil {
				return nil, s.broken(key, err)
			}
		}
		s.keep(value, f)
	} else if err := f.reload(); err != nil {
		s.o.Warn(fmt.Sprintf("tls_server_sni_maps: %s: %v; the certificate as it was stays in force", key, err))
	}
	if list := f.current(); len(list) > 0 {
		return list, nil
	}
	return nil, s.broken(key, fmt.Errorf("no certificate"))
}

func (s *Store) broken(key string, err error) error {
	err = fmt.Errorf("tls_server_sni_maps: %s: %w", key, err)
	s.o.Warn(err.Error())
	return err
}

func (s *Store) keep(value string, f *files) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) >= maxNames {
		clear(s.names) // a table with so many is asked for all of them in turn anyway
	}
	s.names[value] = f
}

// decode reads the base64 that "postmap -F" puts in the place of a file's name.
func decode(value string) ([]byte, bool) {
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	return text, err == nil && strings.Contains(string(text), "-----BEGIN")
}
