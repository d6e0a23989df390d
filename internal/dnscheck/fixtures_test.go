package dnscheck

import (
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

// zone is a name server over records written as in a zone file. For names in fail it has no
// answer, those in signed it vouches for.
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

func (z *zone) resolver() *dns.Resolver {
	return dns.New(dns.Options{
		Servers: []string{"192.0.2.53"}, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}, Hosts: "/dev/null", Attempts: 1, Exchange: z.exchange,
	})
}

func (z *zone) exchange(_ context.Context, q *miekg.Msg, _ string, _ bool) (*miekg.Msg, error) {
	m := new(miekg.Msg).SetReply(q)
	name, qtype := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, ".")), q.Question[0].Qtype
	if z.fail[name] || z.fail[name+"/"+miekg.TypeToString[qtype]] {
		m.Rcode = miekg.RcodeServerFailure
		return m, nil
	}
	for _, rr := range z.records[name] {
		if kind := rr.Header().Rrtype; kind == qtype || kind == miekg.TypeCNAME {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(z.records[name]) == 0 {
		m.Rcode = miekg.RcodeNameError
	}
	m.AuthenticatedData = slices.ContainsFunc(z.signed, func(s string) bool { return name == s || strings.HasSuffix(name, "."+s) })
	return m, nil
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
		Resolver: z.resolver(), Hostname: "mx.own.example",
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
