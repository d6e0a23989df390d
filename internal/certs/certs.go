// Package certs holds the certificates that a server shows: read from files, read again
// when the files change, and chosen by the name a client asks for.
//
// Terms. A chain is a private key with its certificate and those of the authorities
// above it, leaf first. A store has the chains of one service: one for each kind of
// key, and others for single names (SNI).
//
// Invariants. What is shown is always a chain whose key and leaf belong together. A new
// file that is broken or half written changes nothing but for one warning. ECDSA comes
// before RSA where a client takes both: it costs a tenth.
//
// Example. Chains of []string{"/etc/ssl/ec.pem", "/etc/ssl/rsa.pem"} make a Store whose
// GetCertificate goes into a tls.Config.
//
// It talks to no client, speaks no ACME and knows no configuration.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Store.
type Options struct {
	// Chains are files that each hold one or more chains in PEM, each with its key first
	// (smtpd_tls_chain_files).
	Chains []string
	// Pairs are the older way to say the same (smtpd_tls_cert_file, smtpd_tls_key_file,
	// smtpd_tls_eccert_file ...). Chains go before them.
	Pairs []Pair

	// SNI is what a table has for a server name (tls_server_sni_maps): the names of files
	// like those of Chains, or the content of one in base64. Nil: no table.
	SNI func(ctx context.Context, name string) (value string, found bool, err error)

	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Warn gets what the operator should know, one sentence. It may be called by several
	// goroutines at once. Nil: nobody does.
	Warn func(msg string)
}

// Pair is a certificate file, with the chain above it, and the file of its key.
type Pair struct{ Cert, Key string }

// Store has the certificates of one service. It is safe for concurrent use.
type Store struct {
	o       Options
	own     *files // Chains and Pairs
	checked atomic.Int64

	mu    sync.Mutex // guards names and told
	names map[string]*files
	told  time.Time // when an expiry was last warned of
}

// Open reads all certificates that are no matter of a table.
func Open(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	own := &files{chains: o.Chains, pairs: o.Pairs}
	if err := own.load(); err != nil {
		return nil, err
	}
	if len(own.current()) == 0 {
		return nil, errors.New("no certificate: name a file with a key and its certificate")
	}
	s := &Store{o: o, own: own, names: make(map[string]*files)}
	s.checked.Store(o.Now().UnixNano())
	s.warnOfExpiry()
	return s, nil
}

// With is a store with the same own certificates, as they have been read, and the table,
// clock and warnings of other options: files that can no longer be read are not read again
// until they change.
func (s *Store) With(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	other := &Store{o: o, own: s.own, names: make(map[string]*files)}
	other.checked.Store(o.Now().UnixNano())
	return other
}

// checkInterval is how often files are looked at, and warnInterval how often an expiry
// is told of.
const (
	checkInterval = 10 * time.Second
	warnInterval  = 24 * time.Hour
)

// GetCertificate is for tls.Config. A name that no table has gets our own certificate:
// a mail client that cares for the name looks at it itself.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.refresh()
	if s.o.SNI != nil && hello.ServerName != "" {
		chosen, err := s.byName(hello.Context(), hello.ServerName)
		if err != nil {
			return nil, err
		}
		if chosen != nil {
			return choose(chosen, hello), nil
		}
	}
	return choose(s.own.current(), hello), nil
}

// choose takes the first that the client can use, in our order. If there is none the
// first is shown: the client's answer says what it misses.
func choose(list []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	return list[0]
}

// refresh looks at the files if that is due.
func (s *Store) refresh() {
	now, last := s.o.Now().UnixNano(), s.checked.Load()
	if since := now - last; 0 <= since && since < int64(checkInterval) || !s.checked.CompareAndSwap(last, now) {
		return
	}
	if err := s.own.reload(); err != nil {
		s.o.Warn(err.Error() + "; the certificate as it was stays in force")
	}
	s.warnOfExpiry()
}
