package smtpd

import (
	"context"
	"net"
	"net/netip"
)

// Door decides which clients get a session, before anything is said to them: postscreen(8).
// It is safe for concurrent use.
type Door interface {
	// Admit may wait and talk with the client for as long as it likes; when ctx ends it
	// says 421 and comes to an end. It returns the connection to go on with, in which
	// nothing is lost of what the client has sent, or nil when it has closed the
	// connection. taken is called when the client has got a session, or will not get one.
	Admit(ctx context.Context, nc net.Conn, client, server netip.AddrPort) (on net.Conn, taken func())
}

// throughDoor has a client go through the door, and serves it then. It does not wait: the
// door bounds how many clients are there, and MaxConnections is about those behind it.
func (s *Server) throughDoor(door Door, nc net.Conn, p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		nc.Close()
		return
	}
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		on, taken := door.Admit(s.open, nc, netip.AddrPortFrom(p.Addr, p.Port), p.Server)
		if on == nil {
			return
		}
		ok := s.acquire()
		taken()
		if ok {
			defer s.releaseSlot()
		} else {
			p.Name = unknownName // nobody needs to know who it was that is told 421
		}
		s.ServeConn(on, p)
	}()
}

// wakeNext lets one who waits for a slot look whether there is one.
func (s *Server) wakeNext() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
