package wire

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"
)

// ErrInterrupted: Interrupt ended a wait.
var ErrInterrupted = errors.New("interrupted")

// Buffers are the buffers of connections that have something under way. A server has
// one Buffers for all its connections: most of them are waiting for their next command
// at any moment, and hold none.
type Buffers struct {
	readers, writers sync.Pool
}

// NewBuffers makes an empty pool.
func NewBuffers() *Buffers {
	b := new(Buffers)
	b.readers.New = func() any { return bufio.NewReaderSize(nil, bufferSize) }
	b.writers.New = func() any { return bufio.NewWriterSize(nil, bufferSize) }
	return b
}

// borrow gives a connection its buffers.
func (c *Conn) borrow() {
	c.r = c.buffers.readers.Get().(*bufio.Reader)
	c.w = c.buffers.writers.Get().(*bufio.Writer)
	c.r.Reset(waitReader{c})
	c.w.Reset(waitWriter{c})
}

// giveBack takes them away. The caller has made sure that they are empty, or that
// nobody wants what is in them.
func (c *Conn) giveBack() {
	c.r.Reset(nil)
	c.w.Reset(nil)
	c.buffers.readers.Put(c.r)
	c.buffers.writers.Put(c.w)
}

// Await waits until the peer has sent something, and holds no buffers meanwhile. It
// returns at once when something is here already. What Reader and Writer returned
// before is of no use after it.
func (c *Conn) Await() error {
	if c.r.Buffered() > 0 {
		return nil
	}
	if c.buffers == nil || c.w.Buffered() > 0 {
		_, err := c.r.Peek(1)
		return err
	}
	c.giveBack()
	n, err := waitReader{c}.Read(c.small[:])
	c.borrow()
	if n > 0 {
		c.ahead = c.small[:n]
		_, err = c.r.Peek(1) // takes all of it: the buffer is larger
	}
	return err
}

// Release closes the connection and gives its buffers back for good.
func (c *Conn) Release() error {
	if c.buffers != nil {
		c.giveBack()
		c.buffers = nil
		// Nothing is read or written any more; what tries, fails on the closed connection.
		c.r, c.w = bufio.NewReaderSize(waitReader{c}, 16), bufio.NewWriterSize(waitWriter{c}, 16)
	}
	return c.nc.Close()
}

// Linger lets a peer that is still sending see what was sent last: if a connection is
// closed while there is input that nobody has read, the peer's system throws away what
// its program has not read yet. It waits at most that long, and only if there is need.
func (c *Conn) Linger(wait time.Duration) {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || !c.Pending() || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(wait))
	io.CopyN(io.Discard, c.nc, lingerMost)
}

// lingerMost is how much is read for the sake of a peer that does not want to stop.
const lingerMost = 1 << 20

// Interrupt ends the wait for the peer that is under way, and all later ones, with
// ErrInterrupted. Writing goes on. It may be called from another goroutine.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	c.nc.SetReadDeadline(time.Unix(1, 0))
}
