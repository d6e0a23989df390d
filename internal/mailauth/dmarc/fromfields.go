package dmarc

import (
	"bytes"
	"iter"
	"strings"
)

// fromFields gives the values of the From fields, folded as they are. A bare carriage return
// ends a line for some readers and not for others: what begins like a From field behind one
// is given as well.
func fromFields(header []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(header) > 0 {
			field, rest, empty := cutField(header)
			if empty {
				return
			}
			header = rest
			for more := true; more; {
				if value, ok := fromValue(field); ok && !yield(string(value)) {
					return
				}
				_, field, more = bytes.Cut(field, []byte{'\r'})
			}
		}
	}
}

// cutField takes the next field off a header, with its continued lines. empty: there is an
// empty line instead.
func cutField(header []byte) (field, rest []byte, empty bool) {
	for end := 0; ; {
		n := bytes.IndexByte(header[end:], '\n')
		line := header[end:]
		if n >= 0 {
			line = line[:n+1]
		}
		if end == 0 && len(bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))) == 0 {
			return nil, nil, true
		}
		if end > 0 && line[0] != ' ' && line[0] != '\t' {
			return header[:end], header[end:], false
		}
		if end += len(line); end == len(header) {
			return header, nil, false
		}
	}
}

// fromValue is what follows the colon of a From field.
func fromValue(field []byte) ([]byte, bool) {
	const name = "From"
	if len(field) < len(name) || !strings.EqualFold(string(field[:len(name)]), name) {
		return nil, false
	}
	return bytes.CutPrefix(bytes.TrimLeft(field[len(name):], " \t"), []byte{':'})
}
