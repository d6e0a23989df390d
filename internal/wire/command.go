package wire

import (
	"bufio"
	"io"
)

// Line is one command line as ReadCommand found it.
type Line struct {
	Text []byte // without its line end; valid until the next read
	// Cut: the line was longer than it may be, and its rest has been thrown away.
	Cut bool
	// BareLF: the line ended in LF alone.
	BareLF bool
}

// ReadCommand reads one line and keeps at most max bytes of it. The rest of a longer
// line is read and thrown away, so that the next command begins where it should:
// memory is bounded by max, time by the budget (SetBudget). Errors are those of
// ReadLine.
func (c *Conn) ReadCommand(max int) (Line, error) {
	part, err := c.r.ReadSlice('\n')
	if err == nil {
		n := len(part)
		return endLine(part, n, n > 1 && part[n-2] == '\r', max), nil
	}
	var (
		kept       []byte
		length     int
		prev, last byte // the last two bytes of the line so far
	)
	for {
		kept = append(kept, part[:min(len(part), max-len(kept))]...)
		length += len(part)
		switch n := len(part); {
		case n > 1:
			prev, last = part[n-2], part[n-1]
		case n == 1:
			prev, last = last, part[0]
		}
		if err == nil {
			return endLine(kept, length, prev == '\r', max), nil
		}
		if err != bufio.ErrBufferFull {
			if err == io.EOF && length > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Line{}, err
		}
		part, err = c.r.ReadSlice('\n')
	}
}

// endLine takes the line end off a line of the given length, of which kept holds the
// beginning.
func endLine(kept []byte, length int, crlf bool, max int) Line {
	l := Line{BareLF: !crlf}
	if length--; crlf {
		length--
	}
	if l.Cut = length > max; l.Cut {
		length = max
	}
	l.Text = kept[:length]
	return l
}
