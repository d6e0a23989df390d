package header

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

type lineKind uint8

const (
	lineUnknown   lineKind = iota // too little has come to tell
	lineField                     // "Name: ..."
	lineContinued                 // begins with whitespace: belongs to the field before
	lineMbox                      // "From sender date", above everything else
	lineEmpty                     // the end of the header
	lineOther                     // not a header line: the body begins without an empty line
)

// classify says what a line of the header is by its beginning, and a field's name.
// Whitespace between the name and its colon is tolerated (RFC 5322 section 4.5).
func classify(p []byte, top bool) (lineKind, []byte) {
	switch p[0] {
	case ' ', '\t':
		return lineContinued, nil
	case '\n':
		return lineEmpty, nil
	case '\r':
		if len(p) == 1 {
			return lineUnknown, nil
		}
		if p[1] == '\n' {
			return lineEmpty, nil
		}
		return lineOther, nil
	}
	if top {
		if kind := mbox(p); kind != lineOther {
			return kind, nil
		}
	}
	p = p[:min(len(p), maxStart)]
	end := 0 // of the name, once whitespace follows it
	for i, c := range p {
		switch {
		case c == ':' && i == 0:
			return lineOther, nil
		case c == ':' && end == 0:
			return lineField, p[:i]
		case c == ':':
			return lineField, p[:end]
		case c == ' ' || c == '\t':
			if end == 0 {
				end = i
			}
		case c < ' ' || c >= 0x7f || end > 0:
			return lineOther, nil
		}
	}
	if len(p) == maxStart {
		return lineOther, nil
	}
	return lineUnknown, nil
}

// mbox recognises the line that mbox files have above each message, also quoted with
// ">" by programs that meant well.
func mbox(p []byte) lineKind {
	p = p[:min(len(p), maxStart)]
	rest := bytes.TrimLeft(p, ">")
	const from = "From "
	switch {
	case bytes.HasPrefix(rest, []byte(from)):
		return lineMbox
	case len(rest) < len(from) && from[:len(rest)] == string(rest) && len(p) < maxStart:
		return lineUnknown
	}
	return lineOther
}

// fields are those that a message must have, and their Resent- forms.
type fields uint8

const (
	hasMessageID fields = 1 << iota
	hasDate
	hasFrom
	hasResentMessageID
	hasResentDate
	hasResentFrom
	hasResent // any of those and their relatives
)

// beginField takes notice of a field that begins. One that is dropped counts as well:
// cleanup(8) takes no field for missing that the message had, and a message with
// nothing but Resent-Bcc for one that was resent.
func (w *Writer) beginField(name []byte) {
	var buf [24]byte // longer than all that matter
	lower := buf[:copy(buf[:], name)]
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	switch string(lower) {
	case "received":
		w.hops++
	case "tls-required":
		w.value, w.ofTLS = make([]byte, 0, 16), true
	case "message-id":
		w.seen |= hasMessageID
		w.value, w.ofResent = w.valueBuf[:0], false
	case "date":
		w.seen |= hasDate
	case "from":
		w.seen |= hasFrom
	case "resent-message-id":
		w.seen |= hasResentMessageID
		w.value, w.ofResent = w.valueBuf[:0], true
	case "resent-date":
		w.seen |= hasResentDate
	case "resent-from":
		w.seen |= hasResentFrom
	}
	if rest, ok := bytes.CutPrefix(lower, []byte("resent-")); ok {
		switch string(rest) {
		case "bcc", "cc", "date", "from", "message-id", "reply-to", "sender", "to":
			w.seen |= hasResent
		}
	}
}

// endField takes the value of a Message-ID field that is complete now, and lets go a
// field that was held back.
func (w *Writer) endField() {
	w.judge()
	w.release()
	if w.value == nil {
		return
	}
	_, value, _ := bytes.Cut(w.value, []byte{':'})
	w.value = nil
	if w.ofTLS {
		w.ofTLS = false
		w.tlsOptional = w.tlsOptional || strings.EqualFold(oneLine(value), "No")
		return
	}
	w.addID(MessageID{Value: oneLine(value), Resent: w.ofResent})
}

// oneLine unfolds a field's value and makes it printable.
func oneLine(value []byte) string {
	value = bytes.Trim(value, " \t\r\n")
	if !bytes.ContainsFunc(value, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return string(value)
	}
	s := strings.ReplaceAll(string(value), "\r\n", "")
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) && c != ' ' {
			return '?'
		}
		return c
	}, strings.Trim(s, " \t\r\n"))
}
