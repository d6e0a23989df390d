package pickup

import (
	"bytes"
	"io"
)

// content brings what a local program wrote into the form in which messages travel:
// CRLF line ends, each line with one. A CR that ends no line becomes a space: next hops
// disagree about what it means, and a message could be made to look like two there
// (postconf(5): cleanup_replace_stray_cr_lf).
type content struct {
	w      io.Writer
	size   int64 // bytes written
	out    []byte
	lastCR bool // a CR is held back: what it means is not known yet
	inLine bool // the line under way has bytes, a held CR not counted
}

func newContent(w io.Writer) *content { return &content{w: w} }

// Write takes any part of the message.
func (c *content) Write(p []byte) (int, error) {
	c.out = c.out[:0]
	for rest := p; len(rest) > 0; {
		switch b := rest[0]; {
		case b == '\n':
			c.endLine()
			rest = rest[1:]
			continue
		case c.lastCR: // and no LF after it
			c.lastCR = false
			c.put([]byte{' '})
			continue
		case b == '\r':
			c.lastCR = true
			rest = rest[1:]
			continue
		}
		n := bytes.IndexAny(rest, "\r\n")
		if n < 0 {
			n = len(rest)
		}
		c.put(rest[:n])
		rest = rest[n:]
	}
	return len(p), c.flush()
}

// Close ends the last line, if nobody has.
func (c *content) Close() error {
	c.out = c.out[:0]
	if c.inLine || c.lastCR {
		c.endLine()
	}
	return c.flush()
}

func (c *content) put(run []byte) {
	c.out = append(c.out, run...)
	c.inLine = true
}

func (c *content) endLine() {
	c.out = append(c.out, '\r', '\n')
	c.lastCR, c.inLine = false, false
}

func (c *content) flush() error {
	c.size += int64(len(c.out))
	_, err := c.w.Write(c.out)
	return err
}
