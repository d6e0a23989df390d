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

// throughDoor has a client go through the door, and serves it then. The door bounds how
// many clients are there; MaxConnections is about those behind it.
func (s *Server) throughDoor(o *Options, nc net.Conn) {
	p, known := s.peer(o, nc)
	if !known {
		s.serve(nc, p, o, false) // which says so
		return
	}
	on, taken := o.Door.Admit(s.open, nc, netip.AddrPortFrom(p.Addr, p.Port), p.Server)
	if on == nil {
		return
	}
	p.tested = true
	stressed, refused := s.room.admit(o)
	taken()
	if refused != "" {
		s.turnAway(o, on, refused)
		return
	}
	defer s.room.leave()
	if stressed && o.UnderStress != nil {
		o = o.UnderStress
	}
	if s.isClosing() {
		p.Name = unknownName // nobody needs to know who it was that is told 421
	}
	s.serve(on, p, o, true)
}
