package dnscheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mtasts"
)

// Options of a Checker.
type Options struct {
	Resolver *dns.Resolver
	Hostname string // myhostname
	HeloName string // smtp_helo_name; "": Hostname
	// Receiving are the public addresses that mail reaches us by, Sending those that next
	// hops see; none: not known.
	Receiving, Sending []netip.Addr
	// RelayHost is who sends for us (relayhost); "": we do.
	RelayHost string
	// Selectors are those of DKIM keys to look at.
	Selectors []string
	// SelectorsOf are those of the keys that sign for a domain here; nil: nothing is signed.
	SelectorsOf func(domain string) []string
	// ReportTo is the local part that reports about a domain should go to; "": postmaster.
	ReportTo string

	// Shown are the certificates that we show to a client which asks for a name; none: we
	// offer no TLS. Roots are the authorities that they are held against; nil: the system's.
	Shown func(ctx context.Context, name string) ([]*tls.Certificate, error)
	Roots *x509.CertPool
	// NextKeys are public keys (SubjectPublicKeyInfo, DER) that are to follow: they go into
	// the TLSA records to publish.
	NextKeys [][]byte

	// FetchPolicy gets a domain's MTA-STS policy as senders do. An error of dns.ErrTemporary
	// or a time-out means that it could not be asked. It must not be nil.
	FetchPolicy func(ctx context.Context, domain string) (mtasts.Policy, error)
	// Policy is the policy that our domains should have, and PolicyID the id of the record
	// that announces it; nil: none. Hosted tells whether we serve it for a domain; nil: for
	// none.
	Policy   *mtasts.Policy
	PolicyID string
	Hosted   func(ctx context.Context, domain string) (bool, error)

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// domainTime bounds the questions about one domain or host.
const domainTime = 60 * time.Second

// Checker judges domains. It is safe for concurrent use.
type Checker struct{ o Options }

// New makes a Checker.
func New(o Options) *Checker {
	if o.HeloName == "" {
		o.HeloName = o.Hostname
	}
	if o.ReportTo == "" {
		o.ReportTo = "postmaster"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Shown == nil {
		o.Shown = func(context.Context, string) ([]*tls.Certificate, error) { return nil, nil }
	}
	if o.Hosted == nil {
		o.Hosted = func(context.Context, string) (bool, error) { return false, nil }
	}
	return &Checker{o}
}

// Domain judges a domain whose mail we forward, and names its MX hosts that are ours.
func (c *Checker) Domain(ctx context.Context, name string) (findings []Finding, hosts []string) {
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	domain, ok := asciiName(name)
	if !ok {
		return []Finding{{Domain: name, What: MX, Level: Wrong, Text: "this is no name of a domain"}}, nil
	}
	r := &report{domain: domain}
	mxs, known := c.exchangers(ctx, r)
	for _, x := range mxs {
		if x.ours {
			hosts = append(hosts, x.host)
		}
	}
	all := c.apart(domain,
		func(r *report) { c.spf(ctx, r, false, known && len(hosts) == len(mxs)) },
		func(r *report) { c.dkim(ctx, r) },
		func(r *report) { c.dmarc(ctx, r) },
		func(r *report) { c.mtasts(ctx, r, mxs, known) },
		func(r *report) { c.tlsrpt(ctx, r) },
	)
	return append(r.findings, all...), hosts
}

// Host judges what the DNS says of the certificate of one of our MX hosts.
func (c *Checker) Host(ctx context.Context, host string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	r := &report{domain: strings.ToLower(strings.TrimSuffix(host, "."))}
	c.tlsa(ctx, r)
	return r.findings
}

// Self judges the name that we say HELO with, and our addresses.
func (c *Checker) Self(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	name := strings.ToLower(strings.TrimSuffix(c.o.HeloName, "."))
	return c.apart(name,
		func(r *report) { c.helo(ctx, r) },
		func(r *report) {
			if dns.ValidName(name) && strings.Contains(name, ".") && c.o.RelayHost == "" {
				c.spf(ctx, r, true, false)
			}
		},
		func(r *report) { c.ptr(ctx, r) },
	)
}

// apart runs judgements at the same time: those of a domain whose servers are away would
// wait for one another.
func (c *Checker) apart(domain string, judge ...func(*report)) (all []Finding) {
	reports := make([]*report, len(judge))
	var wg sync.WaitGroup
	for i, f := range judge {
		reports[i] = &report{domain: domain}
		wg.Go(func() { f(reports[i]) })
	}
	wg.Wait()
	for _, r := range reports {
		all = append(all, r.findings...)
	}
	return all
}

// report collects the findings about one domain.
type report struct {
	domain   string
	findings []Finding
}

func (r *report) say(what string, level Level, text string, publish ...Record) {
	r.findings = append(r.findings, Finding{Domain: r.domain, What: what, Level: level, Text: text, Publish: publish})
}

// unasked says that there was no answer, if there was none; an answer that there is
// nothing is one.
func (r *report) unasked(what, name string, err error) bool {
	if err == nil || errors.Is(err, dns.ErrNotFound) || errors.Is(err, dns.ErrNullMX) {
		return false
	}
	r.say(what, Unknown, name+" could not be asked: "+reason(err))
	return true
}

// reason is what went wrong with a question, without the text that goes into bounces.
func reason(err error) string {
	var e *dns.Error
	if errors.As(err, &e) && e.Cause != nil {
		return e.Cause.Error()
	}
	return err.Error()
}

// ours tells whether a host is this one: by its name, or by its addresses.
func (c *Checker) ours(host string, addrs []netip.Addr) bool {
	return sameName(host, c.o.Hostname) || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(c.o.Receiving, a) })
}

func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// asciiName is a domain in A-labels, in lower case and without a dot at the end.
func asciiName(s string) (string, bool) {
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 }) {
		a, err := idna.Lookup.ToASCII(s)
		if err != nil {
			return "", false
		}
		s = a
	}
	return s, dns.ValidName(s)
}
