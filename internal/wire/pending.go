//go:build unix

package wire

import (
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

// kernelSide asks the kernel about a connection's input. It is asked once for each
// message and keeps what that takes.
type kernelSide struct {
	nc    net.Conn // whose it is
	raw   syscall.RawConn
	look  func(fd uintptr)
	found bool // what look has seen
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
		n, _, _ := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		k.found = n > 0
	}
}

func (k *kernelSide) hasInput() bool {
	if k.raw == nil {
		return false
	}
	k.found = false
	k.raw.Control(k.look)
	return k.found
}
