package dnscheck

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/dns"
	"aliasmx/internal/mtasts"
)

func policy(t *testing.T, mode string, mx ...string) mtasts.Policy {
	t.Helper()
	p, err := mtasts.ParsePolicy([]byte("version: STSv1\nmode: " + mode + "\nmx: " + strings.Join(mx, "\nmx: ") + "\nmax_age: 604800\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tooSlow is what a time-out looks like.
type tooSlow struct{}

func (tooSlow) Error() string   { return "i/o timeout" }
func (tooSlow) Timeout() bool   { return true }
func (tooSlow) Temporary() bool { return true }

func TestMTASTS(t *testing.T) {
	ca := newAuthority(t)
	own := policy(t, "enforce", "mx.own.example")
	const (
		zone    = ownHost + "a.example. MX 10 mx.own.example.\n"
		good    = zone + `_mta-sts.a.example. TXT "v=STSv1; id=own1;"`
		publish = "\n+ _mta-sts.a.example. 3600 IN TXT \"v=STSv1; id=own1;\""
		host    = "\n+ mta-sts.a.example. 3600 IN A 192.0.2.1\n+ mta-sts.a.example. 3600 IN AAAA 2001:db8::1"
	)
	short := own
	short.MaxAge = 86400e9
	for _, c := range []struct {
		name, zone string
		served     any // a policy or an error
		hosted     any
		shown      string // the host that the certificate is for
		want       string
	}{
		{"none", zone, nil, false, "", "missing: no record: nobody asks for the policy; serve it first (mta_sts_listen, or a web server)" + publish + host},
		{"none, but hosted", zone + "mta-sts.a.example. A 192.0.2.1", nil, true, "", "missing: no record: nobody asks for the policy" + publish},
		{"malformed", zone + `_mta-sts.a.example. TXT "v=STSv1; id=a-b;"`, nil, true, "", "wrong: not 1 to 32 letters and digits" + publish + host},
		{"two", zone + "_mta-sts.a.example. TXT \"v=STSv1; id=a\"\n_mta-sts.a.example. TXT \"v=STSv1; id=b\"", nil, true, "", "wrong: 2 TXT records" + publish + host},
		{"enforced", good, own, true, "mx.own.example", "ok: mode enforce, mx mx.own.example"},
		{"testing", good, policy(t, "testing", "*.own.example"), false, "mx.own.example", "note: mode testing"},
		{"no policy any more", good, policy(t, "none", "x.example"), false, "", "note: mode none"},
		{"not served", good, errors.New("connection refused"), true, "", "wrong: senders get no policy: connection refused" + host},
		{"too slow", good, fmt.Errorf("fetch: %w", tooSlow{}), true, "", "unknown: the policy could not be fetched: fetch: i/o timeout"},
		{"its host away", good, &dns.Error{Name: "mta-sts.a.example", Type: "A"}, true, "", "unknown: the policy could not be fetched"},
		{"another MX", good, policy(t, "enforce", "mx.other.example"), false, "mx.own.example", "wrong: does not name the MX mx.own.example"},
		{"not ours", good, policy(t, "enforce", "mx.own.example", "more.example"), true, "mx.own.example", "wrong: is not the policy that is configured here"},
		{"not ours, nor hosted", good, policy(t, "enforce", "mx.own.example", "more.example"), false, "mx.own.example", "ok: mode enforce"},
		{"id of another", strings.Replace(good, "own1", "old1", 1), own, true, "mx.own.example", "wrong: the id of another policy" + publish},
		{"soon forgotten", good, short, false, "mx.own.example", "note: max_age is 86400 seconds\nok: mode enforce"},
		{"certificate of another", good, own, true, "other.example", "wrong: will not take the certificate that mx.own.example shows: x509: certificate is valid for other.example, not mx.own.example"},
		{"no TLS", good, own, true, "", "wrong: mx.own.example offers no TLS"},
		{"MX away", good + "\nFAIL a.example/MX", own, true, "mx.own.example", "unknown: whether the policy names all MX hosts"},
		{"lists away", good, own, errors.New("table away"), "", "unknown: whether we serve the policy could not be asked: table away"},
		{"away", zone + "FAIL _mta-sts.a.example", own, true, "", "unknown: _mta-sts.a.example could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(newZone(t, c.zone))
			o.Roots, o.Policy, o.PolicyID = ca.pool(), &own, "own1"
			o.FetchPolicy = func(_ context.Context, domain string) (mtasts.Policy, error) {
				if p, ok := c.served.(mtasts.Policy); ok && domain == "a.example" {
					return p, nil
				}
				return mtasts.Policy{}, c.served.(error)
			}
			o.Hosted = func(context.Context, string) (bool, error) {
				if err, ok := c.hosted.(error); ok {
					return false, err
				}
				return c.hosted.(bool), nil
			}
			if c.shown != "" {
				o.Shown = func(context.Context, string) ([]*tls.Certificate, error) {
					return []*tls.Certificate{ca.leaf(c.shown)}, nil
				}
			}
			findings, _ := New(o).Domain(t.Context(), "a.example")
			expect(t, findings, MTASTS, c.want)
			for _, f := range findings {
				if asked := f.What == MTASTS && f.Level == Missing; asked && f.Policy != own.String() {
					t.Errorf("the policy to serve is %q", f.Policy)
				}
			}
		})
	}
	t.Run("nobody vouches for it", func(t *testing.T) {
		o := options(newZone(t, good))
		o.Roots = newAuthority(t).pool()
		o.FetchPolicy = func(context.Context, string) (mtasts.Policy, error) { return own, nil }
		o.Shown = func(context.Context, string) ([]*tls.Certificate, error) {
			return []*tls.Certificate{ca.leaf("mx.own.example")}, nil
		}
		findings, _ := New(o).Domain(t.Context(), "a.example")
		expect(t, findings, MTASTS, "wrong: x509: certificate signed by unknown authority")
	})
}

func TestTLSA(t *testing.T) {
	ca := newAuthority(t)
	shown, second, next := ca.leaf("mx.own.example"), ca.leaf("mx.own.example"), ca.leaf("mx.own.example")
	record := func(c *tls.Certificate) string { return spkiRecord(c.Leaf.RawSubjectPublicKeyInfo) }
	const name = "_25._tcp.mx.own.example."
	line := func(data string) string { return name + " TLSA " + data + "\n" }
	publish := "\n+ " + name + " 3600 IN TLSA " + record(shown)
	const signed = ownHost + "SIGNED own.example\n"
	for _, c := range []struct {
		name, zone string
		shown      []*tls.Certificate
		next       *tls.Certificate
		want       string
	}{
		{"no TLS", signed, nil, nil, "note: no TLS is offered"},
		{"records without TLS", signed + line(record(shown)), nil, nil, "wrong: senders with DANE do not deliver"},
		{"none, unsigned", ownHost, []*tls.Certificate{shown}, nil, "note: It would count only in a signed zone"},
		{"none, signed", signed, []*tls.Certificate{shown}, nil, "missing: though the zone is signed" + publish},
		{"good", signed + line(record(shown)), []*tls.Certificate{shown}, nil, "ok: 1 of 1 records match"},
		{"good, of the authority", signed + line("2 0 0 "+hex.EncodeToString(ca.cert.Raw)), []*tls.Certificate{shown}, nil, "ok: 1 of 1"},
		{"full certificate", signed + line("3 0 0 "+hex.EncodeToString(shown.Leaf.Raw)), []*tls.Certificate{shown}, nil, "ok: 1 of 1"},
		{"good, unsigned", ownHost + line(record(shown)), []*tls.Certificate{shown}, nil, "note: 1 records match, but senders only look at a signed zone"},
		{"only the address unsigned", ownHost + "SIGNED _25._tcp.mx.own.example\n" + line(record(shown)), []*tls.Certificate{shown}, nil, "note: only look at a signed zone"},
		{"of another key", signed + line(record(second)), []*tls.Certificate{shown}, nil, "wrong: no record matches the certificate that is shown (ECDSA)" + publish},
		{"one of two keys", signed + line(record(shown)), []*tls.Certificate{shown, second}, nil,
			"wrong: no record matches" + publish + "\n+ " + name + " 3600 IN TLSA " + record(second)},
		{"a key to follow", signed + line(record(shown)) + line(record(next)), []*tls.Certificate{shown}, next, "ok: 1 of 2 records match the certificates that are shown; 1 for keys that are to follow"},
		{"a key to follow, not there", signed + line(record(shown)), []*tls.Certificate{shown}, next,
			"ok: 1 of 1\nmissing: the key that is to follow\n+ " + name + " 3600 IN TLSA " + record(next)},
		{"for the web", signed + line("1 1 1 "+record(shown)[6:]) + line(record(shown)), []*tls.Certificate{shown}, nil, "wrong: usages 0 and 1 are not for mail" + publish + "\nok: 1 of 1"},
		{"nothing to use", signed + line("3 1 1 abcd"), []*tls.Certificate{shown}, nil, "wrong: has not the length" + publish},
		{"unknown numbers", signed + line("3 1 7 abcd"), []*tls.Certificate{shown}, nil, "wrong: unknown usage" + publish},
		{"away", signed + "FAIL _25._tcp.mx.own.example", []*tls.Certificate{shown}, nil, "unknown: _25._tcp.mx.own.example could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(newZone(t, c.zone))
			o.Shown = func(_ context.Context, host string) ([]*tls.Certificate, error) {
				if host != "mx.own.example" {
					return nil, fmt.Errorf("asked for %s", host)
				}
				return c.shown, nil
			}
			if c.next != nil {
				o.NextKeys = [][]byte{c.next.Leaf.RawSubjectPublicKeyInfo}
			}
			expect(t, New(o).Host(t.Context(), "MX.own.example."), TLSA, c.want)
		})
	}
}

func TestSelf(t *testing.T) {
	const names = "1.2.0.192.in-addr.arpa. PTR mx.own.example.\n1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.own.example.\n"
	const four = "1.2.0.192.in-addr.arpa."
	six := "1." + strings.Repeat("0.", 23) + "8.b.d.0.1.0.0.2.ip6.arpa."
	for _, c := range []struct{ name, zone, helo, wantHelo, wantPTR string }{
		{"good", ownHost + names, "", "ok: mx.own.example (192.0.2.1, 2001:db8::1)", "ok: 192.0.2.1 is mx.own.example and back\nok: 2001:db8::1 is mx.own.example"},
		{"nothing", "", "", "missing: mx.own.example has no address\n+ mx.own.example. 3600 IN A 192.0.2.1\n+ mx.own.example. 3600 IN AAAA 2001:db8::1",
			"missing: 192.0.2.1 has no name\n+ " + four + " 3600 IN PTR mx.own.example.\nmissing: 2001:db8::1 has no name\n+ " + six + " 3600 IN PTR mx.own.example."},
		{"another name, confirmed", ownHost + "host.other. A 192.0.2.1\nhost.other. AAAA 2001:db8::1\n" + strings.ReplaceAll(names, "mx.own.example.", "host.other."), "",
			"ok: mx.own.example", "note: 192.0.2.1 is host.other and back, but not the name of our HELO\nnote: 2001:db8::1"},
		{"not confirmed", ownHost + strings.ReplaceAll(names, "mx.own.example.", "host.other."), "", "ok: mx.own.example",
			"wrong: 192.0.2.1 has the name \"host.other\", which does not have this address\n+ " + four + "\nwrong: 2001:db8::1\n+ " + six},
		{"not to be confirmed now", ownHost + "FAIL host.other\n" + strings.ReplaceAll(names, "mx.own.example.", "host.other."), "", "ok: mx.own.example",
			"unknown: host.other could not be asked\nunknown: host.other"},
		{"the second is ours", ownHost + four + " PTR x.other.\n" + names, "", "ok: mx.own.example", "ok: 192.0.2.1 is mx.own.example\nok: 2001:db8::1"},
		{"HELO elsewhere", names + ownHost + "out.own.example. A 192.0.2.1", "out.own.example",
			"wrong: out.own.example does not have our address 2001:db8::1\n+ out.own.example. 3600 IN AAAA 2001:db8::1", "note: not the name of our HELO, out.own.example\nnote: 2001:db8::1"},
		{"HELO is no name", names + ownHost, "localhost", "wrong: \"localhost\" is no full host name", "note: 192.0.2.1\nnote: 2001:db8::1"},
		{"HELO is an address", names + ownHost, "[192.0.2.1]", "wrong: no full host name", "note: 192.0.2.1\nnote: 2001:db8::1"},
		{"away", "FAIL mx.own.example\nFAIL 1.2.0.192.in-addr.arpa\nFAIL " + strings.TrimSuffix(six, "."), "", "unknown: mx.own.example could not be asked", "unknown: 192.0.2.1 could not be asked\nunknown: 2001:db8::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(newZone(t, c.zone))
			o.HeloName = c.helo
			findings := New(o).Self(t.Context())
			expect(t, findings, HELO, c.wantHelo)
			expect(t, findings, PTR, c.wantPTR)
		})
	}
	o := options(newZone(t, ownHost+`mx.own.example. TXT "v=spf1 -all"`))
	expect(t, New(o).Self(t.Context()), SPF, "wrong: 192.0.2.1 does not pass (fail)\nwrong: 2001:db8::1\n+ mx.own.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all\"")
	// Addresses that nobody sees as a client's need no name.
	o.Sending = addrs("192.0.2.1")
	expect(t, New(o).Self(t.Context()), PTR, "missing: 192.0.2.1 has no name\n+ "+four+"\nnote: 2001:db8::1 has no name\n+ "+six)
	o.RelayHost = "[smtp.provider.example]"
	relayed := New(o).Self(t.Context())
	expect(t, relayed, HELO, "note: through [smtp.provider.example] (relayhost)")
	expect(t, relayed, SPF, "")
	expect(t, relayed, PTR, "note: 192.0.2.1 has no name\n+ "+four+"\nnote: 2001:db8::1 has no name\n+ "+six)
	o.Receiving, o.Sending = nil, nil
	expect(t, New(o).Self(t.Context()), PTR, "note: our public addresses are not known")
}
