package dmarc

import (
	"context"
	"errors"
	"iter"

	"aliasmx/internal/dns"
)

// maxQueries bounds a tree walk: the name itself, then at most seven labels (section 4.10).
const maxQueries = 8

// Resolver is what answers questions: *dns.Resolver. Errors are those of package dns.
type Resolver interface {
	TXT(ctx context.Context, name string) ([]string, error)
	Query(ctx context.Context, name string, qtype uint16) (dns.Answer, error)
}

// walker walks up the tree. It asks for no name twice, as long as it lives: for one Check.
type walker struct {
	ctx context.Context
	r   Resolver
	at  map[string]published
}

// published is what a domain has at _dmarc.
type published struct {
	record *Record // nil: none, or more than one
	n      int     // how many there are
	exists bool    // there is something at _dmarc, so that the domain exists (RFC 8020)
	err    error   // nobody could say
}

func newWalker(ctx context.Context, r Resolver) *walker {
	return &walker{ctx: ctx, r: r, at: make(map[string]published, maxQueries)}
}

// ask returns what a domain publishes.
func (w *walker) ask(domain string) published {
	if p, ok := w.at[domain]; ok {
		return p
	}
	p := w.query(domain)
	w.at[domain] = p
	return p
}

func (w *walker) query(domain string) (p published) {
	texts, err := w.r.TXT(w.ctx, "_dmarc."+domain)
	if err != nil {
		p.exists, p.err = absent(err)
		return p
	}
	p.exists = true
	for _, text := range texts {
		if record, ok := ParseRecord(text); ok {
			p.record = &record
			p.n++
		}
	}
	if p.n > 1 { // all are discarded (section 4.10, steps 2 and 6)
		p.record = nil
	}
	return p
}

// absent sorts an error of the resolver: that there are no such records is an answer, and
// exists says whether there is at least the name. Everything else is trouble.
func absent(err error) (exists bool, trouble error) {
	if e, ok := errors.AsType[*dns.Error](err); ok {
		switch e.Kind {
		case dns.NoName, dns.BadName:
			return false, nil
		case dns.NoData:
			return true, nil
		}
	}
	return false, err
}

// step is a domain with a record, on the way up.
type step struct {
	domain string
	record *Record
}

// up gives the names of a walk from start upwards (section 4.10, steps 3 to 7).
func up(start string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for domain := start; domain != "" && yield(domain); {
			if n := labels(domain); n >= maxQueries {
				domain = last(domain, maxQueries-1)
			} else {
				domain = parent(domain)
			}
		}
	}
}

// walk returns the domains with a record from start upwards. It ends at a record that says
// what its domain is (psd=y, psd=n).
func (w *walker) walk(start string) (steps []step, err error) {
	for domain := range up(start) {
		p := w.ask(domain)
		if p.err != nil {
			return nil, p.err
		}
		if p.record != nil {
			if steps = append(steps, step{domain, p.record}); p.record.PSD != 'u' {
				break
			}
		}
	}
	return steps, nil
}

// organizational is the organizational domain of start, by the records of its walk (section
// 4.10.2). psd is the record of the public suffix domain above it, if there is one.
func organizational(start string, steps []step) (domain string, psd *step) {
	for i := range steps {
		s := &steps[i]
		switch {
		case s.record.PSD == 'n':
			return s.domain, nil
		case s.record.PSD == 'y' && s.domain != start:
			return last(start, labels(s.domain)+1), s
		}
	}
	if len(steps) > 0 {
		return steps[len(steps)-1].domain, nil
	}
	return start, nil
}

// org is the organizational domain of a domain.
func (w *walker) org(domain string) (string, error) {
	steps, err := w.walk(domain)
	if err != nil {
		return "", err
	}
	org, _ := organizational(domain, steps)
	return org, nil
}

// OrgDomain returns the organizational domain of a domain, by asking for at most eight
// names. A domain with no DMARC record at or above it is its own: what publishes nothing
// belongs together with nothing. An error: the domain is none, or the DNS could not say.
func OrgDomain(ctx context.Context, r *dns.Resolver, domain string) (string, error) {
	d, err := normal(domain)
	if err != nil {
		return "", err
	}
	return newWalker(ctx, r).org(d)
}

// Aligned tells whether two domains have the same organizational domain, so that a pass of
// one is a pass of the other in relaxed alignment. Note that a record which is published
// tomorrow may align what is not aligned today.
func Aligned(ctx context.Context, r *dns.Resolver, a, b string) (bool, error) {
	a, err := normal(a)
	if err != nil {
		return false, err
	}
	if b, err = normal(b); err != nil {
		return false, err
	}
	return newWalker(ctx, r).aligned(a, b)
}

// aligned asks no more than it takes: the organizational domain of a name stands above it.
func (w *walker) aligned(a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	if last(a, 1) != last(b, 1) {
		return false, nil
	}
	org, err := w.org(a)
	if err == nil && !below(b, org) {
		return false, nil
	}
	other, otherErr := w.org(b)
	switch {
	case otherErr == nil && !below(a, other): // whatever the other one is
		return false, nil
	case err != nil:
		return false, err
	}
	return other == org, otherErr
}
