package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Which server is asked when, and which is believed.

// A server that was silent twice in a row is asked last for a while, or each question
// would wait for it. After restTime one question tries it again, the others go on without.
const (
	restAfter = 2
	restTime  = 30 * time.Second
)

// loopback is trusted where nothing else is said: who can answer there is on this machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// pool remembers how servers have behaved.
type pool struct {
	now func() time.Time

	mu       sync.Mutex // guards what follows
	behaved  map[string]*behaviour
	rotation int
}

type behaviour struct {
	silent int       // times in a row
	rests  time.Time // asked last until then
	// vouches: it has said of an answer that it is authentic. It validates, and its SERVFAIL
	// may mean that an answer was forged.
	vouches bool
}

// order is in which servers are asked: as configured, or from another one each time, and
// those that rest at the end.
func (p *pool) order(servers []string, rotate bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.behaved { // the network has changed
		if !slices.Contains(servers, s) {
			delete(p.behaved, s)
		}
	}
	start := 0
	if rotate {
		p.rotation = (p.rotation + 1) % len(servers)
		start = p.rotation
	}
	turn := slices.Concat(servers[start:], servers[:start])
	if len(turn) == 1 {
		return turn
	}
	var last []string
	turn = slices.DeleteFunc(turn, func(s string) bool {
		b := p.behaved[s]
		if b == nil || b.silent < restAfter {
			return false
		}
		if !p.now().Before(b.rests) {
			b.rests = p.now().Add(restTime) // this question tries it
			return false
		}
		last = append(last, s)
		return true
	})
	return append(turn, last...)
}

func (p *pool) of(server string) *behaviour {
	b := p.behaved[server]
	if b == nil {
		if p.behaved == nil {
			p.behaved = map[string]*behaviour{}
		}
		b = &behaviour{}
		p.behaved[server] = b
	}
	return b
}

// spoke notes that a server has answered, whatever it was.
func (p *pool) spoke(server string, vouched bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of(server)
	b.silent = 0
	b.vouches = b.vouches || vouched
}

func (p *pool) keptSilent(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.of(server)
	if b.silent++; b.silent >= restAfter {
		b.rests = p.now().Add(restTime)
	}
}

func (p *pool) vouches(server string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of(server).vouches
}

// askServers asks one server after the other, all of them as often as configured, until
// one gives an answer: NOERROR or NXDOMAIN. A server that fails, refuses or does not
// understand says nothing about the name. secure: the server vouches for the answer, and
// is trusted to.
func (r *Resolver) askServers(ctx context.Context, name string, qtype uint16) (m *dns.Msg, secure bool, err error) {
	c, err := r.config()
	if err != nil {
		return nil, false, err
	}
	order := r.pool.order(c.servers, c.rotate)
	silent := make([]bool, len(order))
	trustedOnly := false
	for round := range c.attempts {
		for i, server := range order {
			trusted := r.trusts(c, server)
			if trustedOnly && !trusted {
				continue
			}
			q := question{name: name, qtype: qtype, vouch: trusted, tcp: c.useTCP}
			// A path that swallows UDP may let TCP through.
			q.tcp = q.tcp || silent[i] && round == c.attempts-1
			m, failed := r.askOne(ctx, q, server, c.timeout)
			if failed == nil {
				secure := trusted && m.AuthenticatedData
				r.pool.spoke(server, secure)
				return m, secure, nil
			}
			if ctx.Err() != nil {
				return nil, false, &gaveUp{context.Cause(ctx)}
			}
			silent[i] = timedOut(failed)
			var code rcodeError
			switch {
			case silent[i]:
				r.pool.keptSilent(server)
			case errors.As(failed, &code):
				r.pool.spoke(server, false)
				// What one that validates has found to be forged must not be had from one that does not.
				trustedOnly = trustedOnly || code == dns.RcodeServerFailure && trusted && r.pool.vouches(server)
			}
			err = fmt.Errorf("name server %s: %w", server, failed)
		}
	}
	return nil, false, err
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// trusts tells whether what a server says of authenticity counts: RFC 4035 section 4.9.3
// wants a secure channel to it.
func (r *Resolver) trusts(c conf, server string) bool {
	ap, err := netip.ParseAddrPort(server)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap().WithZone("")
	return c.trustAD || slices.ContainsFunc(r.o.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// config says whom to ask and how patiently.
func (r *Resolver) config() (conf, error) {
	c := parseConf(nil)
	if len(r.o.Servers) == 0 {
		c = r.conf.get()
	} else {
		c.servers = make([]string, 0, len(r.o.Servers))
		for _, s := range r.o.Servers {
			hp, err := ParseServer(s)
			if err != nil {
				return conf{}, err
			}
			c.servers = append(c.servers, hp)
		}
	}
	if r.o.Timeout > 0 {
		c.timeout = r.o.Timeout
	}
	if r.o.Attempts > 0 {
		c.attempts = r.o.Attempts
	}
	return c, nil
}

// anyVouches tells whether some server has ever vouched for an answer.
func (p *pool) anyVouches() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.behaved {
		if b.vouches {
			return true
		}
	}
	return false
}
