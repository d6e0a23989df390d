package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dkim"
	"aliasmx/internal/table"
)

// The keys of dkim_keys, and whose they are.

// keyFiles keeps private keys that were read, by file. A key that only root can read is
// read once, before root is given up.
type keyFiles struct {
	mu   sync.Mutex // guards keys
	keys map[string]crypto.Signer
	rows keptRows
}

// open reads a key, or takes the one that was read before and cannot be any more.
func (k *keyFiles) open(file string) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := readKey(file)
	if err == nil {
		if k.keys == nil {
			k.keys = make(map[string]crypto.Signer)
		}
		k.keys[file] = key
		return key, nil
	}
	if old := k.keys[file]; old != nil && errors.Is(err, fs.ErrPermission) {
		return old, nil
	}
	return nil, err
}

func readKey(file string) (crypto.Signer, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	key, err := dkim.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// signingKeys are the keys of one configuration. Each file is read once: those that the
// tables list at the start, others when a message first needs them.
type signingKeys struct {
	tables table.Maps
	files  *keyFiles
	log    *slog.Logger

	mu   sync.Mutex // guards read
	read map[string]crypto.Signer
}

// signingKeys opens dkim_keys, and reads the keys that can be listed; nil: nothing is
// signed.
func (v *view) signingKeys() (*signingKeys, error) {
	const parameter = "dkim_keys"
	t := v.tables
	found := t.maps(parameter)
	if t.err != nil || found == nil {
		return nil, t.err
	}
	k := &signingKeys{tables: found, files: &v.keys.dkim, read: make(map[string]crypto.Signer), log: slog.New(slog.DiscardHandler)}
	rows := make(map[string][]dkim.Key)
	err := k.each(func(where, domain, value string) error {
		keys, err := k.parse(domain, value)
		if err != nil {
			return fmt.Errorf("%s (%s): %s: %s: %w", parameter, v.cfg.Where(parameter), where, domain, err)
		}
		rows[rowOf(domain)] = keys
		return nil
	})
	if err != nil {
		return nil, err
	}
	for row, keys := range rows {
		k.files.rows.keep(row, keys)
	}
	return k, nil
}

// each goes through what the tables list, until an error.
func (k *signingKeys) each(yield func(where, domain, value string) error) error {
	for _, t := range k.tables {
		lister, ok := t.(table.Lister)
		if !ok {
			continue
		}
		var failed error
		err := lister.Each(func(domain, value string) bool {
			where := t.Name()
			if l, ok := t.(table.Locator); ok && l.Locate(domain) != "" {
				where = l.Locate(domain)
			}
			failed = yield(where, domain, value)
			return failed == nil
		})
		if failed != nil || err != nil {
			return errors.Join(failed, err)
		}
	}
	return nil
}

// of is what a Signer asks: the keys of a domain, or of the nearest one above it that signs
// for its subdomains.
func (k *signingKeys) of(ctx context.Context, domain string) ([]dkim.Key, error) {
	for key, rest := domain, domain; ; key = "." + rest {
		value, found, err := k.lookup(ctx, key)
		switch {
		case err != nil:
			return nil, err
		case found:
			return k.row(key, value)
		}
		var more bool
		if _, rest, more = strings.Cut(rest, "."); !more {
			return nil, nil
		}
	}
}

// signs tells whether there is a row for a domain, or for one above it.
func (k *signingKeys) signs(ctx context.Context, domain string) (bool, error) {
	for name := domain; name != ""; _, name, _ = strings.Cut(name, ".") {
		for _, key := range []string{name, "." + name} {
			if _, found, err := k.lookup(ctx, key); found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// lookup asks for a key of the tables, an A-label that may have a dot in front, and then as it
// is written in Unicode.
func (k *signingKeys) lookup(ctx context.Context, key string) (value string, found bool, err error) {
	value, _, found, err = k.tables.Lookup(ctx, key)
	name := strings.TrimPrefix(key, ".")
	if u, bad := idna.Lookup.ToUnicode(name); err == nil && !found && bad == nil && u != name {
		value, _, found, err = k.tables.Lookup(ctx, strings.TrimSuffix(key, name)+u)
	}
	return value, found, err
}

// parse reads a table's value: the keys of a domain.
func (k *signingKeys) parse(domain, value string) ([]dkim.Key, error) {
	name, err := idna.Lookup.ToASCII(strings.TrimPrefix(strings.ToLower(domain), "."))
	if err != nil || !mail.ValidHostname(name) {
		return nil, fmt.Errorf("%q is no domain", domain)
	}
	var keys []dkim.Key
	for spec := range strings.SplitSeq(value, ",") {
		words := strings.Fields(spec)
		if len(words) != 2 {
			return nil, fmt.Errorf("%q: a key is written SELECTOR FILE, several with commas in between", strings.TrimSpace(spec))
		}
		selector, file := words[0], words[1]
		if !mail.ValidHostname(selector + "._domainkey." + name) {
			return nil, fmt.Errorf("%q is no selector", selector)
		}
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("%s: not an absolute file name", file)
		}
		private, err := k.open(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, dkim.Key{Domain: name, Selector: strings.ToLower(selector), Private: private})
	}
	return keys, nil
}

// open reads a file once.
func (k *signingKeys) open(file string) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.read[file]; key != nil {
		return key, nil
	}
	key, err := k.files.open(file)
	if err == nil {
		k.read[file] = key
	}
	return key, err
}
