package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// Which records of a reply are the answer.
func TestRecordsThatBelong(t *testing.T) {
	longChain := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "n%d.x. 60 IN CNAME n%d.x.;", i, i+1)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, question, reply string
		qtype                 uint16
		want                  string // values of the records, or the error
	}{
		{"other names and types", "x.", "y. 60 IN MX 1 evil.; x. 60 IN A 192.0.2.1; x. 60 IN MX 10 good.x.; x. 60 IN TXT a", dns.TypeMX, "10 good.x."},
		{"another class", "x.", "x. 60 CH MX 1 evil.; x. 60 IN MX 10 good.x.", dns.TypeMX, "10 good.x."},
		{"an alias of another class", "x.", "x. 60 CH CNAME evil.; evil. 60 IN MX 1 evil.; x. 60 IN MX 10 good.x.", dns.TypeMX, "10 good.x."},
		{"only of another name", "x.", "y. 60 IN MX 1 evil.", dns.TypeMX, "no data"},
		{"an exchanger that is no name", "x.", `x. 60 IN MX 1 bad\032name.x.`, dns.TypeMX, `1 bad\ name.x.`}, // whoever uses it finds out
		{"an alias to no name", "x.", `x. 60 IN CNAME bad\032name.x.; bad\032name.x. 60 IN MX 1 evil.`, dns.TypeMX, "malformed"},
		{"an alias to no name, which does not exist", "x.", `nxdomain; x. 60 IN CNAME bad\032name.x.`, dns.TypeMX, "no name"},
		{"does not exist, and has records", "x.", `nxdomain; x. 60 IN MX 1 evil.`, dns.TypeMX, "no name"},
		{"ten aliases", "n0.x.", longChain(10) + "n10.x. 60 IN MX 1 good.x.", dns.TypeMX, "1 good.x."},
		{"eleven aliases", "n0.x.", longChain(11) + "n11.x. 60 IN MX 1 good.x.", dns.TypeMX, "loop"},
		{"a circle", "x.", "x. 60 IN CNAME y.; y. 60 IN CNAME x.", dns.TypeMX, "loop"},
		{"itself", "x.", "x. 60 IN CNAME x.", dns.TypeMX, "loop"},
		{"IPv4 in IPv6", "x.", "x. 60 IN AAAA ::ffff:192.0.2.1", dns.TypeAAAA, "::ffff:192.0.2.1"},
	} {
		r := New(Options{Servers: []string{"192.0.2.1"}, Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
			return said(t, q, c.reply), nil
		}})
		a, err := r.Query(t.Context(), c.question, c.qtype)
		var got []string
		for _, rr := range a.RRs {
			got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		var e *Error
		if errors.As(err, &e) {
			got = append(got, map[Kind]string{NoName: "no name", NoData: "no data", Malformed: "malformed", Loop: "loop"}[e.Kind])
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}

// A record may come without data. It is none, and if there is no other, that is no answer.
func TestRecordsWithoutData(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypePTR, dns.TypeTLSA, dns.TypeTXT} {
		for _, good := range []string{"", "x. 60 IN MX 1 y.", "x. 60 IN A 192.0.2.1", "x. 60 IN AAAA 2001:db8::1", "x. 60 IN NS y.",
			"x. 60 IN PTR y.", "x. 60 IN TLSA 3 1 1 00", "x. 60 IN TXT y"} {
			r := New(Options{Servers: []string{"192.0.2.1"}, Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
				m := said(t, q, good)
				if len(m.Answer) > 0 && m.Answer[0].Header().Rrtype != qtype {
					m.Answer = nil
				}
				empty := dns.TypeToRR[qtype]()
				*empty.Header() = dns.RR_Header{Name: "x.", Rrtype: qtype, Class: dns.ClassINET, Ttl: 60}
				m.Answer = append(m.Answer, empty)
				return m, nil
			}})
			a, err := r.Query(t.Context(), "x", qtype)
			has := strings.Contains(good, " "+dns.TypeToString[qtype]+" ")
			var e *Error
			if has && (err != nil || len(a.RRs) != 1) || !has && (!errors.As(err, &e) || e.Kind != Malformed) {
				t.Errorf("%s beside %q: got %v, %v", dns.TypeToString[qtype], good, a.RRs, err)
			}
		}
	}
}

