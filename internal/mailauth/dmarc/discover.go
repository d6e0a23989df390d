package dmarc

import "context"

// Discovery is what is published for a domain (section 4.10.1).
type Discovery struct {
	// Domain is where the record stands that applies, Record what it says, as it is: Usable
	// tells what becomes of it. Record is nil where none applies.
	Domain string
	Record *Record
	// OrgDomain is the organizational domain; "" when the domain's own record applies, and
	// those above could not be had.
	OrgDomain string
	// Several are the names on the way that have more than one record, of which none counts.
	Several []Several
}

// Several are the records of a domain that has too many.
type Several struct {
	Domain  string
	Records int
}

// Discover finds the DMARC record that applies to a domain: its own, or that of its
// organizational domain, or that of the public suffix domain above it. An error: the domain
// is none, or the DNS could not say.
func Discover(ctx context.Context, r Resolver, domain string) (Discovery, error) {
	d, err := normal(domain)
	if err != nil {
		return Discovery{}, err
	}
	return newWalker(ctx, r).discover(d)
}

func (w *walker) discover(domain string) (d Discovery, err error) {
	own := w.ask(domain)
	if own.err != nil {
		return d, own.err
	}
	steps, err := w.walk(domain)
	if err != nil && own.record == nil {
		return d, err
	}
	if own.record != nil {
		d.Domain, d.Record = domain, own.record
	}
	for name := range up(domain) {
		if p := w.at[name]; p.n > 1 {
			d.Several = append(d.Several, Several{name, p.n})
		}
	}
	if err != nil { // it does not change what applies
		return d, nil
	}
	org, psd := organizational(domain, steps)
	d.OrgDomain = org
	for _, s := range steps {
		if d.Record == nil && s.domain == org {
			d.Domain, d.Record = org, s.record
		}
	}
	if d.Record == nil && psd != nil {
		d.Domain, d.Record = psd.domain, psd.record
	}
	return d, nil
}
