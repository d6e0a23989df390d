package dns

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// From the replies of servers to an answer: which records belong to the question, where
// aliases lead, how long it holds, and whether somebody vouches for it.

const (
	maxAliases = 10  // CNAMEs followed in all, as Postfix
	maxRecords = 100 // kept of one answer, as postconf(5): dns_rr_list_limit of later releases
	maxTTL     = 24 * time.Hour
	maxNegTTL  = 5 * time.Minute // a mistake that was corrected should show soon
	failureTTL = 5 * time.Second // RFC 9520 section 3.2: whoever asks at once again hears the same
)

// ask finds the records of a name, following CNAMEs beyond those that the server
// followed itself. It is secure if each reply on the way is: one alias that anybody could
// have forged leads anywhere.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) answer {
	a, began := answer{secure: true, ttl: maxTTL}, r.o.Now()
	for left := maxAliases; ; {
		m, secure, err := r.askServers(ctx, name, qtype)
		if err != nil {
			failed := answer{kind: Temporary, cause: err}
			// Whoever has no time tells nothing about the servers; who has waited does.
			if !errors.As(err, new(*gaveUp)) || r.o.Now().Sub(began) >= failureTTL {
				failed.ttl = failureTTL
			}
			return failed
		}
		a.secure = a.secure && secure
		w := walk{m: m, target: name, ttl: a.ttl, left: left}
		kind, ok := w.aliases()
		a.name, a.ttl = plainName(w.target), w.ttl
		if m.Rcode == dns.RcodeNameError { // final, whatever else the reply holds
			a.kind, a.ttl = NoName, min(a.ttl, negativeTTL(m))
			return a
		}
		if !ok {
			return answer{name: a.name, kind: kind}
		}
		rrs, malformed := w.records(qtype)
		a.ttl = w.ttl
		switch {
		case len(rrs) > 0:
			a.rrs = rrs
			return a
		case malformed:
			return answer{name: a.name, kind: Malformed}
		case strings.EqualFold(w.target, name):
			a.kind, a.ttl = NoData, min(a.ttl, negativeTTL(m))
			return a
		}
		name, left = w.target, w.left
	}
}

// plainName is a name as Answer.Name has it.
func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// walk goes through one reply.
type walk struct {
	m      *dns.Msg
	target string // where the aliases have led so far
	ttl    time.Duration
	left   int // aliases that may be followed yet
}

// aliases follows the CNAMEs of the reply. ok is false where they lead nowhere: in a
// circle, too far, or to what is no name.
func (w *walk) aliases() (kind Kind, ok bool) {
	for {
		c := w.alias()
		switch {
		case c == nil:
			return 0, true
		case w.left == 0:
			return Loop, false
		case !ValidName(strings.TrimSuffix(c.Target, ".")):
			return Malformed, false
		}
		w.left--
		w.hold(c.Hdr.Ttl)
		w.target = c.Target
	}
}

func (w *walk) alias() *dns.CNAME {
	if len(w.m.Question) == 1 && w.m.Question[0].Qtype == dns.TypeCNAME {
		return nil // it is what was asked for
	}
	for _, rr := range w.m.Answer {
		if c, is := rr.(*dns.CNAME); is && w.belongs(c) {
			return c
		}
	}
	return nil
}

func (w *walk) belongs(rr dns.RR) bool {
	h := rr.Header()
	return h.Class == dns.ClassINET && strings.EqualFold(h.Name, w.target)
}

// hold shortens the time that the answer holds.
func (w *walk) hold(ttl uint32) { w.ttl = min(w.ttl, time.Duration(ttl)*time.Second) }

// records are those of the reply that were asked for. malformed tells that there were
// only such as nobody can use.
func (w *walk) records(qtype uint16) (rrs []dns.RR, malformed bool) {
	for _, rr := range w.m.Answer {
		switch {
		case rr.Header().Rrtype != qtype || !w.belongs(rr):
		case !usable(rr):
			malformed = true
		case len(rrs) < maxRecords:
			rrs = append(rrs, rr)
			w.hold(rr.Header().Ttl)
		}
	}
	return rrs, malformed
}

// usable tells whether a record holds what its type says: a reply may have one without
// data. Whether the names in it are any is for those to judge who use them, but for the
// root as a mail exchanger, which is a null MX.
func usable(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return rr.A.To4() != nil
	case *dns.AAAA:
		return len(rr.AAAA) == 16
	case *dns.MX:
		return rr.Mx != ""
	case *dns.NS:
		return rr.Ns != ""
	case *dns.PTR:
		return rr.Ptr != ""
	case *dns.TLSA:
		return rr.Certificate != ""
	case *dns.TXT:
		return len(rr.Txt) > 0
	}
	return true
}

// negativeTTL is how long "there is none" holds: RFC 2308 section 5. Without a SOA
// record it is not to be kept.
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, maxNegTTL)
		}
	}
	return 0
}
