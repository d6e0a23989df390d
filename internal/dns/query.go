package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

const (
	maxAliases = 10   // CNAMEs followed, as Postfix
	udpSize    = 1232 // what passes without fragments (DNS flag day 2020)
	maxTTL     = 24 * time.Hour
	maxNegTTL  = 5 * time.Minute // a mistake that was corrected should show soon
)

// Lookup returns the records of one type that a name has, itself or through CNAMEs.
// A name may be given in Unicode.
func (r *Resolver) Lookup(ctx context.Context, name string, qtype uint16) ([]dns.RR, error) {
	rrs, _, err := r.LookupTTL(ctx, name, qtype)
	return rrs, err
}

// Answer is what a name has of one type.
type Answer struct {
	RRs []dns.RR
	// Name is where the aliases (CNAME) of the name led, in lower case and without a dot at
	// the end; the name itself where it has none.
	Name string
	// Secure: a validating server that we are told to trust vouches for every step of it
	// (DNSSEC), also where there are no records.
	Secure bool
	TTL    time.Duration // how long it holds; 0: nobody knows
}

// Query is Lookup with all that is known about the answer, also where the error is
// ErrNotFound.
func (r *Resolver) Query(ctx context.Context, name string, qtype uint16) (Answer, error) {
	a, err := r.answer(ctx, name, qtype)
	if err != nil {
		return Answer{}, err
	}
	rrs, err := a.result(name, qtype)
	return Answer{RRs: rrs, Name: a.name, Secure: a.secure, TTL: a.ttl}, err
}

// LookupTTL is Lookup, and tells how long what it says will hold, also where there is no
// such record; 0: nobody knows.
func (r *Resolver) LookupTTL(ctx context.Context, name string, qtype uint16) ([]dns.RR, time.Duration, error) {
	a, err := r.answer(ctx, name, qtype)
	if err != nil {
		return nil, 0, err
	}
	rrs, err := a.result(name, qtype)
	return rrs, a.ttl, err
}

// answer is what is known, or is asked for now. Its ttl is what is left of it.
func (r *Resolver) answer(ctx context.Context, name string, qtype uint16) (answer, error) {
	ascii, ok := queryName(name)
	if !ok {
		return answer{}, &Error{Name: name, Type: dns.TypeToString[qtype], Kind: BadName}
	}
	key := cacheKey{strings.ToLower(ascii), qtype}
	for {
		if a, ok := r.cache.get(key); ok {
			a.ttl = a.expires.Sub(r.o.Now())
			return a, nil
		}
		a, shared, err := r.flight.do(ctx, key, func() answer {
			a := r.ask(ctx, ascii, qtype)
			r.cache.put(key, a)
			return a
		})
		switch {
		case err != nil:
			return answer{}, &Error{Name: name, Type: dns.TypeToString[qtype], Cause: err}
		case shared && errors.As(a.cause, new(*gaveUp)) && ctx.Err() == nil:
			continue // whoever asked had no more time; we have
		}
		return a, nil
	}
}

// gaveUp is a question whose asker's context ended.
type gaveUp struct{ cause error }

func (g *gaveUp) Error() string { return "gave up: " + g.cause.Error() }
func (g *gaveUp) Unwrap() error { return g.cause }

// queryName checks a name and brings it into the form of the wire.
func queryName(name string) (string, bool) {
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = a
			break
		}
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || !ValidName(name) {
		return "", false
	}
	return name + ".", true
}

// ValidName tells whether s can be the name of a host or domain: letters, digits,
// hyphens and underscores, in labels of at most 63, and not only a number.
func ValidName(s string) bool {
	if len(s) > 253 {
		return false
	}
	numeric := true
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			switch c := label[i]; {
			case c >= '0' && c <= '9':
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
				numeric = false
			default:
				return false
			}
		}
	}
	return !numeric
}

// answer is what a lookup came to, kept until expires.
type answer struct {
	rrs     []dns.RR
	name    string // at the end of the aliases
	secure  bool
	kind    Kind  // when there are no rrs
	cause   error // of Temporary
	ttl     time.Duration
	expires time.Time
}

func (a answer) result(name string, qtype uint16) ([]dns.RR, error) {
	if len(a.rrs) > 0 {
		return a.rrs, nil
	}
	return nil, &Error{Name: name, Type: dns.TypeToString[qtype], Kind: a.kind, Cause: a.cause}
}

