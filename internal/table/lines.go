package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a logical line, so that a file that is no table cannot fill the
// memory. An alias with a million targets still fits.
const maxLine = 64 << 20

// lineReader reads logical lines as Postfix's files have them: a line that begins
// with whitespace continues the one before; empty lines and lines whose first
// non-whitespace is # are not there at all, not even between a line and its
// continuation.
type lineReader struct {
	r    *bufio.Reader
	name string // for messages
	warn func(msg string)
	buf  []byte
	line int // physical lines read

	begun bool // the first logical line is behind us
}

// byteOrderMark is what some editors put before a text in UTF-8. It is no white space:
// it belongs to the first key, and nobody sees it.
const byteOrderMark = "\uFEFF"

func newLineReader(r io.Reader, name string, warn func(string)) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), name: name, warn: warn}
}

// next returns a logical line and the number of its first physical line, or io.EOF.
// The text is valid until the next call.
func (l *lineReader) next() (text []byte, line int, err error) {
	for {
		text, line, err = l.logical()
		if err != nil {
			return nil, 0, err
		}
		if i := bytes.IndexByte(text, 0); i >= 0 {
			l.warn(fmt.Sprintf("%s, line %d: text after null byte is ignored", l.name, line))
			if text = text[:i]; i == 0 {
				continue
			}
		}
		if !l.begun && line == 1 && strings.HasPrefix(string(text[:min(3, len(text))]), byteOrderMark) {
			l.warn(fmt.Sprintf("%s, line %d: the first key begins with a byte order mark: save the file without one", l.name, line))
		}
		l.begun = true
		if !isSpace(text[0]) {
			return text, line, nil
		}
		head, more := text, ""
		if len(head) > 30 {
			head, more = head[:30], "..."
		}
		// Before the first logical line Postfix has no number for it.
		where := l.name
		if line > 1 {
			where = fmt.Sprintf("%s, line %d", l.name, line)
		}
		l.warn(fmt.Sprintf(`%s: logical line must not start with whitespace: "%s%s"`, where, head, more))
	}
}

func (l *lineReader) logical() ([]byte, int, error) {
	l.buf = l.buf[:0]
	first := 0
	for {
		start := len(l.buf)
		end, err := l.physical()
		if err != nil {
			return nil, 0, err
		}
		if content := bytes.TrimLeft(l.buf[start:], spaces); len(content) == 0 || content[0] == '#' {
			l.buf = l.buf[:start]
		}
		if start == 0 {
			first = l.line
		}
		if end || len(l.buf) > 0 && !l.continues() {
			break
		}
	}
	if len(l.buf) == 0 {
		return nil, 0, io.EOF
	}
	return l.buf, first, nil
}

// physical appends one line to the buffer, without its newline, and tells whether
// the file ended.
func (l *lineReader) physical() (end bool, err error) {
	start := len(l.buf)
	for {
		piece, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, piece...)
		if len(l.buf) > maxLine {
			return false, fmt.Errorf("%s, line %d: line longer than %d bytes", l.name, l.line+1, maxLine)
		}
		switch {
		case err == nil:
			l.buf = l.buf[:len(l.buf)-1]
			l.line++
			return false, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(l.buf) > start {
				l.line++
			}
			return true, nil
		default:
			return false, &fileError{"read", l.name, err}
		}
	}
}

// continues tells whether the next physical line may belong to this one.
func (l *lineReader) continues() bool {
	next, err := l.r.Peek(1)
	return err == nil && (next[0] == '#' || isSpace(next[0]))
}

// spaces is what isspace(3) calls white.
const spaces = " \t\n\v\f\r"

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
