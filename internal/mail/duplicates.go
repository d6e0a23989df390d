package mail

import (
	"strings"
	"unicode/utf8"
)

// Duplicates remembers the recipients of one message, so that none gets it twice
// (postconf(5): duplicate_filter_limit, enable_original_recipient). It is used by one
// goroutine.
type Duplicates struct {
	limit      int
	byOriginal bool
	seen       map[string]struct{}
	key        []byte // of the recipient asked for last: asking must not cost memory
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
	d.key = d.key[:0]
	if d.byOriginal {
		d.add(r.ORcpt)
		d.key = append(d.key, '\n', '0'+byte(r.Notify&^NotifyExpanded), '\n')
		d.addAddress(r.Orig)
		d.key = append(d.key, '\n')
	}
	d.addAddress(r.Final)
	if _, ok := d.seen[string(d.key)]; ok {
		return true
	}
	if d.limit == 0 || len(d.seen) < d.limit {
		if d.seen == nil {
			d.seen = make(map[string]struct{})
		}
		d.seen[string(d.key)] = struct{}{}
	}
	return false
}

// addAddress adds the internal form of an address to the key.
func (d *Duplicates) addAddress(a Address) {
	d.add(a.Local)
	if a.Domain != "" {
		d.key = append(d.key, '@')
		d.add(a.Domain)
	}
}

// add adds text in lower case to the key.
func (d *Duplicates) add(s string) {
	begin := len(d.key)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			d.key = append(d.key[:begin], strings.ToLower(s)...)
			return
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		d.key = append(d.key, c)
	}
}
