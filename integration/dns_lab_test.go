package integration

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"aliasmx/integration/peers"
	ourdns "aliasmx/internal/dns"

	"github.com/miekg/dns"
)

// newLab starts a laboratory for one test.
func newLab(t testing.TB, zones ...peers.Zone) *peers.Lab {
	t.Helper()
	lab, err := peers.NewLab(t.TempDir(), zones)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	return lab
}

// labZones are one zone of each kind; each has a host "mx" and is its own MX.
func labZones() []peers.Zone {
	const text = "@ MX 10 mx\nmx A 127.0.0.1\n"
	return []peers.Zone{
		{Name: "secure.example", Text: text + "_25._tcp.mx TLSA 3 1 1 " + digest + "\nalias CNAME mx\naway CNAME mx.insecure.example.\nin CNAME mx.secure3.example.\n*.wild A 127.0.0.1\n", Signed: true},
		{Name: "secure3.example", Text: text + "a.deep A 127.0.0.1\n", Signed: true, NSEC3: true},
		{Name: "sub.secure.example", Text: text, Signed: true},
		{Name: "plain.secure.example", Text: text},
		{Name: "insecure.example", Text: text + "home CNAME mx.secure.example.\n"},
		{Name: "island.example", Text: text, Signed: true, Fault: peers.Island},
		{Name: "bogus.example", Text: text, Signed: true, Fault: peers.Bogus},
		{Name: "part.example", Text: text, Signed: true, Fault: peers.Bogus, Names: []string{"mx"}},
		{Name: "expired.example", Text: text, Signed: true, Fault: peers.Expired},
		{Name: "stripped.example", Text: text, Signed: true, Fault: peers.Unsigned},
		{Name: "servfail.example", Text: text, Fault: peers.ServFail},
		{Name: "refused.example", Text: text, Fault: peers.Refused},
		{Name: "notlsa.example", Text: text + "_25._tcp.mx TLSA 3 1 1 " + digest + "\n", Signed: true, Fault: peers.ServFail, Types: []string{"TLSA"}},
		{Name: "hidden.example", Text: text, Signed: true, Fault: peers.StripTypes, Types: []string{"MX"}},
		{Name: "cut.example", Text: text, Fault: peers.Truncated},
		{Name: "slow.example", Text: text, Fault: peers.Slow, Delay: 200 * time.Millisecond},
		{Name: "silent.example", Text: text, Fault: peers.Silent},
	}
}

const digest = "0000000000000000000000000000000000000000000000000000000000000000"

