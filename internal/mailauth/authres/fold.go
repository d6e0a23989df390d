package authres

import "strings"

// folder writes words into lines of at most width where that can be. A word that is too long
// for a line, a comment or a text in quotes, is folded at a space inside it, which stays:
// whoever unfolds gets the same text (RFC 5322 section 2.2.3).
type folder struct {
	b      []byte
	column int
}

// line begins a new line.
func (w *folder) line() {
	w.b = append(w.b, "\r\n\t"...)
	w.column = 8
}

// word appends a word, and a space or a line end before it.
func (w *folder) word(s string) {
	switch c := w.b[len(w.b)-1]; {
	case c == ' ' || c == '\t':
	case w.column+1+len(s) <= width:
		w.b = append(w.b, ' ')
		w.column++
	default:
		w.line()
	}
	for w.column+len(s) > width {
		// Not at the first byte: after a fold that is the space the line begins with.
		i := strings.LastIndexByte(s[1:max(width-w.column, 1)], ' ')
		if i < 0 {
			i = strings.IndexByte(s[1:], ' ')
		}
		if i < 0 {
			break
		}
		w.b = append(append(w.b, s[:1+i]...), "\r\n"...)
		s, w.column = s[1+i:], 0
	}
	w.b = append(w.b, s...)
	w.column += len(s)
}