// ask finds the records of a name, following CNAMEs beyond those that the server
// followed itself.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) answer {
	ttl := maxTTL
	for range maxAliases {
		m, err := r.askServers(ctx, name, qtype)
		if err != nil {
			return answer{kind: Temporary, cause: err}
		}
		target, aliasTTL, ok := followAliases(m, name)
		if !ok {
			return answer{kind: Loop}
		}
		ttl = min(ttl, aliasTTL)
		var rrs []dns.RR
		for _, rr := range m.Answer {
			if h := rr.Header(); h.Rrtype == qtype && strings.EqualFold(h.Name, target) {
				rrs = append(rrs, rr)
				ttl = min(ttl, time.Duration(h.Ttl)*time.Second)
			}
		}
		switch {
		case len(rrs) > 0:
			return answer{rrs: rrs, ttl: ttl}
		case m.Rcode == dns.RcodeNameError:
			return answer{kind: NoName, ttl: min(ttl, negativeTTL(m))}
		case strings.EqualFold(target, name):
			return answer{kind: NoData, ttl: min(ttl, negativeTTL(m))}
		}
		name = target
	}
	return answer{kind: Loop}
}

// followAliases walks the CNAMEs of an answer from name on. ok is false in a circle.
func followAliases(m *dns.Msg, name string) (target string, ttl time.Duration, ok bool) {
	target, ttl = name, maxTTL
	for range maxAliases {
		next := ""
		for _, rr := range m.Answer {
			if c, is := rr.(*dns.CNAME); is && strings.EqualFold(c.Hdr.Name, target) {
				next = c.Target
				ttl = min(ttl, time.Duration(c.Hdr.Ttl)*time.Second)
				break
			}
		}
		if next == "" {
			return target, ttl, true
		}
		target = next
	}
	return "", 0, false
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

// askServers asks one server after the other, all of them as often as configured, until
// one gives an answer: NOERROR or NXDOMAIN. A server that fails, refuses or does not
// understand says nothing about the name.
func (r *Resolver) askServers(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	c, err := r.config()
	if err != nil {
		return nil, err
	}
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.SetEdns0(udpSize, false)
	var last error
	for range c.attempts {
		for _, server := range c.servers {
			m, err := r.askOne(ctx, q, server, c.timeout)
			if err == nil {
				return m, nil
			}
			if ctx.Err() != nil {
				return nil, &gaveUp{context.Cause(ctx)}
			}
			last = fmt.Errorf("name server %s: %w", server, err)
		}
	}
	return nil, last
}

func (r *Resolver) askOne(ctx context.Context, q *dns.Msg, server string, timeout time.Duration) (*dns.Msg, error) {
	send := func(q *dns.Msg, tcp bool) (*dns.Msg, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		q.Id = dns.Id()
		m, err := r.o.Exchange(ctx, q, server, tcp)
		if err == nil && !answers(m, q) {
			err = errors.New("the reply is to another question")
		}
		return m, err
	}
	m, err := send(q, false)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers) {
		// A server from before EDNS: RFC 6891 section 7.
		plain := new(dns.Msg)
		plain.SetQuestion(q.Question[0].Name, q.Question[0].Qtype)
		q = plain
		m, err = send(q, false)
	}
	if err == nil && m.Truncated {
		m, err = send(q, true)
	}
	if err != nil {
		return nil, err
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("answered %s", dns.RcodeToString[m.Rcode])
	}
	return m, nil
}

// answers tells whether m is a reply to q. A reply to a query that the server could not
// read may come without the question.
func answers(m, q *dns.Msg) bool {
	if m == nil || !m.Response || m.Id != q.Id {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	a, b := m.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
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

// exchange is the network: each query from a port of its own.
func exchange(ctx context.Context, q *dns.Msg, server string, tcp bool) (*dns.Msg, error) {
	c := dns.Client{UDPSize: udpSize}
	if tcp {
		c.Net = "tcp"
	}
	if d, ok := ctx.Deadline(); ok {
		c.Timeout = max(time.Until(d), time.Millisecond)
	}
	m, _, err := c.ExchangeContext(ctx, q, server)
	return m, err
}
