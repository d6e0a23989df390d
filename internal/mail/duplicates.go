package mail

import "strings"

// Duplicates remembers the recipients of one message, so that none gets it twice
// (postconf(5): duplicate_filter_limit, enable_original_recipient). It is used by one
// goroutine.
type Duplicates struct {
	limit      int
	byOriginal bool
	seen       map[string]struct{}
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
	key := d.key(r)
	if _, ok := d.seen[key]; ok {
		return true
	}
	if d.limit == 0 || len(d.seen) < d.limit {
		if d.seen == nil {
			d.seen = make(map[string]struct{})
		}
		d.seen[key] = struct{}{}
	}
	return false
}

// Forget makes a recipient one that has not come.
func (d *Duplicates) Forget(r *Recipient) { delete(d.seen, d.key(r)) }

func (d *Duplicates) key(r *Recipient) string {
	key := r.Final.Internal()
	if d.byOriginal {
		key = r.ORcpt + "\n" + string('0'+rune(r.Notify&^NotifyExpanded)) + "\n" + r.Orig.Internal() + "\n" + key
	}
	return strings.ToLower(key)
}
