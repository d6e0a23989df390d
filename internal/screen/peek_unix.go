//go:build unix

package screen

import (
	"io"
	"net"
	"os"
	"syscall"
)

// peekSocket is peek where the kernel can do it: nothing is read, and there is no buffer
// before there is something to put into it. ok is false for what is no socket.
func peekSocket(nc net.Conn) (said []byte, ok bool, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, false, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, true, err
	}
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, failure = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if failure == syscall.EAGAIN || failure == syscall.EINTR {
			return false
		}
		if failure == nil {
			said = make([]byte, peekSize)
			var n int
			n, _, failure = syscall.Recvfrom(int(fd), said, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			said = said[:max(n, 0)]
		}
		return true
	})
	switch {
	case err != nil:
		return nil, true, err
	case failure != nil:
		return nil, true, os.NewSyscallError("recvfrom", failure)
	case len(said) == 0:
		return nil, true, io.EOF
	}
	return said, true, nil
}
