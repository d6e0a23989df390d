package dbtable

import (
	"fmt"
	"strings"
)

// maxResultBytes bounds what one key may expand to.
const maxResultBytes = 16 << 20

// Result joins the values that a server gives for a key.
type Result struct {
	key       Key
	templates *Templates
	format    Template
	limit     int // expansion_limit; 0: none
	warn      func(msg string)

	joined strings.Builder
	n      int
}

// Key is what is asked for.
func (r *Result) Key() Key { return r.key }

// Reset forgets what was added, to begin anew with another server.
func (r *Result) Reset() {
	r.joined.Reset()
	r.n = 0
}

// Add takes one value. An error ends the lookup: the key expands to more than it may.
func (r *Result) Add(value string) error {
	if value == "" {
		r.warn(fmt.Sprintf("empty lookup result for: %q -- ignored", r.key.whole))
		return nil
	}
	text, ok := r.templates.result(r.format, value, r.key)
	if !ok {
		return nil
	}
	if r.joined.Len() > 0 {
		r.joined.WriteByte(',')
	}
	if r.n++; r.limit > 0 && r.n > r.limit {
		return fmt.Errorf("expansion_limit (%d) exceeded for key %q", r.limit, r.key.whole)
	}
	if r.joined.Len()+len(text) > maxResultBytes {
		return fmt.Errorf("the result for key %q is longer than %d bytes", r.key.whole, maxResultBytes)
	}
	r.joined.WriteString(text)
	return nil
}

// value is the joined result; without text there is none.
func (r *Result) value() (string, bool) { return r.joined.String(), r.joined.Len() > 0 }
