package wire

import (
	"bufio"
	"bytes"
	"io"
)

// ChunkReader reads the octets of one BDAT chunk, exactly as many as were announced
// (RFC 3030 section 2). When the connection fails before that, the error is never
// io.EOF.
type ChunkReader struct {
	r    *bufio.Reader
	left int64
}

// NewChunkReader begins a chunk of size octets, which come from r.
func NewChunkReader(r *bufio.Reader, size int64) *ChunkReader {
	return &ChunkReader{r: r, left: size}
}

// Left is how many octets of the chunk have not been read.
func (c *ChunkReader) Left() int64 { return c.left }

// Read copies the next octets of the chunk.
func (c *ChunkReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WriteTo hands the rest of the chunk to w without copying it.
func (c *ChunkReader) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for c.left > 0 {
		if _, err := c.r.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return written, err
		}
		block, _ := c.r.Peek(int(min(int64(c.r.Buffered()), c.left)))
		n, err := w.Write(block)
		written += int64(n)
		c.r.Discard(len(block))
		c.left -= int64(len(block))
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// LineWriter makes the content of BDAT chunks what content of DATA is: all lines end in
// CRLF, also the last. A CRLF may be split between two chunks. Stray CRs stay, or
// become spaces with ReplaceStrayCR, as in DotReader.
type LineWriter struct {
	// BareLFs and StrayCRs count what was changed, Bytes what was written.
	BareLFs, StrayCRs int
	Bytes             int64

	w         io.Writer
	replaceCR bool
	cr        bool // a CR came last and has not been written yet
	open      bool // the last line has no line end yet
}

// NewLineWriter writes to w.
func NewLineWriter(w io.Writer, replaceStrayCR bool) *LineWriter {
	return &LineWriter{w: w, replaceCR: replaceStrayCR}
}

// Write takes the next octets.
func (l *LineWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if l.cr {
			l.cr = false
			if p[0] == '\n' {
				if err := l.endLine(); err != nil {
					return 0, err
				}
				p = p[1:]
				continue
			}
			if err := l.strayCR(); err != nil {
				return 0, err
			}
		}
		n := l.proper(p)
		if n > 0 {
			if err := l.put(p[:n]); err != nil {
				return 0, err
			}
			l.open = p[n-1] != '\n'
			p = p[n:]
			continue
		}
		if p[0] == '\r' {
			l.cr = true
		} else {
			l.BareLFs++
			if err := l.endLine(); err != nil {
				return 0, err
			}
		}
		p = p[1:]
	}
	return total, nil
}

// proper is how much of p can be written as it is: up to the first line end that is
// not CRLF, the first stray CR, or a CR at the end.
func (l *LineWriter) proper(p []byte) int {
	for pos := 0; ; {
		i := bytes.IndexByte(p[pos:], '\n')
		line := p[pos:]
		if i >= 0 {
			line = line[:i]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr < 0 && i < 0:
			return len(p)
		case cr < 0:
			return pos + i
		case cr < len(line)-1 || i < 0:
			return pos + cr
		}
		pos += i + 1
	}
}

// strayCR writes what becomes of a CR that no LF follows.
func (l *LineWriter) strayCR() error {
	l.open = true
	if !l.replaceCR {
		return l.put([]byte{'\r'})
	}
	l.StrayCRs++
	return l.put([]byte{' '})
}

func (l *LineWriter) endLine() error {
	l.open = false
	return l.put([]byte("\r\n"))
}

func (l *LineWriter) put(p []byte) error {
	n, err := l.w.Write(p)
	l.Bytes += int64(n)
	return err
}

// Close ends the last line.
func (l *LineWriter) Close() error {
	if l.cr {
		l.cr = false
		if err := l.strayCR(); err != nil {
			return err
		}
	}
	if l.open {
		return l.endLine()
	}
	return nil
}
