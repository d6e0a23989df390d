package dkim

import "bytes"

// The canonical forms (RFC 6376 section 3.4).

// form is one of them.
type form uint8

const (
	simple form = iota
	relaxed
	numForms
)

func (f form) String() string { return [...]string{"simple", "relaxed"}[f] }

// formOf reads a word of c=.
func formOf(word string) (form, bool) {
	switch word {
	case "simple":
		return simple, true
	case "relaxed":
		return relaxed, true
	}
	return 0, false
}

// appendField appends a field in a canonical form, with its line end.
func (f form) appendField(b []byte, raw []byte) []byte {
	if f == simple {
		return append(b, raw...)
	}
	name, value, _ := bytes.Cut(raw, []byte{':'})
	b = append(b, lower(string(bytes.Trim(name, " \t\r\n")))...)
	b = append(b, ':')
	start, space := len(b), false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ' ' || c == '\t':
			space = true
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++ // a fold, or the end
		default:
			if space && len(b) > start {
				b = append(b, ' ')
			}
			space = false
			b = append(b, c)
		}
	}
	return append(b, "\r\n"...)
}

// body passes the canonical form of a body on to out, which keeps nothing of what it is
// given. Whatever comes, it needs a fixed amount of memory: line ends that may be the last
// ones are counted.
type body struct {
	form form
	out  func([]byte)

	ends  int  // line ends that are held back
	cr    bool // so is a CR
	space bool // and, relaxed, whitespace
	any   bool // something was passed on
	n     int  // of buf
	buf   [4 << 10]byte
}

// Write takes a part of the body.
func (b *body) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		c := p[i]
		switch {
		case c == '\n' && b.cr:
			b.cr, b.space = false, false
			b.ends++
			i++
		case b.cr:
			b.cr = false
			b.text([]byte{'\r'}) // a CR that is none of a line end
		case c == '\r':
			b.cr = true
			i++
		case b.form == relaxed && (c == ' ' || c == '\t'):
			b.space = true
			i++
		default:
			end := i + 1
			for end < len(p) && p[end] != '\r' && (b.form == simple || p[end] != ' ' && p[end] != '\t') {
				end++
			}
			b.text(p[i:end])
			i = end
		}
	}
	return len(p), nil
}

// text passes on bytes that are no line end, and what was held back before them.
func (b *body) text(p []byte) {
	for ; b.ends > 0; b.ends-- {
		b.put([]byte("\r\n"))
	}
	if b.space {
		b.space = false
		b.put([]byte{' '})
	}
	b.put(p)
}

func (b *body) put(p []byte) {
	b.any = true
	for len(p) > 0 {
		if b.n == len(b.buf) {
			b.flush()
		}
		n := copy(b.buf[b.n:], p)
		b.n += n
		p = p[n:]
	}
}

func (b *body) flush() {
	b.out(b.buf[:b.n])
	b.n = 0
}

// Close ends the body: in the place of all line ends there is one. A body without anything
// else is that line end when simple, and nothing when relaxed.
func (b *body) Close() error {
	if b.cr {
		b.cr = false
		b.text([]byte{'\r'})
	}
	if b.any || b.form == simple {
		b.put([]byte("\r\n"))
	}
	b.flush()
	return nil
}
