package dns

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zone answers from records written as in a master file. It is a fake server for
// Options.Exchange, and a real one on loopback through serve.
type zone struct {
	mu      sync.Mutex // guards what follows
	records []dns.RR
	rcode   map[string]int // by lower-case name with final dot: an answer without records
	asked   []string       // "name type udp"
	noEDNS  bool           // answers FORMERR to EDNS
	cutUDP  bool           // answers truncated over UDP
}

func newZone(t *testing.T, records ...string) *zone {
	t.Helper()
	z := &zone{rcode: map[string]int{}}
	z.add(t, records...)
	return z
}

func (z *zone) add(t *testing.T, records ...string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, s := range records {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		z.records = append(z.records, rr)
	}
}

func (z *zone) clear() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = nil
}

func (z *zone) count() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

func (z *zone) answer(q *dns.Msg, tcp bool) *dns.Msg {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	name, qtype := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	proto := "udp"
	if tcp {
		proto = "tcp"
	}
	z.asked = append(z.asked, fmt.Sprintf("%s %s %s", name, dns.TypeToString[qtype], proto))
	if z.noEDNS && q.IsEdns0() != nil {
		m.Rcode = dns.RcodeFormatError
		return m
	}
	if rc, ok := z.rcode[name]; ok {
		m.Rcode = rc
		return m
	}
	if z.cutUDP && !tcp {
		m.Truncated = true
		return m
	}
	exists := false
	for _, rr := range z.records {
		h := rr.Header()
		if h.Rrtype == dns.TypeSOA {
			m.Ns = append(m.Ns, rr)
			continue
		}
		if strings.ToLower(h.Name) != name {
			continue
		}
		exists = true
		if h.Rrtype == qtype || h.Rrtype == dns.TypeCNAME {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) > 0 {
		m.Ns = nil
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	return m
}

// exchange is the zone as Options.Exchange, whatever the server.
func (z *zone) exchange(_ context.Context, q *dns.Msg, _ string, tcp bool) (*dns.Msg, error) {
	return z.answer(q, tcp), nil
}

// serve puts the zone on loopback, UDP and TCP, and returns its address.
func (z *zone) serve(t *testing.T) string {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 { // until a port is free for both
		var err error
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	var up sync.WaitGroup
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		up.Add(1)
		s.NotifyStartedFunc = up.Done
		isTCP := s.Listener != nil
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(z.answer(q, isTCP)) })
		var down sync.WaitGroup
		down.Go(func() { s.ActivateAndServe() })
		t.Cleanup(func() {
			s.Shutdown()
			down.Wait()
		})
	}
	up.Wait()
	return tcp.Addr().String()
}

// resolver asks a zone without a network.
func (z *zone) resolver() *Resolver {
	return New(Options{Servers: []string{"192.0.2.53"}, Exchange: z.exchange, Hosts: "testdata/hosts"})
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
