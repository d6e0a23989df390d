package smtpd

import (
	"net"
	"net/netip"
	"strconv"
)

// Peer is the client at the other end.
type Peer struct {
	Name string // verified host name, or "unknown"
	Addr netip.Addr
	Port uint16
	// Reverse is the name that the client's address has, verified or not, or "unknown".
	Reverse                   string
	NameStatus, ReverseStatus NameStatus
	// Server is the address that the client has connected to.
	Server netip.AddrPort
	// Local is a user of this machine, connected by "sendmail -bs": shown as
	// localhost[127.0.0.1], not asked for any permission, given the header fields that his
	// message has not.
	Local bool
	UID   int // of a local user

	showPort bool   // smtpd_client_port_logging
	shown    string // what String returns, once it is settled
	tested   bool   // has come through a door
}

// NameStatus is what is known of a client's name.
type NameStatus uint8

// The zero value is for who has none.
const (
	NameMissing   NameStatus = iota // there is none
	NameTemporary                   // nobody could say
	NameForged                      // there is one, of another address
	NameVerified
)

// ClientNames are the names of a client.
type ClientNames struct {
	Name          string // that has the client's address; "" or "unknown": there is none
	Status        NameStatus
	Reverse       string // that the client's address has
	ReverseStatus NameStatus
}

// named is p with its names.
func (p Peer) named(n ClientNames) Peer {
	p.Name, p.NameStatus, p.Reverse, p.ReverseStatus = n.Name, n.Status, n.Reverse, n.ReverseStatus
	return p
}

// String is name[address], as the log shows a client.
func (p Peer) String() string {
	if p.shown != "" {
		return p.shown
	}
	shown := nameAddr(p.Name, p.Addr)
	if p.showPort && !p.Local {
		shown += ":" + portOr(p.Port)
	}
	return shown
}

// nameAddr shows a client whose address may be unknown.
func nameAddr(name string, addr netip.Addr) string {
	if !addr.IsValid() {
		return name + "[" + unknownName + "]"
	}
	return name + "[" + addr.String() + "]"
}

// settled fills in what a local user or an unnamed client is shown as.
func (p Peer) settled() Peer {
	if p.Local {
		p.Name, p.Addr = "localhost", netip.AddrFrom4([4]byte{127, 0, 0, 1})
	} else {
		p.UID = -1
	}
	if p.Name == "" {
		p.Name = unknownName
	}
	if p.Name != unknownName && p.NameStatus == NameMissing {
		p.NameStatus = NameVerified
	}
	if p.Reverse == "" && p.ReverseStatus == NameMissing && p.NameStatus == NameVerified {
		p.Reverse, p.ReverseStatus = p.Name, NameVerified
	}
	if p.Reverse == "" {
		p.Reverse = unknownName
	}
	p.Addr, p.shown = p.Addr.Unmap(), ""
	p.shown = p.String()
	return p
}

// peerOf is who is at the other end of a connection, without his name.
func peerOf(nc net.Conn) Peer {
	var p Peer
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		p.Addr, p.Port = ap.Addr().Unmap().WithZone(""), ap.Port()
	}
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		p.Server = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	return p
}

func (p *Peer) port() string { return portOr(p.Port) }

func (p *Peer) serverAddr() string { return addrOr(p.Server.Addr()) }

func (p *Peer) serverPort() string { return portOr(p.Server.Port()) }

// addrOr is an address, or "unknown".
func addrOr(a netip.Addr) string {
	if !a.IsValid() {
		return unknownName
	}
	return a.String()
}

func portOr(port uint16) string {
	if port == 0 {
		return unknownName
	}
	return strconv.Itoa(int(port))
}

// appendLiteral appends an address as mail headers write it, RFC 5321 section 4.1.3.
func appendLiteral(b []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return append(b, unknownName...)
	case a.Is6():
		b = append(b, "IPv6:"...)
	}
	return a.AppendTo(b)
}
