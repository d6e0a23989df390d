package world

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// The internet: hosts by address, and the line that the server hangs on.

// reach is how a host can be reached.
type reach uint8

const (
	up     reach = iota
	refuse       // connection refused
	hole         // nobody answers
)

// uplink is the line of one run of the server. When the power fails it is cut, and nothing
// of that run is seen any more.
type uplink struct {
	w *world

	mu    sync.Mutex // guards what follows
	dead  bool
	cut   chan struct{} // closed then
	conns map[*pipe]bool
	port  int
	out   int // connections to next hops, open or being opened
	most  int
	at    map[netip.Addr]int // the same, by host
	peak  map[netip.Addr]int
}

func newUplink(w *world) *uplink {
	return &uplink{w: w, cut: make(chan struct{}), conns: map[*pipe]bool{}, port: 30000, at: map[netip.Addr]int{}, peak: map[netip.Addr]int{}}
}

var errCut = errors.New("the line is cut")

// connect makes a connection between the server and somebody else.
func (u *uplink) connect(from, to netip.Addr, port int, over func()) (client, server *pipe, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.dead {
		return nil, nil, errCut
	}
	u.port++
	var once sync.Once
	client, server = newPipe(
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, uint16(u.port))),
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(to, uint16(port))),
		func() { once.Do(over) })
	u.conns[client] = true
	return client, server, nil
}

func (u *uplink) forget(p *pipe) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, p)
}

// kill cuts the line.
func (u *uplink) kill() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.dead {
		return
	}
	u.dead = true
	close(u.cut)
	for p := range u.conns {
		p.breakOff()
	}
}

func (u *uplink) isDead() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dead
}

// count counts connections to next hops.
func (u *uplink) count(host netip.Addr, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.out += n
	u.most = max(u.most, u.out)
	u.at[host] += n
	u.peak[host] = max(u.peak[host], u.at[host])
}

// dial is how the server reaches next hops.
func (u *uplink) dial(ctx context.Context, _, address string) (net.Conn, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if u.isDead() {
		return nil, errCut
	}
	u.count(ap.Addr(), 1)
	taken := false
	defer func() {
		if !taken {
			u.count(ap.Addr(), -1)
		}
	}()
	h := u.w.hosts[ap.Addr()]
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
	}
	switch h.reach() {
	case hole:
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-u.cut:
			return nil, errCut
		}
	case refuse:
		time.Sleep(h.latency("syn"))
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	time.Sleep(h.latency("syn"))
	var client, server *pipe
	client, server, err = u.connect(serverAddr, ap.Addr(), int(ap.Port()), func() { u.count(ap.Addr(), -1); u.forget(client) })
	if err != nil {
		return nil, err
	}
	taken = true
	u.w.tasks.Go(func() { h.serve(server) })
	return client, nil
}

// door is the server's listener.
type door struct {
	u      *uplink
	mu     sync.Mutex // guards shut against arrivals
	shut   bool
	coming chan net.Conn
	closed chan struct{}
}

func newDoor(u *uplink) *door {
	return &door{u: u, coming: make(chan net.Conn, 1000), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.coming:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.shut {
		d.shut = true
		close(d.closed)
		for len(d.coming) > 0 {
			(<-d.coming).Close()
		}
	}
	return nil
}

func (d *door) Addr() net.Addr { return &net.TCPAddr{IP: serverAddr.AsSlice(), Port: 25} }

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// knock is how clients reach the server.
func (d *door) knock(from netip.Addr) (*pipe, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return nil, errRefused
	}
	var client, server *pipe
	client, server, err := d.u.connect(from, serverAddr, 25, func() { d.u.forget(client) })
	if err != nil {
		return nil, errRefused
	}
	d.coming <- server
	return client, nil
}
