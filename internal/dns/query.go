package dns

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
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
	if !a.secure {
		r.probe(ctx)
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

// answer is what is known of a name, as the view has it.
func (r *Resolver) answer(ctx context.Context, name string, qtype uint16) (answer, error) {
	a, err := r.search(ctx, name, qtype)
	if err == nil && r.view.Filter != nil {
		a = r.filter(ctx, a)
	}
	return a, err
}

// lookup is what is known of a name, or is asked for now. Its ttl is what is left of it.
func (r *Resolver) lookup(ctx context.Context, name string, qtype uint16) (answer, error) {
	ascii, ok := queryName(name)
	if !ok && r.view.AnyName {
		ascii, ok = anyName(name)
	}
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
