package peers

import (
	"net"
	"time"

	"github.com/miekg/dns"
)

// Front is a name server that passes questions on to another and does so badly: as the
// Fault of a zone says. Before an authoritative server it is an odd zone, before a
// resolver an odd resolver.
type Front struct {
	Addr string

	upstream string
	zone     Zone
	servers  []*dns.Server
	closing  chan struct{}
}

// NewFront serves on loopback, UDP and TCP on one port.
func NewFront(upstream string, zone Zone) (*Front, error) {
	return NewFrontAt("127.0.0.1:0", upstream, zone)
}

// NewFrontAt is NewFront at an address: a resolver that knows no other port needs one of 53.
func NewFrontAt(addr, upstream string, zone Zone) (*Front, error) {
	f := &Front{upstream: upstream, zone: zone, closing: make(chan struct{})}
	udp, tcp, err := bothPorts(addr)
	if err != nil {
		return nil, err
	}
	f.Addr = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		overTCP := s.Listener != nil
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { f.serve(w, q, overTCP) })
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe() // ends with Close
		<-started
		f.servers = append(f.servers, s)
	}
	return f, nil
}

// bothPorts listens on a port that is free for both protocols.
func bothPorts(addr string) (net.PacketConn, net.Listener, error) {
	for tries := 0; ; tries++ {
		udp, err := net.ListenPacket("udp4", addr)
		if err != nil {
			return nil, nil, err
		}
		tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if tries == 50 {
			return nil, nil, err
		}
	}
}

// Close ends it, those who wait for a slow answer included.
func (f *Front) Close() {
	close(f.closing)
	for _, s := range f.servers {
		s.Shutdown()
	}
}

func (f *Front) serve(w dns.ResponseWriter, q *dns.Msg, overTCP bool) {
	fault := f.zone.Fault
	if len(q.Question) != 1 || !f.zone.concerns(q.Question[0].Name, q.Question[0].Qtype) {
		fault = Sound
	}
	reply := new(dns.Msg).SetReply(q)
	reply.Authoritative = true
	switch {
	case fault == Silent, fault == TCPOnly && !overTCP:
		return
	case fault == ServFail:
		reply.Rcode = dns.RcodeServerFailure
	case fault == Refused:
		reply.Rcode = dns.RcodeRefused
	case fault == StripTypes:
	case fault == Truncated && !overTCP:
		reply.Truncated = true
	default:
		if fault == Slow {
			late := time.NewTimer(f.zone.Delay)
			defer late.Stop()
			select {
			case <-late.C:
			case <-f.closing:
				return
			}
		}
		c := dns.Client{Net: "tcp", Timeout: 10 * time.Second}
		m, _, err := c.Exchange(q, f.upstream)
		if err != nil {
			return
		}
		reply = m
		if fault == Unsigned {
			reply.Answer, reply.Ns = withoutSignatures(reply.Answer), withoutSignatures(reply.Ns)
		}
		if opt := q.IsEdns0(); !overTCP {
			size := dns.MinMsgSize
			if opt != nil {
				size = int(opt.UDPSize())
			}
			reply.Truncate(size)
		}
	}
	w.WriteMsg(reply)
}

func withoutSignatures(rrs []dns.RR) (plain []dns.RR) {
	for _, rr := range rrs {
		switch rr.Header().Rrtype {
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		default:
			plain = append(plain, rr)
		}
	}
	return plain
}
