// Package wire is SMTP as bytes, in both directions: lines, replies, the codecs of
// DATA and BDAT, limits and deadlines. The server (smtpd) and the client (delivery)
// both stand on it.
//
// Invariants. A failed read or write is final: what follows it is never parsed, so
// that a body cut off by a time-out cannot become commands. Every wait has a
// deadline. Nothing that comes from a peer grows memory beyond a stated bound.
//
// It knows no verb, no policy and no message; it logs nothing.
package wire

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// ErrLineTooLong: the peer sent a line longer than it may. The rest of the line has
// not been read; the connection is to be closed after the reply.
var ErrLineTooLong = errors.New("line too long")

const bufferSize = 16 << 10

// Conn is one SMTP connection, from either end. It is used by one goroutine; only
// Close and Interrupt may be called from another.
type Conn struct {
	nc      net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	timeout time.Duration // for each wait, reading or writing
	err     error         // sticky: the first failure of a read or write

	budget      budget      // for several waits together, see budget.go
	interrupted atomic.Bool // see Interrupt

	filter func(line []byte) ([]byte, error) // see FilterReplies
	whole  bool                              // see WholeReplies

	block  []byte // to be sent with what was collected, see blocks.go
	pair   [2][]byte
	vector net.Buffers // of pair

	buffers *Buffers // where r and w come from, nil: they are the connection's own
	ahead   []byte   // read by Await while there was no r
	small   [512]byte
	kernel  kernelSide // see Pending
}

// NewConn wraps a connection. Each single wait for the peer, in either direction, is
// at most timeout long; SetTimeout changes it.
func NewConn(nc net.Conn, timeout time.Duration) *Conn {
	c := &Conn{nc: nc, timeout: timeout}
	c.r = bufio.NewReaderSize(waitReader{c}, bufferSize)
	c.w = bufio.NewWriterSize(waitWriter{c}, bufferSize)
	return c
}

// NewPooledConn is NewConn with buffers that are given back while nothing is under way
// (Await), so that an idle connection costs little.
func NewPooledConn(nc net.Conn, timeout time.Duration, b *Buffers) *Conn {
	c := &Conn{nc: nc, timeout: timeout, buffers: b}
	c.borrow()
	return c
}

// SetTimeout sets how long each wait from now on may take.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout = d }

// NetConn is the connection below, as it is now (a *tls.Conn after StartTLS).
func (c *Conn) NetConn() net.Conn { return c.nc }

// Err is the first failure of a read or write, nil as long as there was none.
func (c *Conn) Err() error { return c.err }

// Buffered is how many bytes have come that nobody has read yet: what a client has
// pipelined. It does not wait.
func (c *Conn) Buffered() int { return c.r.Buffered() }

// HasLine tells whether a whole line is already here, so that reading it cannot wait.
func (c *Conn) HasLine() bool {
	b, _ := c.r.Peek(c.r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// ReadLine reads one line of at most max bytes and returns it without its CRLF or LF.
// The slice is valid until the next read. A line cut off by the end of input is
// io.ErrUnexpectedEOF; the end of input between lines is io.EOF.
func (c *Conn) ReadLine(max int) ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return c.readLongLine(line, max)
	}
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	line = trimEOL(line)
	if len(line) > max {
		return nil, ErrLineTooLong
	}
	return line, nil
}

