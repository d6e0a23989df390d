package world

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// The name servers: what a domain's mail exchangers are, and when nobody can say.

// exchanger is a mail exchanger of a domain, from a time and until another.
type exchanger struct {
	host        string
	pref        uint16
	from, until time.Duration // of the world; until 0: for ever
}

// zone is a domain that mail goes to.
type zone struct {
	mx      []exchanger
	nullMX  bool
	silent  spans // the name servers do not answer
	failing spans // they answer SERVFAIL
}

// names answer the resolver's questions.
type names struct {
	w     *world
	zones map[string]*zone
	addrs map[string]netip.Addr // of hosts
}

// exchange is dns.Options.Exchange.
func (n *names) exchange(ctx context.Context, query *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
	q := query.Question[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	now := n.w.age()
	m := new(dns.Msg)
	m.SetReply(query)
	m.RecursionAvailable = true
	z := n.zones[name]
	switch {
	case z != nil && z.silent.has(now):
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Second):
			return nil, &net.OpError{Op: "read", Net: "udp", Err: context.DeadlineExceeded}
		}
	case z != nil && z.failing.has(now):
		m.Rcode = dns.RcodeServerFailure
	case z != nil && q.Qtype == dns.TypeMX:
		m.Answer = n.exchangers(q.Name, name, z, now)
	case z != nil:
	case n.addrs[name].IsValid():
		if q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: rrHeader(q.Name, q.Qtype), A: n.addrs[name].AsSlice()})
		}
	default:
		m.Rcode = dns.RcodeNameError
	}
	return m, nil
}

func rrHeader(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
}

// exchangers are those of now, in another order each time.
func (n *names) exchangers(fqdn, name string, z *zone, now time.Duration) []dns.RR {
	if z.nullMX {
		return []dns.RR{&dns.MX{Hdr: rrHeader(fqdn, dns.TypeMX), Mx: "."}}
	}
	var rrs []dns.RR
	for _, mx := range z.mx {
		if now >= mx.from && (mx.until == 0 || now < mx.until) {
			rrs = append(rrs, &dns.MX{Hdr: rrHeader(fqdn, dns.TypeMX), Preference: mx.pref, Mx: mx.host + "."})
		}
	}
	n.w.dice("mx order", name, int64(now)).Shuffle(len(rrs), func(i, k int) { rrs[i], rrs[k] = rrs[k], rrs[i] })
	return rrs
}

// span is from one age of the world to another.
type span struct{ from, until time.Duration }

// spans are when something holds. Those of trouble end with the troubled days.
type spans []span

func (s spans) has(at time.Duration) bool {
	for _, x := range s {
		if at >= x.from && at < x.until {
			return true
		}
	}
	return false
}