// labQuestions are questions to the zones of labZones, and what is right to answer.
var labQuestions = []struct {
	name  string
	qtype uint16
	rcode int
	ad    bool
	n     int // records
}{
	{"secure.example.", dns.TypeMX, dns.RcodeSuccess, true, 1},
	{"_25._tcp.mx.secure.example.", dns.TypeTLSA, dns.RcodeSuccess, true, 1},
	{"_tcp.mx.secure.example.", dns.TypeTLSA, dns.RcodeSuccess, true, 0},
	{"mx.secure.example.", dns.TypeAAAA, dns.RcodeSuccess, true, 0},
	{"gone.secure.example.", dns.TypeMX, dns.RcodeNameError, true, 0},
	{"x.wild.secure.example.", dns.TypeA, dns.RcodeSuccess, true, 1},
	{"alias.secure.example.", dns.TypeA, dns.RcodeSuccess, true, 2},
	{"away.secure.example.", dns.TypeA, dns.RcodeSuccess, false, 2},
	{"in.secure.example.", dns.TypeA, dns.RcodeSuccess, true, 2},
	{"secure3.example.", dns.TypeMX, dns.RcodeSuccess, true, 1},
	{"mx.secure3.example.", dns.TypeAAAA, dns.RcodeSuccess, true, 0},
	{"deep.secure3.example.", dns.TypeMX, dns.RcodeSuccess, true, 0},
	{"gone.secure3.example.", dns.TypeMX, dns.RcodeNameError, true, 0},
	{"sub.secure.example.", dns.TypeMX, dns.RcodeSuccess, true, 1},
	{"plain.secure.example.", dns.TypeMX, dns.RcodeSuccess, false, 1},
	{"insecure.example.", dns.TypeMX, dns.RcodeSuccess, false, 1},
	{"gone.insecure.example.", dns.TypeMX, dns.RcodeNameError, false, 0},
	{"home.insecure.example.", dns.TypeA, dns.RcodeSuccess, false, 2},
	{"island.example.", dns.TypeMX, dns.RcodeSuccess, false, 1},
	{"bogus.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"part.example.", dns.TypeMX, dns.RcodeSuccess, true, 1},
	{"mx.part.example.", dns.TypeA, dns.RcodeServerFailure, false, 0},
	{"expired.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"stripped.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"servfail.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"refused.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"notlsa.example.", dns.TypeMX, dns.RcodeSuccess, true, 1},
	{"_25._tcp.mx.notlsa.example.", dns.TypeTLSA, dns.RcodeServerFailure, false, 0},
	{"hidden.example.", dns.TypeMX, dns.RcodeServerFailure, false, 0},
	{"cut.example.", dns.TypeMX, dns.RcodeSuccess, false, 1},
	{"slow.example.", dns.TypeMX, dns.RcodeSuccess, false, 1},
	{"nowhere.", dns.TypeMX, dns.RcodeNameError, true, 0},
}

// What the validating resolver of the laboratory says of each kind: if it did not, the
// tests that are built on it would prove nothing.
func TestLabAnswersEachKind(t *testing.T) {
	t.Parallel()
	lab := newLab(t, labZones()...)
	for _, c := range labQuestions {
		q := new(dns.Msg).SetQuestion(c.name, c.qtype)
		q.SetEdns0(1232, true)
		client := dns.Client{Timeout: limit}
		m, _, err := client.Exchange(q, lab.Resolver)
		if err != nil {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.qtype], err)
			continue
		}
		n := 0
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != dns.TypeRRSIG {
				n++
			}
		}
		if m.Rcode != c.rcode || m.AuthenticatedData != c.ad || n != c.n {
			t.Errorf("%s %s: got %s ad=%v with %d records, want %s ad=%v with %d", c.name, dns.TypeToString[c.qtype],
				dns.RcodeToString[m.Rcode], m.AuthenticatedData, n, dns.RcodeToString[c.rcode], c.ad, c.n)
		}
	}
}

// Our resolver says of each kind what unbound said, believes it where it is to be
// believed, and tells "there is none" from "nobody knows".
func TestResolverBelievesTheLab(t *testing.T) {
	t.Parallel()
	lab := newLab(t, labZones()...)
	for _, believed := range []bool{true, false} {
		o := ourdns.Options{Servers: []string{lab.Resolver}}
		if !believed {
			o.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		}
		r := ourdns.New(o)
		for _, c := range labQuestions {
			a, err := r.Query(t.Context(), c.name, c.qtype)
			want := map[bool]error{true: ourdns.ErrTemporary, false: ourdns.ErrNotFound}[c.rcode == dns.RcodeServerFailure]
			if c.rcode == dns.RcodeSuccess && c.n > 0 {
				want = nil
			}
			if !errors.Is(err, want) || (err == nil) != (want == nil) || a.Secure != (c.ad && believed) || (len(a.RRs) > 0) != (want == nil) {
				t.Errorf("%s %s, believed: %v: got %d records, secure: %v, %v; want %v, secure: %v", c.name, dns.TypeToString[c.qtype],
					believed, len(a.RRs), a.Secure, err, want, c.ad && believed)
			}
		}
		if a, err := r.Query(t.Context(), "in.secure.example", dns.TypeA); err != nil || a.Name != "mx.secure3.example" {
			t.Errorf("in.secure.example: leads to %s, %v", a.Name, err)
		}
	}
}