// readLongLine goes on where the buffer was too small for the line.
func (c *Conn) readLongLine(begun []byte, max int) ([]byte, error) {
	long := append([]byte(nil), begun...)
	for len(long) <= max {
		part, err := c.r.ReadSlice('\n')
		long = append(long, part...)
		switch {
		case err == nil:
			if long = trimEOL(long); len(long) > max {
				return nil, ErrLineTooLong
			}
			return long, nil
		case err != bufio.ErrBufferFull:
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return nil, ErrLineTooLong
}

func trimEOL(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// Reader gives the codecs of this package and of BDAT the raw bytes.
func (c *Conn) Reader() *bufio.Reader { return c.r }

// Writer collects what is to be sent; Flush sends it.
func (c *Conn) Writer() *bufio.Writer { return c.w }

// WriteString adds to what is to be sent. Errors come from Flush.
func (c *Conn) WriteString(s string) { c.w.WriteString(s) }

// Flush sends what was collected.
func (c *Conn) Flush() error { return c.w.Flush() }

// StartTLSServer turns the connection into TLS as its server. It is an error if
// anything has come in the clear after STARTTLS: that is injection, not input
// (RFC 3207 section 6).
func (c *Conn) StartTLSServer(cfg *tls.Config, timeout time.Duration) error {
	if c.r.Buffered() > 0 {
		return errors.New("input in the clear after STARTTLS")
	}
	return c.handshake(tls.Server(c.nc, cfg), timeout)
}

// StartTLSClient turns the connection into TLS as its client. What the server said in the
// clear behind its reply is thrown away, as Postfix does: anybody may have put it there (RFC
// 3207 section 4.2), and it is no reason to do without TLS.
func (c *Conn) StartTLSClient(cfg *tls.Config, timeout time.Duration) error {
	c.r.Discard(c.r.Buffered())
	return c.handshake(tls.Client(c.nc, cfg), timeout)
}

// handshake does it without buffers: a peer may take its time, and then wait. What was to
// be sent in the clear and was not is dropped.
func (c *Conn) handshake(t *tls.Conn, timeout time.Duration) error {
	if c.buffers != nil {
		c.giveBack()
		defer c.borrow()
	} else {
		c.w.Reset(waitWriter{c})
	}
	t.SetDeadline(time.Now().Add(timeout))
	if err := elsewhere(t.Handshake); err != nil {
		c.err = err
		return err
	}
	t.SetDeadline(time.Time{})
	c.nc = t
	return nil
}

// elsewhere runs a step on a stack of its own and waits for it: a handshake takes a large
// one, which the connection would keep for as long as it idles. A panic comes back.
func elsewhere(step func() error) (err error) {
	var why any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { why = recover() }()
		err = step()
	}()
	<-done
	if why != nil {
		panic(why)
	}
	return err
}

// farewellTime is how long a peer may take for the last reply.
const farewellTime = 10 * time.Second

// Farewell sends what was collected although a read has failed: the reply that says
// why the connection ends. Nothing is read any more.
func (c *Conn) Farewell() error {
	failure := c.err
	c.err = nil
	c.timeout = min(c.timeout, farewellTime)
	err := c.w.Flush()
	c.err = failure
	return err
}

// Close ends the connection without sending what was not flushed.
func (c *Conn) Close() error { return c.nc.Close() }

// waitReader and waitWriter put a deadline on each wait and make errors sticky.
type waitReader struct{ c *Conn }

func (r waitReader) Read(p []byte) (int, error) {
	c := r.c
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	if c.err != nil {
		return 0, c.err
	}
	start := time.Now()
	wait := c.budget.allow(c.timeout)
	if wait <= 0 {
		c.err = os.ErrDeadlineExceeded
		return 0, c.err
	}
	c.nc.SetReadDeadline(start.Add(wait))
	if c.interrupted.Load() { // after the deadline is set: Interrupt sets its own after the flag
		c.err = ErrInterrupted
		return 0, c.err
	}
	n, err := c.nc.Read(p)
	c.budget.spend(time.Since(start), n)
	if err != nil {
		if c.interrupted.Load() {
			err = ErrInterrupted
		}
		c.err = err
	}
	return n, err
}

type waitWriter struct{ c *Conn }

func (w waitWriter) Write(p []byte) (int, error) {
	if w.c.err != nil {
		return 0, w.c.err
	}
	w.c.nc.SetWriteDeadline(time.Now().Add(w.c.timeout))
	n, err := 0, error(nil)
	if w.c.block == nil {
		n, err = w.c.nc.Write(p)
	} else {
		n, err = w.c.writeWith(p)
	}
	if err != nil {
		w.c.err = err
	}
	return n, err
}

// IsTimeout tells whether err is a deadline that passed.
func IsTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
