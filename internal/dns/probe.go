package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Whether DNSSEC can be had at all: without it DANE protects nothing and says nothing
// (postconf(5): dnssec_probe).

// Probe is a question whose answer is authentic wherever answers are validated. The zero
// value is none.
type Probe struct {
	text  string
	name  string
	qtype uint16
}

// ParseProbe reads "ns:.": a type and a name. "" is no probe.
func ParseProbe(s string) (Probe, error) {
	if s == "" {
		return Probe{}, nil
	}
	word, name, _ := strings.Cut(s, ":")
	qtype, known := dns.StringToType[strings.ToUpper(word)]
	full := "."
	if name != full {
		var ok bool
		if full, ok = queryName(name); !ok {
			known = false
		}
	}
	if !known {
		return Probe{}, fmt.Errorf("bad probe %q: write type:name, such as ns:.", s)
	}
	return Probe{text: s, name: full, qtype: qtype}, nil
}

// probe asks once, after an answer that nobody vouched for, and warns if nobody vouches
// for this one either. A server that has vouched before needs no probe.
func (r *Resolver) probe(ctx context.Context) {
	if r.o.Probe.text == "" || r.pool.anyVouches() || !r.probed.CompareAndSwap(false, true) {
		return
	}
	a := r.ask(ctx, r.o.Probe.name, r.o.Probe.qtype)
	if errors.As(a.cause, new(*gaveUp)) {
		r.probed.Store(false) // the time of whoever asked was over
		return
	}
	if a.secure {
		return
	}
	why := "received a response that is not DNSSEC validated"
	if a.cause != nil {
		e := &Error{Name: r.o.Probe.name, Type: dns.TypeToString[r.o.Probe.qtype]}
		why = "received no response: " + e.Error()
	}
	r.o.Warn("DNSSEC validation may be unavailable")
	r.o.Warn("reason: dnssec_probe '" + r.o.Probe.text + "' " + why)
}

// Servers are the name servers that are asked now, IP:port: those that are believed when
// they vouch for an answer (Options.Trusted), and the others.
func (r *Resolver) Servers() (trusted, others []string, err error) {
	c, err := r.config()
	for _, s := range c.servers {
		if r.trusts(c, s) {
			trusted = append(trusted, s)
		} else {
			others = append(others, s)
		}
	}
	return trusted, others, err
}
