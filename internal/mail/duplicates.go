package mail

import "bytes"

// Duplicates remembers the recipients of one message, so that none gets it twice
// (postconf(5): duplicate_filter_limit, enable_original_recipient). It is used by one
// goroutine.
type Duplicates struct {
	limit      int
	byOriginal bool

	// Most messages have one recipient: it is only put into the table when a second comes.
	any   bool
	first Recipient
	seen  map[string]struct{}
	key   []byte
}

// NewDuplicates remembers at most limit recipients (0: all). byOriginal is
// enable_original_recipient: the same mailbox reached by two aliases, or asked for
// with other DSN parameters, is then two recipients.
func NewDuplicates(limit int, byOriginal bool) *Duplicates {
	return &Duplicates{limit: limit, byOriginal: byOriginal}
}

// Seen tells whether a recipient came before, and remembers it. Case makes no
// difference. Once the limit is reached nothing more is remembered: a recipient may
// then get a message twice, but none is lost.
func (d *Duplicates) Seen(r *Recipient) bool {
	if !d.any {
		d.any, d.first = true, *r
		return false
	}
	if d.seen == nil {
		d.seen = make(map[string]struct{})
		d.makeKey(&d.first)
		d.seen[string(d.key)] = struct{}{}
	}
	d.makeKey(r)
	if _, ok := d.seen[string(d.key)]; ok {
		return true
	}
	if d.limit == 0 || len(d.seen) < d.limit {
		d.seen[string(d.key)] = struct{}{}
	}
	return false
}

// Forget makes a recipient one that has not come.
func (d *Duplicates) Forget(r *Recipient) {
	d.makeKey(r)
	if d.seen != nil {
		delete(d.seen, string(d.key))
		return
	}
	gone := string(d.key)
	if d.makeKey(&d.first); d.any && string(d.key) == gone {
		d.any = false
	}
}

// makeKey makes what two recipients have in common that are the same.
func (d *Duplicates) makeKey(r *Recipient) {
	b := d.key[:0]
	if d.byOriginal {
		b = append(append(b, r.ORcpt...), '\n', '0'+byte(r.Notify&^NotifyExpanded), '\n')
		b = append(r.Orig.appendInternal(b), '\n')
	}
	b = r.Final.appendInternal(b)
	for i, c := range b {
		if c >= 0x80 {
			b = bytes.ToLower(b)
			break
		}
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	d.key = b
}
