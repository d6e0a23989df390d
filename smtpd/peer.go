package smtpd

import (
	"net"
	"net/netip"
)

// Peer is the client at the other end.
type Peer struct {
	Name string // verified host name, or "unknown"
	Addr netip.Addr
	Port uint16
	// Local is a user of this machine, connected by "sendmail -bs": shown as
	// localhost[127.0.0.1], not asked for any permission, given the header fields that his
	// message has not.
	Local bool
	UID   int // of a local user

	shown string // what String returns, once it is settled
}

// String is name[address], as the log shows a client.
func (p Peer) String() string {
	if p.shown != "" {
		return p.shown
	}
	return p.Name + "[" + p.Addr.String() + "]"
}

// settled fills in what a local user or an unnamed client is shown as.
func (p Peer) settled() Peer {
	if p.Local {
		p.Name, p.Addr = "localhost", netip.AddrFrom4([4]byte{127, 0, 0, 1})
	} else {
		p.UID = -1
	}
	if p.Name == "" {
		p.Name = "unknown"
	}
	p.Addr, p.shown = p.Addr.Unmap(), ""
	p.shown = p.String()
	return p
}

// peerOf is who is at the other end of a connection, without his name.
func peerOf(nc net.Conn) Peer {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return Peer{Addr: ap.Addr().Unmap().WithZone(""), Port: ap.Port()}
	}
	return Peer{}
}

// literal is an address as mail headers write it, RFC 5321 section 4.1.3.
func literal(a netip.Addr) string {
	if a.Is6() {
		return "IPv6:" + a.String()
	}
	return a.String()
}
