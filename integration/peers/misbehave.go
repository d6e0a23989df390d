package peers

import (
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"strings"
	"time"
)

// partings are the ways in which a Scripted stops answering: it hangs up; it says that it
// has no more to say, and listens on; it cuts the connection off, so that the other side
// gets an error; it is silent.
var partings = []string{"close", "halfclose", "reset", "hang"}

// part is one of partings. That the connection is closed after it is the caller's doing.
func (c *scriptedConn) part(how string) {
	raw := c.nc
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	switch how {
	case "halfclose":
		if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
			w.CloseWrite()
		}
		io.Copy(io.Discard, c.nc)
	case "reset":
		time.Sleep(100 * time.Millisecond) // the other side is to have read, and to be waiting
		raw.(*net.TCPConn).SetLinger(0)
		raw.Close()
	case "hang":
		io.Copy(io.Discard, c.nc)
	}
}

// onTheWire are the bytes of a reply.
func onTheWire(reply string) string {
	if raw, ok := strings.CutPrefix(reply, "raw "); ok {
		return raw
	}
	return strings.ReplaceAll(reply, "\n", "\r\n") + "\r\n"
}

// noHandshake waits for the client's first TLS record, and then is no TLS server.
func (c *scriptedConn) noHandshake() bool {
	var head [5]byte
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c.nc, head[:]); err != nil {
		return false
	}
	if _, err := io.CopyN(io.Discard, c.nc, int64(binary.BigEndian.Uint16(head[3:]))); err != nil {
		return false
	}
	c.nc.SetReadDeadline(time.Time{})
	_, on := c.answer("handshake", "")
	return on
}

var lastLine = regexp.MustCompile(`(?m)^([0-9]{3})( |\r?$)`)

// class is the first digit of the first whole reply in an answer, as one that is not strict
// reads it; 0 where there is none.
func class(answer string) byte {
	if m := lastLine.FindStringSubmatch(strings.TrimPrefix(answer, "raw ")); m != nil {
		return m[1][0]
	}
	return 0
}
