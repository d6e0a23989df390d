package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// files are the chains of some files, and what the files looked like when they were read.
type files struct {
	chains []string
	pairs  []Pair

	mu   sync.Mutex // one reading at a time; guards seen
	seen []identity
	cur  atomic.Pointer[[]*tls.Certificate]
}

// identity tells one content of a file from another without reading it.
type identity struct {
	size, modified int64
	missing        bool
}

func (f *files) paths() []string {
	paths := slices.Clone(f.chains)
	for _, p := range f.pairs {
		paths = append(paths, p.Cert, p.Key)
	}
	return paths
}

func identities(paths []string) []identity {
	ids := make([]identity, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			ids[i].missing = true
			continue
		}
		ids[i] = identity{size: info.Size(), modified: info.ModTime().UnixNano()}
	}
	return ids
}

func (f *files) current() []*tls.Certificate {
	if p := f.cur.Load(); p != nil {
		return *p
	}
	return nil
}

// load reads the files.
func (f *files) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

// reload reads the files if they are not what they were.
func (f *files) reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(f.seen, identities(f.paths())) {
		return nil
	}
	return f.read()
}

// read takes the files' content in force, all of it or nothing. The caller holds f.mu.
func (f *files) read() error {
	f.seen = identities(f.paths())
	var all []*tls.Certificate
	for _, path := range f.chains {
		pem, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		list, err := parseChains(pem)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, list...)
	}
	for _, p := range f.pairs {
		c, err := readPair(p)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	prefer(all)
	f.cur.Store(&all)
	return nil
}

func readPair(p Pair) (*tls.Certificate, error) {
	cert, err := os.ReadFile(p.Cert)
	if err != nil {
		return nil, err
	}
	key := cert
	if p.Key != p.Cert {
		if key, err = os.ReadFile(p.Key); err != nil {
			return nil, err
		}
	}
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	return &c, nil
}

// prefer puts ECDSA and Ed25519 before RSA, and leaves the rest in the order given.
func prefer(list []*tls.Certificate) {
	slices.SortStableFunc(list, func(a, b *tls.Certificate) int { return cost(a) - cost(b) })
}

func cost(c *tls.Certificate) int {
	if c.Leaf != nil && c.Leaf.PublicKeyAlgorithm == x509.RSA {
		return 1
	}
	return 0
}
