package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"aliasmx/internal/dns"
	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// resolver asks a zone, and says of what there is not how long that holds, as name servers
// do (RFC 2308).
func resolver(z *dnstest.Zone) *dns.Resolver {
	inner := z.Resolver()
	return dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: "/dev/null", Attempts: 1, Exchange: func(ctx context.Context, q *mdns.Msg, _ string, _ bool) (*mdns.Msg, error) {
		name := strings.TrimSuffix(q.Question[0].Name, ".")
		a, err := inner.Query(ctx, name, q.Question[0].Qtype)
		m := new(mdns.Msg).SetReply(q)
		m.Answer = a.RRs
		if e, ok := errors.AsType[*dns.Error](err); ok {
			m.Ns = append(m.Ns, &mdns.SOA{Hdr: mdns.RR_Header{Name: "example.", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: 300}, Ns: "ns.", Mbox: "x.", Minttl: 300})
			if e.Kind == dns.NoName {
				m.Rcode = mdns.RcodeNameError
			}
		}
		return m, nil
	}})
}

// What is asked, in which order (section 4.10), and nothing twice.
func TestQuestions(t *testing.T) {
	for _, c := range []struct{ name, zone, author, spf, dkim, want string }{
		{"own record", "a.example v=DMARC1; p=reject", "a.example", "pass a.example", "pass a.example", "a.example example"},
		{"of a subdomain", "a.example v=DMARC1; p=reject", "x.a.example", "pass y.a.example", "pass z.y.a.example", "x.a.example a.example example y.a.example z.y.a.example"},
		{"a stranger's signature asks for nothing", "a.example v=DMARC1; p=reject", "a.example", "pass b.example", "pass c.test, pass x.y.z.test", "a.example example"},
		{"nor do those that fail", "a.example v=DMARC1; p=reject", "a.example", "fail x.a.example", "fail y.a.example", "a.example example"},
		{"nor any where alignment is strict", "a.example v=DMARC1; p=reject; adkim=s; aspf=s", "a.example", "pass x.a.example", "pass y.a.example", "a.example example"},
		{"nor any where there is no record", "", "x.a.example", "pass y.a.example", "pass z.a.example", "x.a.example a.example example"},
		{"psd=n ends the walk", "a.example v=DMARC1; p=reject; psd=n", "x.a.example", "", "", "x.a.example a.example"},
		{"psd=y ends the walk", "b.example v=DMARC1; p=reject; psd=y", "x.a.b.example", "", "", "x.a.b.example a.b.example b.example"},
		{"seven labels", "", "a.b.c.d.e.f.example", "", "", "a.b.c.d.e.f.example b.c.d.e.f.example c.d.e.f.example d.e.f.example e.f.example f.example example"},
		{"eight labels", "", "a.b.c.d.e.f.g.example", "", "", "a.b.c.d.e.f.g.example b.c.d.e.f.g.example c.d.e.f.g.example d.e.f.g.example e.f.g.example f.g.example g.example example"},
		{"nine labels", "", "z.a.b.c.d.e.f.g.example", "", "", "z.a.b.c.d.e.f.g.example b.c.d.e.f.g.example c.d.e.f.g.example d.e.f.g.example e.f.g.example f.g.example g.example example"},
		{"many", "", "a.b.c.d.e.f.g.h.i.j.mail.example.com", "", "", "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com"},
	} {
		z := zone(t, c.zone)
		spf := append(ids(c.spf), Identity{})[0]
		r := resolver(z)
		Check(t.Context(), r, c.author, spf, ids(c.dkim))
		var want []string
		for name := range strings.FieldsSeq(c.want) {
			want = append(want, "_dmarc."+name+". TXT")
		}
		if got := z.Asked(); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, want)
		}
		Check(t.Context(), r, c.author, spf, ids(c.dkim))
		if got := z.Asked(); len(got) > 0 {
			t.Errorf("%s, again: %v", c.name, got)
		}
	}
}

// The most that a message can have us ask: every identity under the author's domain, with as
// many labels as there can be, and none of them aligned.
func TestMostQuestions(t *testing.T) {
	z := dnstest.New(t, "")
	z.AddTXT("_dmarc.o.example", "v=DMARC1; p=reject; sp=none; np=quarantine")
	spf := Identity{"s.t.u.v.w.x.y.z.o.example", mail.AuthPass}
	z.AddTXT("_dmarc.v.w.x.y.z.o.example", "v=DMARC1; p=none; psd=n")
	var dkim []Identity
	for i := range 100 {
		top := fmt.Sprintf("c.d.e.f.s%d.o.example", i)
		z.AddTXT("_dmarc.f."+top, "v=DMARC1; p=none")
		z.AddTXT("_dmarc."+last(top, 3), "v=DMARC1; p=none; psd=n")
		dkim = append(dkim, Identity{"a.b." + top, mail.AuthPass})
	}
	res := Check(t.Context(), z.Resolver(), "1.2.3.4.5.6.7.8.o.example", spf, dkim)
	if res.Result != mail.AuthFail || res.Disposition != Quarantine {
		t.Errorf("%+v", res)
	}
	if n := len(z.Asked()); n > maxQueries*(2+maxIdentities)+1 || n < maxQueries*5 {
		t.Errorf("%d questions", n)
	}
}

func TestOrgDomain(t *testing.T) {
	z := zone(t, `a.example v=DMARC1; p=none
b.a.example v=DMARC1; p=none; psd=n
bank.example v=DMARC1; p=none; psd=y
FAIL _dmarc.broken.example`)
	r := z.Resolver()
	for in, want := range map[string]string{
		"a.example": "a.example", "X.a.Example.": "a.example", "b.a.example": "b.a.example", "x.y.b.a.example": "b.a.example",
		"x.mega.bank.example": "mega.bank.example", "bank.example": "bank.example", "none.test": "none.test", "x.none.test": "x.none.test",
		"bücher.a.example": "a.example", "example": "example",
		"x.broken.example": "error", "": "error", "a..b": "error", "[192.0.2.1]": "error",
	} {
		got, err := OrgDomain(t.Context(), r, in)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", in, got, err, want)
		}
	}
}

func TestAligned(t *testing.T) {
	z := zone(t, `a.example v=DMARC1; p=none
b.a.example v=DMARC1; p=none; psd=n
bank.example v=DMARC1; p=none; psd=y
FAIL _dmarc.broken.example`)
	r := z.Resolver()
	for in, want := range map[string]string{
		"a.example A.example.": "true", "x.a.example y.a.example": "true", "a.example x.a.example": "true", "bücher.example xn--bcher-kva.example": "true",
		"b.a.example a.example": "false", "b.a.example x.b.a.example": "true", "x.bank.example y.bank.example": "false", "x.y.bank.example y.bank.example": "true",
		"x.none.test y.none.test": "false", "x.none.test none.test": "false", "xa.example a.example": "false", "a.test a.example": "false",
		"broken.example broken.example": "true", "x.broken.example broken.example": "error", "a.example x.broken.example": "false",
		" a.example": "error", "a.example a..b": "error",
	} {
		a, b, _ := strings.Cut(in, " ")
		for range 2 {
			aligned, err := Aligned(t.Context(), r, a, b)
			got := fmt.Sprint(aligned)
			if err != nil {
				if got = "error"; aligned {
					t.Errorf("%s: aligned, and %v", in, err)
				}
			}
			if got != want {
				t.Errorf("%s %s: %s (%v), want %s", a, b, got, err, want)
			}
			a, b = b, a
		}
	}
}
