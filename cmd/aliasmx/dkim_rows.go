package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"golang.org/x/net/idna"

	"aliasmx/internal/mailauth/dkim"
)

// A table that is read again as it changes (texthash, hash) may name keys that no reload has
// seen, and that no reload would have taken. What a domain signed with before stays in use.

// maxKeptRows bounds the rows of dkim_keys that are remembered, where a table has one for
// every domain that somebody asks about.
const maxKeptRows = 100_000

// keptRows are the rows of dkim_keys whose keys could be read, by the table's key, over all
// reloads. The zero keptRows is ready.
type keptRows struct {
	mu   sync.Mutex // guards good and told
	good map[string][]dkim.Key
	told map[string]string // the row that was warned of
}

// keep remembers the keys of a row.
func (k *keptRows) keep(row string, keys []dkim.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.good == nil {
		k.good, k.told = make(map[string][]dkim.Key), make(map[string]string)
	}
	if _, known := k.good[row]; known || len(k.good) < maxKeptRows {
		k.good[row] = keys
		delete(k.told, row)
	}
}

// instead are the keys that a row had before it had a value that cannot be used, or the error.
// It warns once of each value.
func (k *keptRows) instead(row, value string, err error, log *slog.Logger) ([]dkim.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := k.good[row]
	if len(keys) == 0 {
		return nil, err
	}
	if k.told[row] != value {
		k.told[row] = value
		log.Warn(fmt.Sprintf("dkim_keys: %s: %v; the keys that it had before stay in use", row, err))
	}
	return keys, nil
}

// rowOf is a key of the tables as all spellings of it have it.
func rowOf(key string) string {
	domain, below := strings.CutPrefix(strings.ToLower(key), ".")
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = a
	}
	if below {
		return "." + domain
	}
	return domain
}

// row is what a row of the tables that are in force stands for.
func (k *signingKeys) row(key, value string) ([]dkim.Key, error) {
	row := rowOf(key)
	keys, err := k.parse(key, value)
	if err != nil {
		return k.files.rows.instead(row, value, err, k.log)
	}
	k.files.rows.keep(row, keys)
	return keys, nil
}
