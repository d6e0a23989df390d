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
	sc, ok := c.nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n > 0
}
