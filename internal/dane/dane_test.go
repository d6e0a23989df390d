package dane

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	ourdns "aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

const (
	sum1 = "1111111111111111111111111111111111111111111111111111111111111111"
	sum2 = "2222222222222222222222222222222222222222222222222222222222222222"
)

func byMX(host string) mail.TLSPeer {
	return mail.TLSPeer{NextHop: "dest.example", Domain: "dest.example", Host: host, Port: 25, ByMX: true}
}

func named(host string) mail.TLSPeer {
	return mail.TLSPeer{NextHop: "[" + host + "]", Domain: host, Host: host, Port: 25}
}

// What is asked of a host by what is published, and where it is looked for.
func TestChoice(t *testing.T) {
	const mx, imx = "s dest.example. MX 10 mx.dest.example.\n", "i dest.example. MX 10 mx.dest.example.\n"
	const addr = "s mx.dest.example. A 192.0.2.1\n"
	const tlsa = "s _25._tcp.mx.dest.example. TLSA 3 1 1 " + sum1 + "\n"
	const bad = "s _25._tcp.mx.dest.example. TLSA 1 1 1 " + sum1 + "\n"
	const alias = "s mx.dest.example. CNAME host.prov.example.\ns host.prov.example. A 192.0.2.1\n"
	const ialias = "s mx.dest.example. CNAME host.prov.example.\ni host.prov.example. A 192.0.2.1\n"
	const provTLSA = "s _25._tcp.host.prov.example. TLSA 3 1 1 " + sum2 + "\n"
	for _, c := range []struct {
		name   string
		zone   string
		peer   mail.TLSPeer
		o      Options
		level  mail.TLSLevel
		sni    string
		reason string // or the text of the error
		result string
	}{
		{"secure", mx + addr + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"secure, names as people write them", mx + addr + tlsa, mail.TLSPeer{Domain: "DEST.example", Host: "MX.dest.Example.", Port: 25, ByMX: true},
			Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"usable beside unusable", mx + addr + bad + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"IPv6 only", mx + "s mx.dest.example. AAAA 2001:db8::1\n" + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"another port", mx + addr + tlsa, mail.TLSPeer{Domain: "dest.example", Host: "mx.dest.example", Port: 26, ByMX: true}, Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"no records", mx + addr, byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"insecure records", mx + addr + "i _25._tcp.mx.dest.example. TLSA 3 1 1 " + sum1, byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"insecure host", mx + "i mx.dest.example. A 192.0.2.1\n" + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"insecure host, forced", mx + "i mx.dest.example. A 192.0.2.1\n" + tlsa, byMX("mx.dest.example"), Options{ForceInsecureHost: true}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"host without addresses", mx + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"none usable", mx + addr + bad, byMX("mx.dest.example"), Options{}, mail.TLSEncrypt, "", ReasonUnusable, "tlsa-invalid"},
		{"none usable, insecure MX", imx + addr + bad, byMX("mx.dest.example"), Options{}, mail.TLSEncrypt, "", ReasonUnusable, "tlsa-invalid"},

		{"insecure MX", imx + addr + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSHalfDANE, "mx.dest.example", "", ""},
		{"insecure MX, encrypt", imx + addr + tlsa, byMX("mx.dest.example"), Options{InsecureMX: mail.TLSEncrypt}, mail.TLSEncrypt, "", ReasonUnverified, ""},
		{"insecure MX, may", imx + addr + tlsa, byMX("mx.dest.example"), Options{InsecureMX: mail.TLSMay}, mail.TLSMay, "", ReasonInsecureMX, ""},
		{"secure MX, may", mx + addr + tlsa, byMX("mx.dest.example"), Options{InsecureMX: mail.TLSMay}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"not in the MX records", mx + "s other.example. A 192.0.2.1\ns _25._tcp.other.example. TLSA 3 1 1 " + sum1, byMX("other.example"),
			Options{}, mail.TLSHalfDANE, "other.example", "", ""},
		{"no MX records", "s dest.example. A 192.0.2.1\ns _25._tcp.dest.example. TLSA 3 1 1 " + sum1, byMX("dest.example"), Options{}, mail.TLSDANE, "dest.example", "", ""},
		{"no MX records any more", addr + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSHalfDANE, "mx.dest.example", "", ""},
		{"next hop that is an alias", "s dest.example. CNAME real.example.\ns real.example. MX 10 mx.dest.example.\n" + addr + tlsa, byMX("mx.dest.example"),
			Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"next hop that is an insecure alias", "i dest.example. CNAME real.example.\ns real.example. MX 10 mx.dest.example.\n" + addr + tlsa, byMX("mx.dest.example"),
			Options{}, mail.TLSHalfDANE, "mx.dest.example", "", ""},

		{"host by name", addr + tlsa, named("mx.dest.example"), Options{InsecureMX: mail.TLSMay}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"address", "", named("192.0.2.1"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"IPv6 address", "", named("2001:db8::1"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"socket", "", mail.TLSPeer{NextHop: "unix:/lmtp", Host: "mx.alias.example", LMTP: true}, Options{}, mail.TLSMay, "", ReasonNoRecords, ""},

		{"alias, records at its end", mx + alias + provTLSA + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "host.prov.example", "", ""},
		{"alias, records at its beginning", mx + alias + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"alias, unusable at its end", mx + alias + "s _25._tcp.host.prov.example. TLSA 0 0 1 " + sum2 + "\n" + tlsa, byMX("mx.dest.example"),
			Options{}, mail.TLSEncrypt, "", ReasonUnusable, "tlsa-invalid"},
		{"alias, no answer at its end", mx + alias + tlsa + "fail _25._tcp.host.prov.example TLSA", byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"alias out of a signed zone", mx + ialias + tlsa + provTLSA, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"alias out of a signed zone without records", mx + ialias + provTLSA, byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"alias in a zone that is not signed", mx + "i mx.dest.example. CNAME host.prov.example.\ns host.prov.example. A 192.0.2.1\n" + tlsa + provTLSA,
			byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"alias whose status has no answer", mx + ialias + tlsa + "fail mx.dest.example CNAME", byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"records that are an alias", mx + addr + "s _25._tcp.mx.dest.example. CNAME tlsa.prov.example.\ns tlsa.prov.example. TLSA 3 1 1 " + sum1,
			byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"records that are an alias into an insecure zone", mx + addr + "s _25._tcp.mx.dest.example. CNAME tlsa.prov.example.\ni tlsa.prov.example. TLSA 3 1 1 " + sum1,
			byMX("mx.dest.example"), Options{}, mail.TLSMay, "", ReasonNoRecords, ""},

		{"no answer for records", mx + addr + "fail _25._tcp.mx.dest.example TLSA", byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"no answer for records, insecure MX", imx + addr + "fail _25._tcp.mx.dest.example TLSA", byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"no answer for records, insecure MX that nobody minds", imx + addr + "fail _25._tcp.mx.dest.example TLSA", byMX("mx.dest.example"),
			Options{InsecureMX: mail.TLSMay}, mail.TLSMay, "", ReasonInsecureMX, ""},
		{"no answer for records of an insecure host", mx + "i mx.dest.example. A 192.0.2.1\nfail _25._tcp.mx.dest.example TLSA", byMX("mx.dest.example"),
			Options{}, mail.TLSMay, "", ReasonNoRecords, ""},
		{"no answer for MX records", "fail dest.example MX\n" + addr + tlsa, byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"no answer for addresses", mx + tlsa + "fail mx.dest.example A\nfail mx.dest.example AAAA", byMX("mx.dest.example"), Options{}, "", "",
			"TLSA lookup error for mx.dest.example:25", "dnssec-invalid"},
		{"no answer for one family", mx + addr + tlsa + "fail mx.dest.example AAAA", byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"no answer for a family that is not used", mx + "fail mx.dest.example A\ns mx.dest.example. AAAA 2001:db8::1\n" + tlsa, byMX("mx.dest.example"),
			Options{Family: ourdns.IPv6}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"one family secure", mx + addr + "i mx.dest.example. AAAA 2001:db8::1\n" + tlsa, byMX("mx.dest.example"), Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"the other family secure", mx + "i mx.dest.example. A 192.0.2.1\ns mx.dest.example. AAAA 2001:db8::1\n" + tlsa, byMX("mx.dest.example"),
			Options{}, mail.TLSDANE, "mx.dest.example", "", ""},
		{"the only family used is not secure", mx + "i mx.dest.example. A 192.0.2.1\n" + tlsa, byMX("mx.dest.example"),
			Options{Family: ourdns.IPv4}, mail.TLSMay, "", ReasonNoRecords, ""},
	} {
		c.o.Names = newZone(t, c.zone)
		choice, err := New(c.o).TLS(context.Background(), c.peer)
		if c.level == "" {
			e, ok := errors.AsType[*mail.TLSError](err)
			if !ok || e.Status.Text != c.reason || e.Result != c.result || e.Status.Enhanced != mail.Code(4, 7, 5) {
				t.Errorf("%s: %+v, want %q, %s", c.name, err, c.reason, c.result)
			}
			continue
		}
		if err != nil || choice.Level != c.level || choice.ServerName != c.sni || choice.Reason != c.reason || choice.Result != c.result {
			t.Errorf("%s: %+v, %v; want %s, %q, %q, %q", c.name, choice, err, c.level, c.sni, c.reason, c.result)
		}
		verified := c.level == mail.TLSDANE || c.level == mail.TLSHalfDANE
		if (choice.Verify != nil) != verified || (choice.Key != "") != verified {
			t.Errorf("%s: %+v", c.name, choice)
		}
		if (choice.Asked == mail.TLSDANE) == (c.level == mail.TLSDANE) {
			t.Errorf("%s: asked %q", c.name, choice.Asked)
		}
		if len(choice.Policies) > 0 != (verified || c.level == mail.TLSEncrypt) {
			t.Errorf("%s: policies %v", c.name, choice.Policies)
		}
	}
}

// Whose a certificate may be under an authority (RFC 7672 section 3.2.3).
func TestNamesUnderAnAuthority(t *testing.T) {
	const host = "s mx.dest.example. A 192.0.2.1\ns _25._tcp.mx.dest.example. TLSA 2 1 1 " + sum1 + "\n"
	for _, c := range []struct {
		name, zone string
		peer       mail.TLSPeer
		want       string
	}{
		{"by MX", "s dest.example. MX 10 mx.dest.example.\n" + host, byMX("mx.dest.example"), "mx.dest.example dest.example"},
		{"next hop that is an alias", "s dest.example. CNAME real.example.\ns real.example. MX 10 mx.dest.example.\n" + host, byMX("mx.dest.example"),
			"mx.dest.example dest.example real.example"},
		{"insecure MX", "i dest.example. MX 10 mx.dest.example.\n" + host, byMX("mx.dest.example"), "mx.dest.example"},
		{"not in the MX records", "s dest.example. MX 10 mx2.dest.example.\n" + host, byMX("mx.dest.example"), "mx.dest.example"},
		{"by name", host, named("mx.dest.example"), "mx.dest.example"},
		{"by name that is an alias", "s a.example. CNAME mx.dest.example.\n" + host, named("a.example"), "mx.dest.example a.example"},
		{"no MX, alias", "s a.example. CNAME mx.dest.example.\n" + host, mail.TLSPeer{Domain: "a.example", Host: "a.example", Port: 25, ByMX: true}, "mx.dest.example a.example"},
		{"host that is an alias", "s dest.example. MX 10 a.example.\ns a.example. CNAME mx.dest.example.\n" + host, byMX("a.example"), "mx.dest.example dest.example"},
		{"in Unicode", "s xn--grn-ioa.example. MX 10 mx.dest.example.\n" + host, mail.TLSPeer{Domain: "Grün.example", Host: "mx.dest.example", Port: 25, ByMX: true},
			"mx.dest.example xn--grn-ioa.example"},
	} {
		q := query{DANE: New(Options{Names: newZone(t, c.zone)}), ctx: context.Background(), peer: c.peer}
		f, err := q.find()
		if err != nil || strings.Join(f.names, " ") != c.want || len(f.records) != 1 {
			t.Errorf("%s: %v, %+v; want %s", c.name, err, f, c.want)
		}
	}
}

// Servers of zones that are not signed are not bothered with a question that some of them
// cannot bear (RFC 7672 section 2.2.1).
func TestUnsignedZonesAreNotAskedForRecords(t *testing.T) {
	z := newZone(t, "s dest.example. MX 10 mx.dest.example.\ni mx.dest.example. CNAME host.prov.example.\ni host.prov.example. A 192.0.2.1")
	if _, err := New(Options{Names: z}).TLS(context.Background(), byMX("mx.dest.example")); err != nil {
		t.Fatal(err)
	}
	for _, q := range z.asked {
		if strings.HasSuffix(q, " TLSA") {
			t.Errorf("asked: %v", z.asked)
		}
	}
}

// What reports are told (RFC 8460): all records, whether or not they are usable.
func TestPublished(t *testing.T) {
	z := newZone(t, "s mx.dest.example. A 192.0.2.1\ns _25._tcp.mx.dest.example. TLSA 3 1 1 "+sum1+"\ns _25._tcp.mx.dest.example. TLSA 1 0 1 abcdef")
	choice, err := New(Options{Names: z}).TLS(context.Background(), named("mx.dest.example"))
	if err != nil || len(choice.Policies) != 1 {
		t.Fatalf("%+v, %v", choice, err)
	}
	p := choice.Policies[0]
	if p.Type != "tlsa" || p.Domain != "mx.dest.example" || !slices.Equal(p.Strings, []string{"1 0 1 ABCDEF", "3 1 1 " + sum1}) {
		t.Errorf("%+v", p)
	}
}

// A connection serves every domain of a host whose own certificate was verified, and one
// domain alone where its names counted.
func TestKey(t *testing.T) {
	const hosts = "s dest.example. MX 10 mx.prov.example.\ns other.example. MX 10 mx.prov.example.\ns mx.prov.example. A 192.0.2.1\n"
	key := func(records string, domain string) string {
		choice, err := New(Options{Names: newZone(t, hosts+records)}).TLS(context.Background(),
			mail.TLSPeer{Domain: domain, Host: "mx.prov.example", Port: 25, ByMX: true})
		if err != nil || choice.Key == "" {
			t.Fatalf("%+v, %v", choice, err)
		}
		return choice.Key
	}
	const owner = "s _25._tcp.mx.prov.example. TLSA "
	ee1, ee2, ta := owner+"3 1 1 "+sum1+"\n", owner+"3 1 1 "+sum2+"\n", owner+"2 1 1 "+sum1+"\n"
	if a, b := key(ee1, "dest.example"), key(ee1, "other.example"); a != b {
		t.Errorf("the same records, two domains: %q, %q", a, b)
	}
	if a, b := key(ee1+ee2+ta, "dest.example"), key(ta+ee2+ee1, "dest.example"); a != b {
		t.Errorf("another order: %q, %q", a, b)
	}
	if a, b := key(ee1, "dest.example"), key(ee1+ee2, "dest.example"); a == b {
		t.Errorf("other records: %q", a)
	}
	if a, b := key(ta, "dest.example"), key(ta, "other.example"); a == b {
		t.Errorf("two domains under an authority: %q", a)
	}
}

func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	z := newZone(t, `s mx.dest.example. A 192.0.2.1
		s _25._tcp.mx.dest.example. TLSA 1 1 1 `+sum1+`
		s _25._tcp.mx.dest.example. TLSA 3 1 9 ab
		s _25._tcp.mx.dest.example. TLSA 3 1 255 ab
		s _25._tcp.mx.dest.example. TLSA 3 1 1 `+sum1[:62]+`
		s _25._tcp.mx.dest.example. TLSA 3 2 1 `+sum1+`
		s _25._tcp.mx.dest.example. TLSA 3 0 0 `+strings.Repeat("ab", 65)+`
		s fails.example. A 192.0.2.1
		fail _25._tcp.fails.example TLSA`)
	d := New(Options{Names: z, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}}))})
	for range 2 { // the second time nothing new is said
		d.TLS(context.Background(), named("mx.dest.example"))
		d.TLS(context.Background(), named("fails.example"))
	}
	want := `msg="_25._tcp.mx.dest.example unsupported TLSA certificate usage: 1 1 1 ` + sum1 + `"
msg="_25._tcp.mx.dest.example: unusable TLSA RR: 3 0 0 ` + strings.Repeat("AB", 32) + "..." + strings.Repeat("AB", 32) + `"
msg="_25._tcp.mx.dest.example: unusable TLSA RR: 3 1 1 ` + sum1[:62] + `"
msg="_25._tcp.mx.dest.example: unusable TLSA RR: 3 1 9 AB"
msg="_25._tcp.mx.dest.example reserved private-use matching type: 3 1 255 AB"
msg="_25._tcp.mx.dest.example: unusable TLSA RR: 3 2 1 ` + sum1 + `"
msg="_25._tcp.mx.dest.example: all TLSA records unusable"
msg="DANE TLSA lookup problem: Host or domain name not found. Name service error for name=_25._tcp.fails.example type=TLSA: Host not found, try again"
`
	if log.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", log.String(), want)
	}
}
