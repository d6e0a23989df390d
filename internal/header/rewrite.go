package header

import (
	"bytes"
	"slices"
	"strings"

	"aliasmx/internal/mail"
)

// Rewriting of the addresses in a field, as cleanup(8) does it for what is submitted
// and smtp(8) for what it sends. The field is held back until it has ended; nothing
// else is.

// role says whose addresses a field holds.
type role uint8

const (
	noAddresses role = iota
	ofSenders
	ofRecipients
)

// roleOf knows the address fields by name (lower case).
func roleOf(name string) role {
	switch name {
	case "disposition-notification-to", "errors-to", "from", "mail-followup-to", "reply-to",
		"resent-from", "resent-sender", "return-path", "return-receipt-to", "sender":
		return ofSenders
	case "apparently-to", "bcc", "cc", "resent-bcc", "resent-cc", "resent-reply-to", "resent-to", "to":
		return ofRecipients
	}
	return noAddresses
}

const (
	defaultSizeLimit = 102400 // header_size_limit
	longestName      = len("disposition-notification-to")
)

// rewriter holds an address field that has begun.
type rewriter struct {
	role  role   // noAddresses: nothing is held
	field []byte // from the name on
}

// hold begins to hold a field back if it is one to be rewritten.
func (w *Writer) hold(name []byte) {
	w.held.role = noAddresses
	if w.o.Rewrite == nil || w.dropping || len(name) > longestName {
		return
	}
	w.held.role = roleOf(strings.ToLower(string(name)))
	w.held.field = w.held.field[:0]
}

// keep takes more of the field that is held. One that is longer than header_size_limit
// goes on as it is.
func (w *Writer) keep(p []byte) {
	limit := w.o.HeaderSizeLimit
	if limit <= 0 {
		limit = defaultSizeLimit
	}
	if len(w.held.field)+len(p) > limit {
		w.held.role = noAddresses
		w.put(w.held.field)
		w.held.field = nil
		w.put(p)
		return
	}
	w.held.field = append(w.held.field, p...)
}

// release passes on the field that was held, rewritten if an address in it changed.
func (w *Writer) release() {
	if w.held.role == noAddresses {
		return
	}
	field, err := w.rewrite(w.held.field, w.held.role == ofSenders)
	w.held.role = noAddresses
	if err != nil && w.err == nil {
		w.err = err
	}
	w.put(field)
}

// rewrite returns the field as it is when no address in it changed.
func (w *Writer) rewrite(field []byte, sender bool) ([]byte, error) {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 || !bytes.HasSuffix(field, []byte("\r\n")) || bytes.IndexByte(field, 0) >= 0 {
		return field, nil // cannot be
	}
	value := strings.ReplaceAll(string(field[colon+1:len(field)-2]), "\r\n", "\n")
	list := parse(value, w.o.TokenLimit)
	changed := false
	for i := range list {
		t := &list[i]
		if t.kind != tokAddress {
			continue
		}
		spelled := spelling(t.address)
		addr := w.address(t.address, spelled)
		to, err := w.o.Rewrite(addr, sender)
		if err != nil {
			return nil, err
		}
		t.text = external(to)
		if w.o.KeepSpelling {
			changed = changed || to != addr
		} else {
			changed = changed || t.text != spelled
		}
	}
	if !changed {
		return field, nil
	}
	name := bytes.TrimRight(field[:colon], " \t")
	b := append(slices.Clone(name), ": "...)
	if b = fold(appendList(b, list)); !w.eightBit {
		w.eightBit = slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
	}
	return b, nil
}

// address reads an address. Two words that have come together in it, as in <"a" "b"@c>,
// are two for cleanup(8), which reads the spelling, and one for smtp(8).
func (w *Writer) address(tokens []token, spelled string) mail.Address {
	if w.o.KeepSpelling {
		return toAddress(tokens, false)
	}
	return toAddress(scan(spelled, 0), true)
}
