package wire

import (
	"bytes"
	"errors"
	"io"
)

// ErrChunk: the content is not what was announced for a chunk: another size, or line
// ends that are not CRLF. The octets that are missing of the chunk have not been sent.
var ErrChunk = errors.New("content does not fit its BDAT chunk")

// ChunkWriter writes the content of a message as the one chunk of BDAT n LAST (RFC 3030
// section 2), which is as long as the command has said: bytes beyond would be commands for
// the server, and with bytes missing it would take commands for content.
//
// It changes nothing, and so cannot make CRLF of what is none: the same rule as for a
// DotWriter, that no CR and no LF leaves but as CRLF, is kept by an error. The last octet
// waits for Close, so that content that turns out to be broken at its end is never whole.
//
// The zero value is to be Reset.
type ChunkWriter struct {
	w    io.Writer
	left int64 // octets of the chunk that have not come; -1: it has failed
	held bool  // the last one, an LF, has come and has not been written
	cr   bool  // the one before was a CR
}

// Reset begins a chunk of size octets on w.
func (c *ChunkWriter) Reset(w io.Writer, size int64) { *c = ChunkWriter{w: w, left: size} }

// Write sends a block of the message.
func (c *ChunkWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end := len(p) - 1
	last := int64(len(p)) == c.left
	if int64(len(p)) > c.left || last && p[end] != '\n' || !c.proper(p) {
		c.left = -1
		return 0, ErrChunk
	}
	c.left -= int64(len(p))
	c.cr, c.held = p[end] == '\r', last
	out := p
	if last {
		out = p[:end]
	}
	if len(out) > 0 {
		if _, err := c.w.Write(out); err != nil {
			c.left = -1
			return 0, err
		}
	}
	return len(p), nil
}

// proper tells whether each CR and each LF of a block is part of a CRLF, as far as the
// block shows.
func (c *ChunkWriter) proper(p []byte) bool {
	if c.cr && p[0] != '\n' {
		return false
	}
	pairs := 0
	for pos := 0; ; pairs++ {
		i := bytes.IndexByte(p[pos:], '\n')
		if i < 0 {
			break
		}
		pos += i
		if pos == 0 {
			if !c.cr {
				return false
			}
			pairs-- // its CR was in the block before
		} else if p[pos-1] != '\r' {
			return false
		}
		pos++
	}
	if p[len(p)-1] == '\r' {
		pairs++
	}
	return bytes.Count(p, []byte{'\r'}) == pairs
}

// Close ends the chunk. It does not flush.
func (c *ChunkWriter) Close() error {
	if c.left != 0 {
		return ErrChunk
	}
	if c.held {
		c.held = false
		_, err := c.w.Write([]byte{'\n'})
		return err
	}
	return nil
}
