package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxHeader is how much of a header is kept, in bytes. Mail has a few KiB of it; Postfix
// itself looks at 100 KiB of one field. In a longer one nothing can be verified, since what
// lies beyond could be a second From.
const maxHeader = 512 << 10

// maxFields is how many fields of it: what is known of one costs more than a short one.
const maxFields = 10000

// field is one field of a header.
type field struct {
	name string // in lower case, without whitespace around it; "" where there is no colon
	raw  []byte // whole, with its line ends
}

// value is what follows the colon.
func (f field) value() []byte {
	_, value, _ := bytes.Cut(f.raw, []byte{':'})
	return value
}

// errLongHeader: there is more header than maxHeader.
var errLongHeader = errors.New("the header is too long")

// readHeader reads the fields of a message and leaves the body in r. A header that nothing
// ends has no body.
func readHeader(r *bufio.Reader) ([]field, error) {
	var raw []byte // of all fields; they share it
	var starts []int
	for begin := 0; ; {
		part, err := r.ReadSlice('\n')
		raw = append(raw, part...)
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, err
		}
		line := raw[begin:]
		if len(line) == 0 || string(line) == "\r\n" {
			raw = raw[:begin]
			break
		}
		if len(raw) > maxHeader || len(starts) > maxFields {
			return nil, errLongHeader
		}
		if err != io.EOF && !bytes.HasSuffix(line, []byte("\r\n")) {
			continue // a long line, or a lone LF, which ends none
		}
		if len(starts) == 0 || line[0] != ' ' && line[0] != '\t' {
			starts = append(starts, begin)
		}
		begin = len(raw)
	}
	return split(raw, starts), nil
}

func split(raw []byte, starts []int) []field {
	fields := make([]field, len(starts))
	for i, start := range starts {
		end := len(raw)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		fields[i].raw = raw[start:end:end]
		if name, _, found := bytes.Cut(fields[i].raw, []byte{':'}); found {
			fields[i].name = lower(string(bytes.Trim(name, " \t\r\n")))
		}
	}
	return fields
}

// index finds fields by name, from the bottom upwards.
type index map[string][]int

func makeIndex(fields []field) index {
	x := make(index)
	for i, f := range fields {
		x[f.name] = append(x[f.name], i)
	}
	return x
}

// pick returns the fields that h= names, in its order: each time that a name stands there,
// the next one further up (RFC 6376 section 5.4.2). Names without a field add nothing. The
// signature itself is none of them: when it was made, it was not there.
func (x index) pick(names []string, self int, yield func(i int)) {
	taken := make(map[string]int, len(names))
	for _, name := range names {
		name = lower(name)
		list, n := x[name], taken[name]
		if n < len(list) && list[len(list)-1-n] == self {
			n++
		}
		if n < len(list) && name != "" {
			yield(list[len(list)-1-n])
			n++
		}
		taken[name] = n
	}
}

// lower folds ASCII alone: names of fields and domains are that, and no other byte may
// become the same as one of theirs.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// bufferFor is the size of a buffer to read a message with: not more than there is of it,
// where it can tell that (as a bytes.Reader can).
func bufferFor(r io.Reader) int {
	const most = 16 << 10
	if left, ok := r.(interface{ Len() int }); ok {
		return min(left.Len(), most)
	}
	return most
}

// crlfReader makes a file with LF line ends what it was on the wire. A message whose first
// line ends in CRLF is left as it is: there a lone LF is no line end.
func crlfReader(r io.Reader) *bufio.Reader {
	b := bufio.NewReaderSize(r, bufferFor(r))
	start, _ := b.Peek(b.Size())
	if i := bytes.IndexByte(start, '\n'); i == 0 || i > 0 && start[i-1] != '\r' {
		return bufio.NewReaderSize(&lfReader{r: b}, 16<<10)
	}
	return b
}

// lfReader reads lines that end in LF, or CRLF, as lines that end in CRLF.
type lfReader struct {
	r    *bufio.Reader
	cr   bool // the last byte was a CR
	owed bool // an LF is to follow
}

func (l *lfReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if l.owed {
			l.owed, l.cr = false, false
			p[n] = '\n'
			n++
			continue
		}
		if n > 0 && l.r.Buffered() == 0 {
			return n, nil
		}
		c, err := l.r.ReadByte()
		if err != nil {
			return n, err
		}
		if c == '\n' && !l.cr {
			l.owed, c = true, '\r'
		}
		l.cr = c == '\r' && !l.owed
		p[n] = c
		n++
	}
	return n, nil
}
