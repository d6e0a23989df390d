package table

import (
	"context"
	"errors"
)

// Table is one lookup table, read only. It is safe for concurrent use.
type Table interface {
	// Lookup returns the value of a key. No such key is ("", false, nil). An error means
	// that the table could not answer: whoever asks must answer temporarily (451 4.3.0),
	// never as if the key did not exist. The key is folded to lower case by the table
	// where the type folds (hash, texthash, inline, static).
	Lookup(ctx context.Context, key string) (value string, found bool, err error)

	// Name is "type:argument" as the configuration names the table.
	Name() string

	Close() error
}

// Locator is a Table that knows where a key stands in its source, for explanations.
type Locator interface {
	// Locate returns "FILE, line N" of a key, "" when it is not known.
	Locate(key string) string
}

// Lister is a Table that can enumerate what it holds, in no particular order.
type Lister interface {
	Each(yield func(key, value string) bool) error
}

// ErrUnsupported is wrapped by the error of opening a table of a type we do not have.
var ErrUnsupported = errors.New("unsupported table type")
