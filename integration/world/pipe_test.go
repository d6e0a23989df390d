package world

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A connection in memory, as TCP has it: with a buffer each way, with deadlines, which are
// in virtual time, and with ends that are sudden or orderly.

// window is how many bytes may be under way in one direction.
const window = 64 << 10

// stream is one direction.
type stream struct {
	mu      sync.Mutex // guards what follows
	bytes   []byte
	ended   bool          // the writer has closed: after the bytes comes EOF
	deaf    bool          // the reader has closed
	reset   bool          // the connection is broken
	changed chan struct{} // closed at the next change
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// deadline is closed when its time has come.
type deadline struct {
	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	version int
	passed  chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.version++
	select {
	case <-d.passed:
		d.passed = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	version := d.version
	end := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.version == version {
			close(d.passed)
		}
	}
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, end)
	} else {
		close(d.passed)
	}
}

func (d *deadline) wait() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// pipe is one end of a connection.
type pipe struct {
	in, out          *stream
	reading, writing deadline
	local, remote    *net.TCPAddr
	closed           chan struct{}
	closing          sync.Once
	whenClosed       func()
}

// newPipe makes both ends of a connection from client to server. over is called when
// either end is closed.
func newPipe(client, server *net.TCPAddr, over func()) (c, s *pipe) {
	up, down := newStream(), newStream()
	end := func(in, out *stream, local, remote *net.TCPAddr) *pipe {
		p := &pipe{in: in, out: out, local: local, remote: remote, closed: make(chan struct{}), whenClosed: over}
		p.reading.passed, p.writing.passed = make(chan struct{}), make(chan struct{})
		return p
	}
	return end(down, up, client, server), end(up, down, server, client)
}

func (p *pipe) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: p.local, Addr: p.remote, Err: err}
}

// await waits for a change. It returns what ended the wait otherwise.
func (p *pipe) await(changed chan struct{}, d *deadline) error {
	select {
	case <-changed:
		return nil
	case <-p.closed:
		return net.ErrClosed
	case <-d.wait():
		return os.ErrDeadlineExceeded
	}
}

func isPassed(d *deadline) bool {
	select {
	case <-d.wait():
		return true
	default:
		return false
	}
}

// Read implements net.Conn.
func (p *pipe) Read(b []byte) (int, error) {
	for {
		s := p.in
		s.mu.Lock()
		changed := s.changed
		switch {
		case isPassed(&p.reading):
			s.mu.Unlock()
			return 0, p.fault("read", os.ErrDeadlineExceeded)
		case s.deaf:
			s.mu.Unlock()
			return 0, p.fault("read", net.ErrClosed)
		case s.reset:
			s.mu.Unlock()
			return 0, p.fault("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case len(s.bytes) > 0:
			n := copy(b, s.bytes)
			s.mu.Unlock()
			s.change(func() { s.bytes = s.bytes[n:] })
			return n, nil
		case s.ended:
			s.mu.Unlock()
			return 0, io.EOF
		}
		s.mu.Unlock()
		if err := p.await(changed, &p.reading); err != nil {
			return 0, p.fault("read", err)
		}
	}
}

// Write implements net.Conn.
func (p *pipe) Write(b []byte) (n int, err error) {
	for {
		s := p.out
		s.mu.Lock()
		changed, room := s.changed, window-len(s.bytes)
		broken, ended := s.reset || s.deaf, s.ended
		s.mu.Unlock()
		switch {
		case isPassed(&p.writing):
			return n, p.fault("write", os.ErrDeadlineExceeded)
		case ended:
			return n, p.fault("write", net.ErrClosed)
		case broken:
			return n, p.fault("write", os.NewSyscallError("write", syscall.EPIPE))
		case len(b) == 0:
			return n, nil
		case room > 0:
			part := b[:min(len(b), room)]
			s.change(func() { s.bytes = append(s.bytes, part...) })
			b, n = b[len(part):], n+len(part)
			continue
		}
		if err := p.await(changed, &p.writing); err != nil {
			return n, p.fault("write", err)
		}
	}
}

// Close implements net.Conn.
func (p *pipe) Close() error {
	p.closing.Do(func() {
		p.out.change(func() { p.out.ended = true })
		p.in.change(func() { p.in.deaf = true })
		close(p.closed)
		p.SetDeadline(time.Time{})
		p.whenClosed()
	})
	return nil
}

// breakOff ends the connection for both, whatever is under way.
func (p *pipe) breakOff() {
	p.in.change(func() { p.in.reset, p.in.bytes = true, nil })
	p.out.change(func() { p.out.reset, p.out.bytes = true, nil })
}

// isTaken tells whether the other end has read all that was written here.
func (p *pipe) isTaken() bool {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return len(p.out.bytes) == 0 && !p.out.reset
}

func (p *pipe) LocalAddr() net.Addr  { return p.local }
func (p *pipe) RemoteAddr() net.Addr { return p.remote }

func (p *pipe) SetDeadline(t time.Time) error {
	p.reading.set(t)
	p.writing.set(t)
	return nil
}
func (p *pipe) SetReadDeadline(t time.Time) error  { p.reading.set(t); return nil }
func (p *pipe) SetWriteDeadline(t time.Time) error { p.writing.set(t); return nil }
