package arc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// field is a header field as it stands in the message, with CRLF line ends.
type field struct {
	name string // in lower case; "" for a line that is no field
	raw  []byte
	// canonical is the relaxed form once it was needed.
	canonical []byte
}

func (f *field) relaxed() []byte {
	if f.canonical == nil {
		f.canonical = appendRelaxed(nil, f.raw)
	}
	return f.canonical
}

// value is what stands behind the colon.
func (f *field) value() []byte {
	_, v, _ := bytes.Cut(f.raw, []byte{':'})
	return v
}

// bufferFor is the size of a buffer to read a message with: not more than there is of it,
// where it can tell that (as a bytes.Reader can).
func bufferFor(r io.Reader) int {
	const most = 32 << 10
	if left, ok := r.(interface{ Len() int }); ok {
		return min(left.Len(), most)
	}
	return most
}

// errHeaderSize is a header that is longer than it may be.
var errHeaderSize = errors.New("the header is too long")

// maxFields is how many fields a header may have: each takes some memory, however short.
const maxFields = 10000

// readHeader reads the fields of a message, up to and with the empty line that ends them.
// With errHeaderSize, those before the limit are returned.
func readHeader(r *bufio.Reader, limit int) ([]field, error) {
	var fields []field
	for size := 0; ; {
		line, err := readLine(r, limit-size)
		if err != nil && err != io.EOF {
			return fields, err
		}
		size += len(line)
		switch {
		case len(line) == 0 || string(line) == "\r\n":
			return fields, nil
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			last := &fields[len(fields)-1]
			last.raw = append(last.raw, line...)
		case len(fields) == maxFields:
			return fields, errHeaderSize
		default:
			fields = append(fields, field{name: fieldName(line), raw: line})
		}
	}
}

// readLine reads a line and gives it a CRLF line end; a CR within it becomes a space. At
// the end of the message it has what is left, "" for nothing.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return nil, errHeaderSize
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF || len(line) == 0 {
			return nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		for i, c := range line {
			if c == '\r' {
				line[i] = ' '
			}
		}
		return append(line, "\r\n"...), nil
	}
}

// fieldName is the name of the field that a line begins, "" if it begins none.
func fieldName(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return strings.ToLower(string(name))
}

// appendSigned appends the fields that an h= names, in its order, in canonical form. A name
// that stands there again means the next such field above (RFC 6376 section 5.4.2); one that
// has no field any more means nothing.
func appendSigned(b []byte, fields []field, names []string, relaxed bool) []byte {
	byName := make(map[string][]*field, len(fields))
	for i := range fields {
		f := &fields[i]
		byName[f.name] = append(byName[f.name], f)
	}
	for _, name := range names {
		left := byName[name]
		if name == "" || len(left) == 0 {
			continue
		}
		f := left[len(left)-1]
		byName[name] = left[:len(left)-1]
		if relaxed {
			b = append(b, f.relaxed()...)
		} else {
			b = append(b, f.raw...)
		}
	}
	return b
}
