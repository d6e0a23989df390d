//go:build !unix

package screen

import "net"

func peekSocket(net.Conn) (said []byte, ok bool, err error) { return nil, false, nil }
