package peers

import (
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// DNS is an authoritative server on loopback, UDP and TCP on one port. Names that no
// record mentions do not exist; names in Fail are answered with SERVFAIL.
type DNS struct {
	Addr string

	mu      sync.Mutex // guards records and fail
	records map[string][]dns.RR
	fail    map[string]bool
	servers []*dns.Server
}

// NewDNS serves the records of a zone file's text ("dest.example. MX 10 mx.dest.example.").
func NewDNS(zone string) (*DNS, error) { return NewDNSAt("127.0.0.1:0", zone) }

// NewDNSAt is NewDNS at an address: a resolver that knows no other port needs one of 53.
func NewDNSAt(addr, zone string) (*DNS, error) {
	d := &DNS{records: map[string][]dns.RR{}, fail: map[string]bool{}}
	if err := d.Set(zone); err != nil {
		return nil, err
	}
	udp, tcp, err := bothPorts(addr)
	if err != nil {
		return nil, err
	}
	d.Addr = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: d}, {Listener: tcp, Handler: d}} {
		d.servers = append(d.servers, s)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
	}
	return d, nil
}

// Set replaces all records.
func (d *DNS) Set(zone string) error {
	records := map[string][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	parser.SetDefaultTTL(60)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(rr.Header().Name)
		records[name] = append(records[name], rr)
	}
	if err := parser.Err(); err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	d.mu.Lock()
	d.records = records
	d.mu.Unlock()
	return nil
}

// Fail makes a name answer SERVFAIL, or no longer.
func (d *DNS) Fail(name string, on bool) {
	d.mu.Lock()
	d.fail[dns.Fqdn(name)] = on
	d.mu.Unlock()
}

// Close stops the server.
func (d *DNS) Close() {
	for _, s := range d.servers {
		s.Shutdown()
	}
}

// ServeDNS answers one question.
func (d *DNS) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg).SetReply(q)
	reply.Authoritative = true
	name := strings.ToLower(q.Question[0].Name)
	d.mu.Lock()
	rrs, known := d.records[name]
	failing := d.fail[name]
	d.mu.Unlock()
	switch {
	case failing:
		reply.Rcode = dns.RcodeServerFailure
	case !known:
		reply.Rcode = dns.RcodeNameError
	}
	if !failing {
		for _, rr := range rrs {
			if t := rr.Header().Rrtype; t == q.Question[0].Qtype || t == dns.TypeCNAME {
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	w.WriteMsg(reply)
}
