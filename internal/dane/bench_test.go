package dane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	ourdns "aliasmx/internal/dns"
	"aliasmx/internal/mail"

	"github.com/miekg/dns"
)

// answers is a resolver that has every answer.
type answers map[string]ourdns.Answer

func (a answers) Query(_ context.Context, name string, qtype uint16) (ourdns.Answer, error) {
	answer, ok := a[name+" "+dns.TypeToString[qtype]]
	if !ok {
		return ourdns.Answer{Name: name, Secure: true}, &ourdns.Error{Name: name, Kind: ourdns.NoData}
	}
	return answer, nil
}

// What a connection costs before it is made, where the answers are known.
func BenchmarkTLS(b *testing.B) {
	known := answers{}
	for key, text := range map[string]string{
		"dest.example MX": "dest.example. MX 10 mx.dest.example.", "mx.dest.example A": "mx.dest.example. A 192.0.2.1",
		"_25._tcp.mx.dest.example TLSA": "_25._tcp.mx.dest.example. TLSA 3 1 1 " + sum1,
	} {
		rr, err := dns.NewRR(text)
		if err != nil {
			b.Fatal(err)
		}
		known[key] = ourdns.Answer{RRs: []dns.RR{rr}, Secure: true}
	}
	d := New(Options{Names: known})
	b.ReportAllocs()
	for b.Loop() {
		if c, err := d.TLS(b.Context(), byMX("mx.dest.example")); err != nil || c.Level != mail.TLSDANE {
			b.Fatal(c, err)
		}
	}
}

// What its certificate costs afterwards.
func BenchmarkVerify(b *testing.B) {
	root := issue(b, nil, "root", nil)
	leaf := issue(b, root, "mx.dest.example", nil)
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf.Certificate, root.Certificate}}
	for name, r := range map[string]record{"EE": about(leaf, usageEE, 1, 1), "TA": about(root, usageTA, 1, 1)} {
		v := newVerifier([]record{r}, names, defaultDigests(), func() time.Time { return noon })
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !v.verify(state).Matched {
					b.Fatal("no match")
				}
			}
		})
	}
}
