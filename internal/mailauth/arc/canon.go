package arc

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

// Canonicalization, RFC 6376 section 3.4, and the hash over what it yields.

// appendRelaxed appends a header field in relaxed form, with its CRLF.
func appendRelaxed(b, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	b = append(b, bytes.ToLower(bytes.TrimRight(name, " \t\r\n"))...)
	b = append(b, ':')
	start, space := len(b), false
	for _, c := range value {
		switch c {
		case ' ', '\t', '\r', '\n':
			space = true
			continue
		}
		if space && len(b) > start {
			b = append(b, ' ')
		}
		b, space = append(b, c), false
	}
	return append(b, "\r\n"...)
}

// bodyBuffer is how much of a canonical body is gathered before it is hashed.
const bodyBuffer = 4096

// bodyHash hashes the canonical form of a body that is written to it.
type bodyHash struct {
	relaxed bool
	length  int64  // of the canonical body
	sum     []byte // once it has ended

	h     hash.Hash
	out   []byte
	ends  int  // line ends that have not been written: the last ones do not count
	space bool // relaxed: white space that has not been written
	cr    bool // the last byte was a CR
	some  bool // there is a line that is not empty
}

func newBodyHash(relaxed bool) *bodyHash {
	return &bodyHash{relaxed: relaxed, h: sha256.New(), out: make([]byte, 0, bodyBuffer)}
}

// Write takes the next part of the body.
func (b *bodyHash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if b.cr {
			b.cr = false
			if p[0] != '\n' {
				b.stray()
			}
		}
		switch c := p[0]; {
		case c == '\n':
			b.space = false
			b.ends++
		case c == '\r':
			b.cr = true
		case b.relaxed && (c == ' ' || c == '\t'):
			b.space = true
		default:
			end := bytes.IndexAny(p, b.special())
			if end < 0 {
				end = len(p)
			}
			b.text(p[:end])
			p = p[end:]
			continue
		}
		p = p[1:]
	}
	return n, nil
}

// special are the bytes at which a run of text ends.
func (b *bodyHash) special() string {
	if b.relaxed {
		return " \t\r\n"
	}
	return "\r\n"
}

// stray is a CR that is no line end: it leaves as a space (smtp(8) sends none), and is sealed so.
func (b *bodyHash) stray() {
	if b.relaxed {
		b.space = true
		return
	}
	b.text(nil)
	b.emitString(" ")
}

func (b *bodyHash) text(p []byte) {
	for ; b.ends > 0; b.ends-- {
		b.emitString("\r\n")
	}
	if b.space {
		b.space = false
		b.emitString(" ")
	}
	b.some = true
	b.emit(p)
}

// emitString is emit for a few bytes of our own.
func (b *bodyHash) emitString(s string) {
	b.length += int64(len(s))
	if len(b.out)+len(s) > cap(b.out) {
		b.h.Write(b.out)
		b.out = b.out[:0]
	}
	b.out = append(b.out, s...)
}

func (b *bodyHash) emit(p []byte) {
	b.length += int64(len(p))
	if len(b.out)+len(p) > cap(b.out) {
		b.h.Write(b.out)
		b.out = b.out[:0]
	}
	if len(p) > cap(b.out) {
		b.h.Write(p)
		return
	}
	b.out = append(b.out, p...)
}

// end ends the body: with one line end, but for a relaxed one of nothing.
func (b *bodyHash) end() {
	if b.cr {
		b.cr = false
		b.stray()
	}
	if b.ends, b.space = 0, false; b.some || !b.relaxed {
		b.emitString("\r\n")
	}
	b.h.Write(b.out)
	b.out = b.out[:0]
	b.sum = b.h.Sum(nil)
}
