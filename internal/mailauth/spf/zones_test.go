package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// spfRecord is a TXT record of any bytes.
func spfRecord(t testing.TB, name, text string) lib.RR {
	var parts []string
	for ; len(text) > 255; text = text[255:] {
		parts = append(parts, text[:255])
	}
	return &lib.TXT{Hdr: header(t, name, lib.TypeTXT), Txt: escaped(append(parts, text))}
}

// slowResolver asks a server that never answers.
func slowResolver() *dns.Resolver {
	return dns.New(dns.Options{
		Servers: []string{"192.0.2.53", "192.0.2.54", "192.0.2.55"}, Hosts: "/dev/null",
		Exchange: func(ctx context.Context, _ *lib.Msg, _ string, _ bool) (*lib.Msg, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
}

// FuzzCheck: whatever the records of a few domains say, a check ends with a result of the
// RFC's, asks no more than it may, and never passes where the record could not be had.
func FuzzCheck(f *testing.F) {
	f.Add("ip4:192.0.2.0/24 -all", "a mx ptr", "%{p}.%{ir}.x", "me", "h.example", uint8(0))
	f.Add("include:b.example redirect=c.example", "include:a.example exists:%{l}.%{d2}", "mx:b.example", "a.b-c", "x y", uint8(1))
	f.Add("mx:h.example mx:h.example/8 ptr:example ?all exp=c.example", "exists:%{p}.example", "%{s} %{c} %{r} %{t}", "ü", "[::1]", uint8(2))
	f.Add("a:%{h} a:%{d}.h.example//0 ~include:%{o}", "-all", "", `"q"@`, "c.example", uint8(255))
	f.Fuzz(func(t *testing.T, a, b, c, local, helo string, faults uint8) {
		if len(a)+len(b)+len(c) > 20_000 {
			return
		}
		z := dnstest.New(t, "h.example. A 192.0.2.7\nh.example. AAAA 2001:db8::7\n")
		for name, text := range map[string]string{"a.example": a, "b.example": b, "c.example": c} {
			z.AddRR(spfRecord(t, name, "v=spf1 "+text))
		}
		z.AddRR(spfRecord(t, "c.example", c))
		for i := range 12 {
			host := fmt.Sprintf("m%d.h.example", i)
			if i < 10 || faults&0x10 != 0 {
				z.Add(t, fmt.Sprintf("h.example. MX %d %s.\na.example. MX %d %s.\n", i, host, i, host))
			}
			z.Add(t, fmt.Sprintf("1.2.0.192.in-addr.arpa. PTR %s.\n", host))
			if faults&0x20 == 0 {
				z.Add(t, fmt.Sprintf("%s. A 192.0.2.%d\n", host, 10+i))
			}
		}
		z.Asked()
		for i, name := range []string{"a.example", "b.example", "c.example", "h.example"} {
			if faults>>i&1 != 0 {
				z.Fail(name, dnstest.Fault(1+i%3))
			}
		}
		q := Request{IP: netip.MustParseAddr("192.0.2.1"), Helo: helo, Sender: mail.Address{Local: local, Domain: "a.example"}}
		if faults&0x40 != 0 {
			q.IP = netip.MustParseAddr("2001:db8::1")
		}
		res, trail := Explain(t.Context(), z.Resolver(), q)
		if asked := z.Asked(); len(asked) > MaxQuestions || trail.Questions > MaxQuestions {
			t.Fatalf("%d questions, %d answered: %v", trail.Questions, len(asked), asked)
		}
		switch res.Result {
		case mail.AuthNone, mail.AuthTempError, mail.AuthPermError:
			if res.Problem == "" || res.Mechanism != "" || res.Explanation != "" {
				t.Fatalf("%+v", res)
			}
		case mail.AuthPass, mail.AuthFail, mail.AuthSoftFail, mail.AuthNeutral:
			if res.Problem != "" || res.Mechanism == "" || res.Explanation != "" && res.Result != mail.AuthFail {
				t.Fatalf("%+v", res)
			}
			if faults&1 != 0 {
				t.Fatalf("%+v, and nobody has seen the record", res)
			}
			if _, err := Parse("v=spf1 " + a); err != nil {
				t.Fatalf("%+v, and the record is malformed: %v", res, err)
			}
		default:
			t.Fatalf("%+v", res)
		}
		if len(res.Explanation) > maxExplanation || strings.ContainsFunc(res.Explanation, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("explanation %q", res.Explanation)
		}
	})
}
