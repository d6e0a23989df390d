//go:build unix

package wire

import (
	"crypto/tls"
	"net"
	"syscall"
)

// Pending tells whether the peer has sent anything that nobody has read yet, also what
// is still with the kernel: input before the reply it should have waited for. It does
// not wait. Behind TLS only what has been decrypted counts.
func (c *Conn) Pending() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	if c.kernel.nc != c.nc {
		c.kernel.watch(c.nc)
	}
	return c.kernel.hasInput()
}

// Moved tells whether the peer has sent anything that nobody has read yet, or has closed:
// also behind TLS, where nobody knows what it is. For a client that has nothing to wait
// for it means that the connection is no longer what it was. It does not wait.
func (c *Conn) Moved() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	below := c.nc
	if over, ok := below.(*tls.Conn); ok {
		below = over.NetConn()
	}
	if c.kernel.nc != below {
		c.kernel.watch(below)
	}
	return c.kernel.hasInput() || c.kernel.ended
}

// Left tells whether the peer has closed, and sent nothing before that nobody has read. It
// does not wait.
func (c *Conn) Left() bool { return c.Moved() && c.kernel.ended && c.r.Buffered() == 0 }

// kernelSide asks the kernel about a connection's input. It is asked once for each
// message and keeps what that takes.
type kernelSide struct {
	nc    net.Conn // whose it is
	raw   syscall.RawConn
	look  func(fd uintptr)
	found bool // what look has seen
	ended bool // it has seen the end, or that the connection is broken
}

func (k *kernelSide) watch(nc net.Conn) {
	*k = kernelSide{nc: nc}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	k.raw = raw
	k.look = func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// An error is told once: whoever reads afterwards finds the end.
		k.found, k.ended = n > 0, n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	}
}

func (k *kernelSide) hasInput() bool {
	if k.raw == nil {
		return false
	}
	k.found, k.ended = false, false
	k.raw.Control(k.look)
	return k.found
}
