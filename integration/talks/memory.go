package talks

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Pipe is a connection in memory between two addresses. Unlike net.Pipe's it has buffers
// without limit, so that nobody waits for a reader, and each half can be closed alone.
func Pipe(client, server *net.TCPAddr) (near, far net.Conn) {
	up, down := newStream(), newStream()
	return &memConn{r: down, w: up, local: client, remote: server}, &memConn{r: up, w: down, local: server, remote: client}
}

// stream is one direction.
type stream struct {
	mu     sync.Mutex // guards what follows
	change *sync.Cond
	data   []byte
	ended  bool // nothing more is written
	broken bool // nobody reads any more
	until  time.Time
	timer  *time.Timer
}

func newStream() *stream {
	s := new(stream)
	s.change = sync.NewCond(&s.mu)
	return s
}

type memConn struct {
	r, w          *stream
	local, remote *net.TCPAddr
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) Read(p []byte) (int, error) {
	s := c.r
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case len(p) == 0:
			return 0, nil
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.ended:
			return 0, io.EOF
		case !s.until.IsZero() && !time.Now().Before(s.until):
			return 0, os.ErrDeadlineExceeded
		}
		s.change.Wait()
	}
}

func (c *memConn) Write(p []byte) (int, error) {
	s := c.w
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.broken {
		return 0, io.ErrClosedPipe
	}
	s.data = append(s.data, p...)
	s.change.Broadcast()
	return len(p), nil
}

// CloseWrite ends what the other side reads.
func (c *memConn) CloseWrite() error {
	c.w.end(false)
	return nil
}

func (c *memConn) Close() error {
	c.w.end(false)
	c.r.end(true)
	return nil
}

func (s *stream) end(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.broken = true, s.broken || broken
	if s.timer != nil {
		s.timer.Stop()
	}
	s.change.Broadcast()
}

func (c *memConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline does nothing: a write does not wait.
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

func (c *memConn) SetReadDeadline(t time.Time) error {
	s := c.r
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.until = t
	if !t.IsZero() && !s.ended {
		s.timer = time.AfterFunc(max(0, time.Until(t)), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.change.Broadcast()
		})
	}
	s.change.Broadcast()
	return nil
}

// Listener hands over connections in memory.
type Listener struct {
	addr  *net.TCPAddr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewListener listens at an address that no other process can see.
func NewListener(addr *net.TCPAddr) *Listener {
	return &Listener{addr: addr, conns: make(chan net.Conn, 16), done: make(chan struct{})}
}

// Dial connects from an address.
func (l *Listener) Dial(client *net.TCPAddr) (net.Conn, error) {
	near, far := Pipe(client, l.addr)
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial; connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }
