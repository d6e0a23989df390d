package screen

import (
	"io"
	"net"
)

// peekSize is how much of a client's early words is looked at, as in Postfix.
const peekSize = 1023

// peek waits until the client has said something, and returns it and a connection where it
// can still be read. The end of input is io.EOF.
func peek(nc net.Conn) ([]byte, net.Conn, error) {
	if said, ok, err := peekSocket(nc); ok {
		return said, nc, err
	}
	buf := make([]byte, peekSize)
	n, err := nc.Read(buf)
	if n > 0 {
		said := buf[:n:n]
		return said, &unread{Conn: nc, said: said}, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return nil, nc, err
}

// unread is a connection from which something has been read that is to be read again. It
// has one reader.
type unread struct {
	net.Conn
	said []byte
}

func (u *unread) Read(p []byte) (int, error) {
	if len(u.said) == 0 {
		return u.Conn.Read(p)
	}
	n := copy(p, u.said)
	u.said = u.said[n:]
	return n, nil
}

// CloseWrite ends the output, where the connection below can do that.
func (u *unread) CloseWrite() error {
	if half, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}
