package stshost

import (
	"net"
	"net/netip"
	"sync"
)

// How many connections there are, and of whom. A client over its limit is closed before
// its handshake, which is what costs.

// doors counts connections over all listeners.
type doors struct {
	mu       sync.Mutex // guards what follows
	all      int
	byClient map[netip.Prefix]int
}

// enter counts a connection in, if there is room for it. Each that enters leaves once.
func (d *doors) enter(client netip.Prefix, most, mostOfOne int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= most || d.byClient[client] >= mostOfOne {
		return false
	}
	if d.byClient == nil {
		d.byClient = make(map[netip.Prefix]int)
	}
	d.all++
	d.byClient[client]++
	return true
}

func (d *doors) leave(client netip.Prefix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.byClient[client]--; d.byClient[client] == 0 {
		delete(d.byClient, client)
	}
}

// limited is a listener that closes what there is no room for.
type limited struct {
	net.Listener
	s *Server
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := clientOf(c)
		if o := l.s.options.Load(); l.s.doors.enter(client, o.Connections, o.ClientConnections) {
			return &counted{Conn: c, leave: func() { l.s.doors.leave(client) }}, nil
		}
		c.Close()
	}
}

// counted leaves when it is closed.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// clientOf is what counts as one client: a network of IPv6 is one site.
func clientOf(c net.Conn) netip.Prefix {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits)
	return p
}
