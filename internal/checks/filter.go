package checks

import (
	"bytes"

	"aliasmx/internal/mail"
)

// From any split of the input to pieces of lines: a piece is a whole line with its end, or
// line_length_limit bytes of a longer one.

// Write takes the next bytes of the message.
func (f *Filter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && f.err == nil; {
		n := f.unseen(rest)
		if n > 0 {
			f.put(rest[:n])
		} else {
			n = f.gather(rest)
		}
		rest = rest[n:]
	}
	if f.err != nil {
		return 0, f.err
	}
	return len(p), nil
}

// Close ends the message. Its header may have no body, and its last line no end.
func (f *Filter) Close() error {
	f.flush()
	if f.tooDeep && f.refused == nil && !f.wanted.Discard {
		f.refuse(&mail.Status{Code: 550, Enhanced: mail.Code(5, 6, 0), Text: tooDeep})
	}
	return f.err
}

// Above passes the fields that are to stand above the message through the filter, and
// returns what became of them: cleanup(8) gets them as part of the message. It comes
// before the first Write.
func (f *Filter) Above(fields []byte) ([]byte, error) {
	var b bytes.Buffer
	dst := f.dst
	f.dst, f.top = &b, false
	_, err := f.Write(fields)
	f.flush()
	f.dst, f.top = dst, true
	return b.Bytes(), err
}

// flush ends the line and the field under way.
func (f *Filter) flush() {
	for len(f.line) > 0 {
		f.line = f.line[f.take(f.line):]
	}
	f.line, f.inLine = nil, false
	f.endField()
}

// unseen is how many of the bytes can go on without a look: those of a body that nobody
// asks about, up to the next line that may be a boundary.
func (f *Filter) unseen(p []byte) int {
	if len(f.line) > 0 {
		return 0
	}
	if f.over && f.part != inPrimary && f.field.state == fieldNone || f.part == inBody && len(f.within) == 0 && !f.checksBody() {
		return len(p)
	}
	if f.part != inBody || f.checksBody() {
		return 0
	}
	for i := 0; i < len(p); {
		if !f.inLine && p[i] == '-' {
			return i
		}
		lf := bytes.IndexByte(p[i:], '\n')
		if f.inLine = lf < 0; f.inLine {
			break
		}
		i += lf + 1
		if i == len(p) {
			break
		}
	}
	return len(p)
}

// gather takes bytes of the line under way and decides about it once there are enough of
// them. It returns how many it took.
func (f *Filter) gather(p []byte) int {
	most := f.o.LineLengthLimit + 2 // with the CRLF
	p = p[:min(len(p), most-len(f.line))]
	if lf := bytes.IndexByte(p, '\n'); lf >= 0 {
		p = p[:lf+1]
	}
	enough := p[len(p)-1] == '\n' || len(f.line)+len(p) == most
	if enough && len(f.line) == 0 {
		return f.take(p)
	}
	f.line = append(f.line, p...)
	for enough {
		// What is left of a line that was too long may hold its end.
		f.line = append(f.line[:0], f.line[f.take(f.line):]...)
		enough = bytes.IndexByte(f.line, '\n') >= 0
	}
	return len(p)
}

// take decides about the next piece in raw and returns its length.
func (f *Filter) take(raw []byte) int {
	text, ended := bytes.CutSuffix(raw, []byte{'\n'})
	if ended {
		text = bytes.TrimRight(text, "\r")
	}
	if most := f.o.LineLengthLimit; len(text) > most || !ended {
		ended = false
		raw = raw[:min(len(raw), most)]
		text = raw
	}
	first := !f.inLine
	f.inLine = !ended
	f.piece(raw, text, first)
	return len(raw)
}

// piece takes a piece of a line; raw is text with the line's end, if it has come. first
// tells whether the line begins with it.
func (f *Filter) piece(raw, text []byte, first bool) {
	if f.part != inBody && f.inHeader(raw, text, first) {
		return
	}
	if first {
		f.atBoundary(text)
	}
	f.inBody(raw, text, first)
}

// put passes bytes on.
func (f *Filter) put(p []byte) {
	if len(p) > 0 && f.err == nil && !f.dropped {
		_, f.err = f.dst.Write(p)
	}
}

// putLine passes a line of an action on. One that holds line ends becomes several, which
// in a field are continued.
func (f *Filter) putLine(text string, inField bool) {
	for i, line := range bytes.Split([]byte(text), []byte{'\n'}) {
		if i > 0 && inField && (len(line) == 0 || line[0] != ' ' && line[0] != '\t') {
			f.put([]byte{'\t'})
		}
		f.put(append(line, "\r\n"...))
	}
}
