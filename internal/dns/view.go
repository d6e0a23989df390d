package dns

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// View is how one user of a Resolver looks at names. The zero value takes them as they
// are, and all that there is.
type View struct {
	// DefNames looks up a name without a dot in the first search domain of resolv.conf,
	// Search any name in all of them: postconf(5) smtp_dns_resolver_options, res_search(3).
	// They are those of Options.ResolvConf, and there are none where Options.Servers are.
	DefNames, Search bool
	// Filter tells whether a record is left out: postconf(5) smtp_dns_reply_filter. It is
	// shown "name ttl IN type value". An error makes the answer a temporary failure. It is
	// called by several at once.
	Filter func(ctx context.Context, record string) (ignore bool, err error)
	// AnyName: names may be of any printable ASCII, and not only such as hosts have.
	AnyName bool
}

// With is the resolver with another view; what has been asked is shared.
func (r *Resolver) With(v View) *Resolver { return &Resolver{core: r.core, view: v} }

// search finds a name in the domains that the view appends, as res_search(3) of glibc does.
func (r *Resolver) search(ctx context.Context, name string, qtype uint16) (answer, error) {
	if !r.view.DefNames && !r.view.Search || strings.HasSuffix(name, ".") {
		return r.lookup(ctx, name, qtype)
	}
	c, err := r.config()
	if err != nil {
		return r.lookup(ctx, name, qtype) // which says so
	}
	dots := strings.Count(name, ".")
	first := dots >= c.ndots // the name itself is tried first, else last
	var itself answer
	var itsErr error
	if first {
		itself, itsErr = r.lookup(ctx, name, qtype)
		if itsErr == nil && len(itself.rrs) > 0 {
			return itself, nil
		}
	}
	var domains []string
	switch {
	case r.view.Search && (dots > 0 || r.view.DefNames):
		domains = c.search
	case r.view.DefNames && dots == 0:
		domains = c.search[:min(len(c.search), 1)]
	}
	var noData, failed *answer
	for _, d := range domains {
		a, err := r.lookup(ctx, name+"."+d, qtype)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound), err == nil && len(a.rrs) > 0:
			return a, err
		case err != nil || a.kind == NoName:
		case a.kind == NoData:
			noData = &a
		default:
			failed = &a
		}
	}
	if !first {
		itself, itsErr = r.lookup(ctx, name, qtype)
	}
	switch none := itsErr == nil && len(itself.rrs) == 0; {
	case none && failed != nil:
		return *failed, nil // where it may be, nobody could say
	case none && noData != nil && itself.kind == NoName && !first:
		return *noData, nil
	}
	return itself, itsErr
}

// filter leaves records out. A null MX is none to choose from.
func (r *Resolver) filter(ctx context.Context, a answer) answer {
	var kept []dns.RR
	for _, rr := range a.rrs {
		if mx, ok := rr.(*dns.MX); ok && mx.Mx == "." {
			return a
		}
		ignore, err := r.view.Filter(ctx, recordText(rr))
		if err != nil {
			return answer{name: a.name, kind: NoFilter, cause: err}
		}
		if !ignore {
			kept = append(kept, rr)
		}
	}
	if len(a.rrs) > 0 && len(kept) == 0 {
		return answer{name: a.name, kind: Filtered}
	}
	a.rrs = kept
	return a
}

// recordText is a record as postconf(5) smtp_dns_reply_filter has it: one space between
// the parts.
func recordText(rr dns.RR) string {
	h := rr.Header()
	value := strings.TrimPrefix(rr.String(), h.String())
	switch rr := rr.(type) {
	case *dns.TXT:
		value = unescape(strings.Join(rr.Txt, ""))
	case *dns.TLSA:
		value = strings.ToLower(value)
	}
	return h.Name + " " + strconv.FormatUint(uint64(h.Ttl), 10) + " IN " + dns.TypeToString[h.Rrtype] + " " + value
}
