package spf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// BenchmarkCheck is the CPU that a check takes when the resolver's cache has the answers;
// cold and warm are the questions that go out for the first check and for another.
func BenchmarkCheck(b *testing.B) {
	var networks strings.Builder
	for i := range 60 {
		fmt.Fprintf(&networks, "ip4:198.51.%d.0/24 ", i)
	}
	zone := `
small.example. TXT "v=spf1 ip4:192.0.2.0/24 -all"
mx.example. TXT "v=spf1 mx -all"
mx.example. MX 10 mx1.example.
mx.example. MX 20 mx2.example.
mx1.example. A 192.0.2.10
mx2.example. A 192.0.2.1
macro.example. TXT "v=spf1 exists:%{ir}.%{v}.list.example -all"
1.2.0.192.in-addr.list.example. A 127.0.0.2
large.example. TXT "v=spf1 include:p1.example include:p2.example include:p3.example ~all"
p1.example. TXT "v=spf1 include:n1.example include:n2.example include:n3.example ~all"
p2.example. TXT "v=spf1 ip6:2001:db8::/32 a:mx1.example ~all"
p3.example. TXT "v=spf1 redirect=n4.example"
`
	z := dnstest.New(b, zone)
	for i := range 5 {
		z.AddTXT(fmt.Sprintf("n%d.example", i), "v=spf1 "+networks.String()+"~all")
	}
	for _, domain := range []string{"small", "mx", "macro", "large"} {
		b.Run(domain, func(b *testing.B) {
			r, q := z.Resolver(), Request{IP: netip.MustParseAddr("192.0.2.1"), Helo: "helo.example", Sender: mail.Address{Local: "me", Domain: domain + ".example"}}
			z.Asked()
			want := mail.AuthPass
			if domain == "large" {
				want = mail.AuthSoftFail
			}
			if got := Check(b.Context(), r, q); got.Result != want {
				b.Fatalf("%+v", got)
			}
			cold := len(z.Asked())
			b.ReportAllocs()
			for b.Loop() {
				Check(b.Context(), r, q)
			}
			b.ReportMetric(float64(cold), "cold-questions")
			b.ReportMetric(float64(len(z.Asked()))/float64(b.N), "warm-questions/op")
		})
	}
}