// Aliases count in all, whoever follows them.
func TestAliasesCountOverReplies(t *testing.T) {
	for _, c := range []struct{ each, n int }{{1, 10}, {1, 11}, {3, 10}, {3, 11}, {11, 11}} {
		asked := 0
		r := New(Options{Servers: []string{"192.0.2.1"}, Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
			asked++
			var from int
			fmt.Sscanf(q.Question[0].Name, "n%d.x.", &from)
			var b strings.Builder
			for i := from; i < min(from+c.each, c.n); i++ {
				fmt.Fprintf(&b, "n%d.x. 60 IN CNAME n%d.x.;", i, i+1)
			}
			return said(t, q, b.String()+fmt.Sprintf("n%d.x. 60 IN A 192.0.2.1", c.n)), nil
		}})
		_, err := r.Query(t.Context(), "n0.x", dns.TypeA)
		if (err == nil) != (c.n <= maxAliases) || err != nil && !strings.HasPrefix(err.Error(), "Name server loop") {
			t.Errorf("%d aliases, %d in a reply: %v", c.n, c.each, err)
		}
		if asked > maxAliases+1 {
			t.Errorf("%d aliases, %d in a reply: asked %d times", c.n, c.each, asked)
		}
	}
}

// A peer decides how many records its name has, and so what the cache holds.
func TestAnswersAreBounded(t *testing.T) {
	z := newZone(t)
	for i := range 150 {
		z.add(t, fmt.Sprintf("many.example. 60 IN A 192.0.2.%d", i))
	}
	for i := range 40 {
		z.add(t, fmt.Sprintf("t%d.example. 60 IN TXT \"%s\"", i, strings.Repeat("x", 250)))
	}
	r := z.resolver()
	if a, err := r.Query(t.Context(), "many.example", dns.TypeA); err != nil || len(a.RRs) != maxRecords {
		t.Errorf("got %d records, %v; want %d", len(a.RRs), err, maxRecords)
	}
	r.cache.maxBytes = 5000
	for i := range 40 {
		if _, err := r.TXT(t.Context(), fmt.Sprintf("t%d.example", i)); err != nil {
			t.Fatal(err)
		}
		if r.cache.bytes > r.cache.maxBytes {
			t.Fatalf("the cache holds %d bytes of %d", r.cache.bytes, r.cache.maxBytes)
		}
	}
	if n := r.cache.used.Len(); n < 5 || n > 20 {
		t.Errorf("the cache holds %d answers", n)
	}
	before := z.count()
	r.TXT(t.Context(), "t39.example")
	if z.count() != before {
		t.Error("the last answer was not kept")
	}
}

// Whatever a server sends, a question ends, with as many steps and records as are allowed,
// and each record is of the type and name that were asked for.
func FuzzReplies(f *testing.F) {
	seed := func(text string) {
		q := new(dns.Msg).SetQuestion("x.", dns.TypeMX)
		m := said(&testing.T{}, q, text)
		m.Compress = true
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint8(0))
	}
	seed("ad; x. 60 IN MX 10 good.x.; x. 60 IN CNAME y.; y. 60 IN A 192.0.2.1; y. 60 IN AAAA 2001:db8::1")
	seed("nxdomain; x. 60 IN CNAME x.")
	seed("x. 60 IN MX 0 .; x. 60 IN TLSA 3 1 1 00; x. 60 IN TXT \"\"; x. 60 IN PTR y.; x. 60 IN NS y.")
	f.Add([]byte("\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01x\x00\x00\x0f\x00\x01\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x00"), uint8(0))
	types := []uint16{dns.TypeMX, dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeNS, dns.TypePTR, dns.TypeTLSA, dns.TypeCNAME}
	f.Fuzz(func(t *testing.T, packet []byte, which uint8) {
		qtype := types[int(which)%len(types)]
		var asked atomic.Int32 // addresses are asked for side by side
		r := New(Options{Servers: []string{"127.0.0.1"}, Attempts: 1, Hosts: "testdata/hosts", Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
			asked.Add(1)
			m := new(dns.Msg)
			if err := m.Unpack(packet); err != nil {
				return nil, err
			}
			m.Id, m.Question = q.Id, q.Question // a server that says it was asked that
			return m, nil
		}})
		a, err := r.Query(t.Context(), "x", qtype)
		if n := asked.Load(); n > 3*(maxAliases+1) {
			t.Errorf("asked %d times", n)
		}
		if len(a.RRs) > maxRecords || (err == nil) != (len(a.RRs) > 0) {
			t.Errorf("%d records, %v", len(a.RRs), err)
		}
		for _, rr := range a.RRs {
			h := rr.Header()
			if h.Rrtype != qtype || h.Class != dns.ClassINET || plainName(h.Name) != a.Name || !usable(rr) {
				t.Errorf("asked for %s, got %s of %s", dns.TypeToString[qtype], rr, a.Name)
			}
		}
		r.MX(t.Context(), "x")
		r.Addrs(t.Context(), "x", Any)
		r.TXT(t.Context(), "x")
		r.NS(t.Context(), "x")
	})
}
