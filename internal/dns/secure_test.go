package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// said is the reply of one server to one question: records as in a master file, flags in
// front: "ad", "nxdomain", "servfail".
func said(t *testing.T, q *dns.Msg, text string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetReply(q)
	for s := range strings.SplitSeq(text, ";") {
		switch s = strings.TrimSpace(s); s {
		case "":
		case "ad":
			m.AuthenticatedData = true
		case "nxdomain":
			m.Rcode = dns.RcodeNameError
		case "servfail":
			m.Rcode = dns.RcodeServerFailure
		default:
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

// What is secure: each step of an answer was vouched for by a server that is trusted.
func TestQuerySecure(t *testing.T) {
	const near, far = "127.0.0.1:53", "192.0.2.53:53"
	for _, c := range []struct {
		name    string
		servers []string
		trusted []netip.Prefix
		says    map[string]string // by server and name
		want    string            // name at the end, records, error
		secure  bool
	}{
		{"vouched for", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN A 192.0.2.1"}, "x 1", true},
		{"not vouched for", []string{near}, nil, map[string]string{near + " x.": "x. 60 IN A 192.0.2.1"}, "x 1", false},
		{"by one who is not trusted", []string{far}, nil, map[string]string{far + " x.": "ad; x. 60 IN A 192.0.2.1"}, "x 1", false},
		{"by one who is declared", []string{far}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, map[string]string{far + " x.": "ad; x. 60 IN A 192.0.2.1"}, "x 1", true},
		{"loopback is not declared", []string{near}, []netip.Prefix{}, map[string]string{near + " x.": "ad; x. 60 IN A 192.0.2.1"}, "x 1", false},
		{"no such name", []string{near}, nil, map[string]string{near + " x.": "ad; nxdomain"}, "x 0 not found", true},
		{"no such name, not vouched for", []string{near}, nil, map[string]string{near + " x.": "nxdomain"}, "x 0 not found", false},
		{"no such records", []string{near}, nil, map[string]string{near + " x.": "ad"}, "x 0 not found", true},
		{"alias in one reply", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN CNAME Y.Example.; y.example. 60 IN A 192.0.2.1"}, "y.example 1", true},
		{"alias followed by us", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN CNAME y.", near + " y.": "ad; y. 60 IN A 192.0.2.1"}, "y 1", true},
		{"alias that anybody could forge", []string{near}, nil, map[string]string{near + " x.": "x. 60 IN CNAME y.", near + " y.": "ad; y. 60 IN A 192.0.2.1"}, "y 1", false},
		{"alias to what anybody could forge", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN CNAME y.", near + " y.": "y. 60 IN A 192.0.2.1"}, "y 1", false},
		{"alias to nowhere", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN CNAME y.", near + " y.": "ad; nxdomain"}, "y 0 not found", true},
		{"alias to nowhere, perhaps", []string{near}, nil, map[string]string{near + " x.": "ad; x. 60 IN CNAME y.", near + " y.": "nxdomain"}, "y 0 not found", false},
		{"the trusted one is away", []string{near, far}, nil, map[string]string{far + " x.": "ad; x. 60 IN A 192.0.2.1"}, "x 1", false},
		{"fails, and has never vouched", []string{near, far}, nil, map[string]string{near + " x.": "servfail", far + " x.": "x. 60 IN A 192.0.2.1"}, "x 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New(Options{Servers: c.servers, Trusted: c.trusted, Exchange: func(_ context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
				text, ok := c.says[server+" "+q.Question[0].Name]
				if !ok {
					return nil, errors.New("connection refused")
				}
				if q.AuthenticatedData != (server == near && c.trusted == nil || server == far && len(c.trusted) > 0) {
					t.Errorf("%s is asked whether it vouches: %v", server, q.AuthenticatedData)
				}
				return said(t, q, text), nil
			}})
			for range 2 { // the second comes from the cache
				a, err := r.Query(t.Context(), "x", dns.TypeA)
				got := a.Name + " " + string(rune('0'+len(a.RRs)))
				if errors.Is(err, ErrNotFound) {
					got += " not found"
				} else if err != nil {
					got += " " + err.Error()
				}
				if got != c.want || a.Secure != c.secure {
					t.Errorf("got %q, secure: %v; want %q, %v", got, a.Secure, c.want, c.secure)
				}
			}
		})
	}
}

// A server that validates says SERVFAIL of what was forged. Asking the next one, which
// does not, brought the forgery.
func TestForgeryIsNotHadElsewhere(t *testing.T) {
	const near, far = "127.0.0.1:53", "192.0.2.53:53"
	var asked []string
	r := New(Options{Servers: []string{near, far}, Exchange: func(_ context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
		asked = append(asked, server+" "+q.Question[0].Name)
		switch {
		case server == far:
			return said(t, q, q.Question[0].Name+" 60 IN A 192.0.2.66"), nil
		case q.Question[0].Name == "forged.":
			return said(t, q, "servfail"), nil
		}
		return said(t, q, "ad; good. 60 IN A 192.0.2.1"), nil
	}})
	if a, err := r.Query(t.Context(), "good", dns.TypeA); err != nil || !a.Secure {
		t.Fatalf("good: %+v, %v", a, err)
	}
	if a, err := r.Query(t.Context(), "forged", dns.TypeA); !errors.Is(err, ErrTemporary) {
		t.Errorf("forged: got %v, %v, want a temporary failure", a.RRs, err)
	}
	if slices.Contains(asked, far+" forged.") {
		t.Error("the server that does not validate was asked")
	}
}

func TestTrustAD(t *testing.T) {
	for text, want := range map[string]bool{
		"nameserver 192.0.2.53\noptions edns0 trust-ad\n": true,
		"nameserver 192.0.2.53\noptions edns0\n":          false,
		"nameserver 127.0.0.53\n":                         true,
		"nameserver ::1\n":                                true,
	} {
		r := New(Options{ResolvConf: writeConf(t, text), Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
			return said(t, q, "ad; x. 60 IN A 192.0.2.1"), nil
		}})
		a, err := r.Query(t.Context(), "x", dns.TypeA)
		if err != nil || a.Secure != want {
			t.Errorf("%q: secure: %v, %v; want %v", text, a.Secure, err, want)
		}
		trusted, others, err := r.Servers()
		if err != nil || (len(trusted) == 1) != want || len(trusted)+len(others) != 1 {
			t.Errorf("%q: Servers: %v, %v, %v", text, trusted, others, err)
		}
	}
}

// The probe warns once, in Postfix's words, where nobody vouches for anything; it is not
// sent where somebody has.
func TestProbe(t *testing.T) {
	probe, err := ParseProbe("ns:.")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, x, root string
		probe         Probe
		asks          int
		want          string
	}{
		{"nobody validates", "x. 60 IN A 192.0.2.1", ". 60 IN NS a.root.", probe, 1,
			"DNSSEC validation may be unavailable\nreason: dnssec_probe 'ns:.' received a response that is not DNSSEC validated\n"},
		{"no answer", "x. 60 IN A 192.0.2.1", "servfail", probe, 2,
			"DNSSEC validation may be unavailable\nreason: dnssec_probe 'ns:.' received no response: " +
				"Host or domain name not found. Name service error for name=. type=NS: Host not found, try again\n"},
		{"the root is signed", "x. 60 IN A 192.0.2.1", "ad; . 60 IN NS a.root.", probe, 1, ""},
		{"x is signed", "ad; x. 60 IN A 192.0.2.1", "", probe, 0, ""},
		{"no probe", "x. 60 IN A 192.0.2.1", "", Probe{}, 0, ""},
	} {
		var warned strings.Builder
		asks := 0
		r := New(Options{Servers: []string{"127.0.0.1"}, Probe: c.probe, CacheSize: -1,
			Warn: func(text string) { warned.WriteString(text + "\n") },
			Exchange: func(_ context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
				if q.Question[0].Name == "." {
					asks++
					return said(t, q, c.root), nil
				}
				if q.Question[0].Name == "x." {
					return said(t, q, c.x), nil
				}
				return said(t, q, "plain. 60 IN A 192.0.2.1"), nil
			}})
		for _, name := range []string{"x", "plain", "x", "plain"} {
			if _, err := r.Query(t.Context(), name, dns.TypeA); err != nil {
				t.Fatal(err)
			}
		}
		if asks != c.asks || warned.String() != c.want {
			t.Errorf("%s: asked %d times, want %d; warned\n%swant\n%s", c.name, asks, c.asks, warned.String(), c.want)
		}
	}
	for _, s := range []string{"ns", "ns:", "what:.", "ns:a b", ":."} {
		if _, err := ParseProbe(s); err == nil {
			t.Errorf("ParseProbe(%q) gives no error", s)
		}
	}
	if p, err := ParseProbe("SOA:Example"); err != nil || p.name != "Example." || p.qtype != dns.TypeSOA {
		t.Errorf("ParseProbe: %+v, %v", p, err)
	}
}
