package checks

import (
	"bytes"
	"strings"
)

// Header fields: a field is held until it ends or is too long, and then decided about as a
// whole.

// part is what a line belongs to.
type part uint8

const (
	inPrimary   part = iota // the header of the message
	inMultipart             // the header of a part of it
	inNested                // the header of a message in it
	inBody
)

// field is the header field under way.
type field struct {
	state fieldState
	name  string // in lower case
	// raw are its bytes, as long as it is held. prefix is what it would have in front of
	// them had it gone through smtpd(8).
	raw    []byte
	prefix string
}

type fieldState uint8

const (
	fieldNone    fieldState = iota // none is under way
	fieldHeld                      // not decided about
	fieldPassed                    // the rest of it passes
	fieldDropped                   // the rest of it goes no further
)

// mboxName is what smtpd(8) and sendmail(1) make a field of a line of mbox files with.
const mboxName = "X-Mailbox-Line"

// inHeader takes a piece of a header. It tells whether it was that: otherwise the header
// has ended before it, or with it if it is the empty line, and it is of the body.
func (f *Filter) inHeader(raw, text []byte, first bool) bool {
	if f.field.state != fieldNone {
		if !first || len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
			f.more(raw)
			return true
		}
		f.endField()
	}
	if !first {
		return false // of a long boundary
	}
	if f.part == inPrimary && f.top && isMbox(text) {
		f.begin(mboxName, mboxName+": ")
		f.more(raw)
		return true
	}
	if name := fieldName(text); name != "" {
		f.begin(name, "")
		f.more(raw)
		return true
	}
	f.endHeader(len(text) == 0 && !f.inLine)
	return false
}

// begin begins a field.
func (f *Filter) begin(name, prefix string) {
	name = strings.ToLower(name)
	f.field = field{state: fieldHeld, name: name, prefix: prefix, raw: f.field.raw[:0]}
	if f.part == inPrimary && name == "received" {
		f.hops++
	}
	f.top = f.top && prefix != ""
	tables, _ := f.tablesOf(name)
	if f.over || len(tables) == 0 && (name != "content-type" || f.o.DisableMIME) {
		f.field.state = fieldPassed
	}
}

// more takes more of the field under way.
func (f *Filter) more(p []byte) {
	if f.field.state == fieldHeld {
		room := f.o.HeaderSizeLimit - len(f.field.raw)
		if !f.holdField(len(f.field.raw) + min(len(p), room)) {
			return
		}
		if len(p) <= room {
			f.field.raw = append(f.field.raw, p...)
			return
		}
		f.field.raw = append(f.field.raw, p[:room]...)
		p = p[room:]
		f.decide()
	}
	if f.field.state == fieldPassed {
		f.put(p)
	}
}

func (f *Filter) endField() {
	if f.field.state == fieldHeld {
		f.decide()
	}
	f.field.state = fieldNone
}

// decide looks a field up, and passes on what becomes of it.
func (f *Filter) decide() {
	raw := f.field.raw
	f.field.state = fieldPassed
	key := unfold(f.field.prefix, raw)
	if f.field.name == "content-type" && !f.o.DisableMIME {
		_, value, _ := strings.Cut(key, ":")
		f.contentType(value, key)
	}
	tables, parameter := f.tablesOf(f.field.name)
	value, found := f.lookup(tables, parameter, key)
	if !found {
		f.put(raw)
		return
	}
	switch r := f.act(contextHeader, parameter, key, value); {
	case r.drop:
		f.field.state = fieldDropped
	case r.replace != "":
		f.putLine(r.replace, true)
		f.field.state = fieldDropped
	default:
		f.put(raw)
	}
}

// tablesOf are the tables for a field, and their parameter. Fields that say how a message
// is made up are the business of mime_header_checks wherever they stand.
func (f *Filter) tablesOf(name string) ([]Table, string) {
	switch name {
	case "content-description", "content-disposition", "content-id", "content-transfer-encoding", "content-type", "mime-version":
		return f.o.MIME, "mime_header_checks"
	}
	switch f.part {
	case inMultipart:
		return f.o.MIME, "mime_header_checks"
	case inNested:
		return f.o.Nested, "nested_header_checks"
	}
	return f.o.Header, "header_checks"
}

// unfold is a field as tables are asked for it: its lines with newlines between them, and
// no white space before the colon.
func unfold(prefix string, raw []byte) string {
	var b strings.Builder
	b.Grow(len(prefix) + len(raw))
	b.WriteString(prefix)
	if prefix == "" {
		if name, rest, ok := bytes.Cut(raw, []byte{':'}); ok {
			b.Write(bytes.TrimRight(name, " \t"))
			b.WriteByte(':')
			raw = rest
		}
	}
	for i := 0; len(raw) > 0; i++ {
		line, rest, _ := bytes.Cut(raw, []byte{'\n'})
		if i > 0 {
			b.WriteByte('\n')
		}
		b.Write(bytes.TrimRight(line, "\r"))
		raw = rest
	}
	return b.String()
}

// fieldName is the name of the field that a line begins with, "" if it is none (RFC 5322
// sections 2.2 and 4.5).
func fieldName(line []byte) string {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return ""
	}
	name := bytes.TrimRight(line[:colon], " \t")
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return string(name)
}

func isMbox(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}
