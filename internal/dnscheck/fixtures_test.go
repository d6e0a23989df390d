package dnscheck

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/mtasts"
)

// zone is a Resolver over records written as in a zone file. Names in fail have no answer,
// those in signed are vouched for.
type zone struct {
	t       *testing.T
	records map[string][]miekg.RR
	fail    map[string]bool
	signed  []string
}

func newZone(t *testing.T, text string) *zone {
	t.Helper()
	z := &zone{t: t, records: map[string][]miekg.RR{}, fail: map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "FAIL "); ok {
			z.fail[name] = true
			continue
		}
		if name, ok := strings.CutPrefix(line, "SIGNED "); ok {
			z.signed = append(z.signed, name)
			continue
		}
		if line == "" {
			continue
		}
		rr, err := miekg.NewRR(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		name := strings.ToLower(strings.TrimSuffix(rr.Header().Name, "."))
		z.records[name] = append(z.records[name], rr)
	}
	return z
}

func (z *zone) Query(_ context.Context, name string, qtype uint16) (dns.Answer, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	kind := miekg.TypeToString[qtype]
	if z.fail[name] || z.fail[name+"/"+kind] {
		return dns.Answer{}, &dns.Error{Name: name, Type: kind, Cause: errors.New("name server 192.0.2.53:53: answered SERVFAIL")}
	}
	a := dns.Answer{Name: name}
	for range 5 {
		next := ""
		for _, rr := range z.records[a.Name] {
			if c, ok := rr.(*miekg.CNAME); ok {
				next = strings.TrimSuffix(c.Target, ".")
			}
			if rr.Header().Rrtype == qtype {
				a.RRs = append(a.RRs, rr)
			}
		}
		if next == "" {
			break
		}
		a.Name = next
	}
	a.Secure = slices.ContainsFunc(z.signed, func(s string) bool { return a.Name == s || strings.HasSuffix(a.Name, "."+s) })
	if len(a.RRs) == 0 {
		return a, &dns.Error{Name: name, Type: kind, Kind: dns.NoName}
	}
	return a, nil
}

func (z *zone) MX(ctx context.Context, domain string) (list []dns.MX, err error) {
	a, err := z.Query(ctx, domain, miekg.TypeMX)
	for _, rr := range a.RRs {
		mx := rr.(*miekg.MX)
		if mx.Mx == "." {
			return nil, &dns.Error{Name: domain, Type: "MX", Kind: dns.NullMX}
		}
		list = append(list, dns.MX{Host: strings.TrimSuffix(mx.Mx, "."), Pref: mx.Preference})
	}
	slices.SortStableFunc(list, func(a, b dns.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	return list, err
}

func (z *zone) Addrs(ctx context.Context, host string, family dns.Family) (list []netip.Addr, err error) {
	if family != dns.IPv6 {
		a, aErr := z.Query(ctx, host, miekg.TypeA)
		for _, rr := range a.RRs {
			addr, _ := netip.AddrFromSlice(rr.(*miekg.A).A.To4())
			list = append(list, addr)
		}
		err = aErr
	}
	if family != dns.IPv4 {
		a, aErr := z.Query(ctx, host, miekg.TypeAAAA)
		for _, rr := range a.RRs {
			addr, _ := netip.AddrFromSlice(rr.(*miekg.AAAA).AAAA)
			list = append(list, addr)
		}
		if !errors.Is(err, dns.ErrTemporary) {
			err = aErr
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

func (z *zone) TXT(ctx context.Context, name string) (list []string, err error) {
	a, err := z.Query(ctx, name, miekg.TypeTXT)
	for _, rr := range a.RRs {
		list = append(list, strings.Join(rr.(*miekg.TXT).Txt, ""))
	}
	return list, err
}

func (z *zone) PTR(ctx context.Context, addr netip.Addr) (list []string, err error) {
	name, _ := miekg.ReverseAddr(addr.String())
	a, err := z.Query(ctx, name, miekg.TypePTR)
	for _, rr := range a.RRs {
		list = append(list, strings.TrimSuffix(rr.(*miekg.PTR).Ptr, "."))
	}
	return list, err
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// now is the clock of the tests.
var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// authority makes certificates for the hosts of the tests.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), now.Add(-time.Hour), now.Add(24*time.Hour)
	above, signer := a.cert, a.key
	if above == nil {
		above, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// leaf is a chain for a host, with the authority in it.
func (a *authority) leaf(host string) *tls.Certificate {
	cert, key := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, KeyUsage: x509.KeyUsageDigitalSignature})
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// options are those of a machine with one address of each family that sends by itself.
func options(z *zone) Options {
	return Options{
		Resolver: z, Hostname: "mx.own.example",
		Receiving: addrs("192.0.2.1", "2001:db8::1"), Sending: addrs("192.0.2.1", "2001:db8::1"),
		FetchPolicy: func(context.Context, string) (mtasts.Policy, error) { return mtasts.Policy{}, errors.New("no server") },
		Now:         func() time.Time { return now },
	}
}

// expect compares the findings about one thing with lines "level: part of the text"; a
// line behind "+" is a record to publish with the finding before it.
func expect(t *testing.T, findings []Finding, what, want string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		if f.What != what {
			continue
		}
		got = append(got, string(f.Level)+": "+f.Text)
		for _, p := range f.Publish {
			if p.Replaces != replaces(f, p) {
				t.Errorf("%s: %s: replaces %t", f.Text, p, p.Replaces)
			}
			got = append(got, "+ "+p.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(want), "\n")
	if strings.TrimSpace(want) == "" {
		lines = nil
	}
	good := len(lines) == len(got)
	for i := 0; good && i < len(lines); i++ {
		level, text, _ := strings.Cut(strings.TrimSpace(lines[i]), " ")
		good = strings.HasPrefix(got[i], level+" ") && strings.Contains(got[i], text)
	}
	if !good {
		t.Errorf("%s\n got\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

// replaces: what is wrong goes, but for addresses and keys, which are added to others, and
// what belongs to another name.
func replaces(f Finding, p Record) bool {
	return f.Level == Wrong && p.Type != "A" && p.Type != "AAAA" && p.Type != "TLSA" && !strings.Contains(p.Name, "._report.")
}
