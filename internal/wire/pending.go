//go:build unix

package wire

import "syscall"

// Pending tells whether the peer has sent anything that nobody has read yet, also what
// is still with the kernel: input before the reply it should have waited for. It does
// not wait. Behind TLS only what has been decrypted counts.
func (c *Conn) Pending() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	if c.raw == nil {
		sc, ok := c.nc.(syscall.Conn)
		if !ok {
			return false
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			return false
		}
		c.raw, c.peek = raw, c.peekAt
	}
	c.waiting = false
	c.raw.Control(c.peek)
	return c.waiting
}

func (c *Conn) peekAt(fd uintptr) {
	n, _, _ := syscall.Recvfrom(int(fd), c.peeked[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.waiting = n > 0
}
