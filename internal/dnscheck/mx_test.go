package dnscheck

import (
	"strings"
	"testing"
)

const ownHost = "mx.own.example. A 192.0.2.1\nmx.own.example. AAAA 2001:db8::1\n"

func TestMX(t *testing.T) {
	for _, c := range []struct{ name, zone, want string }{
		{"good", ownHost + "a.example. MX 10 MX.own.example.", "ok: 10 mx.own.example (192.0.2.1, 2001:db8::1)"},
		{"ours by its address", "a.example. MX 5 other.name.\nother.name. A 192.0.2.1\n",
			"ok: 5 other.name (192.0.2.1)\nnote: other.name has no IPv6 address, though we have one\n+ other.name. 3600 IN AAAA 2001:db8::1"},
		{"no domain", "", "missing: no MX record\n+ a.example. 3600 IN MX 10 mx.own.example."},
		{"only an address", "a.example. A 192.0.2.1", "missing: addresses of the domain itself, 192.0.2.1\n+ a.example. 3600 IN MX 10 mx.own.example."},
		{"null MX", "a.example. MX 0 .", "wrong: takes no mail\n+ a.example. 3600 IN MX 10 mx.own.example."},
		{"elsewhere", ownHost + "a.example. MX 1 mx.other.example.\nmx.other.example. A 192.0.2.9",
			"wrong: mail goes to mx.other.example, which is not mx.own.example\n+ a.example. 3600 IN MX 10 mx.own.example."},
		{"alias", "a.example. MX 10 in.a.example.\nin.a.example. CNAME mx.own.example.\n" + ownHost,
			"wrong: MX in.a.example is an alias (CNAME) of mx.own.example\n+ a.example. 3600 IN MX 10 mx.own.example.\nok: 10 in.a.example"},
		{"no address", "a.example. MX 10 mx.own.example.",
			"wrong: MX mx.own.example has no address\n+ mx.own.example. 3600 IN A 192.0.2.1\n+ mx.own.example. 3600 IN AAAA 2001:db8::1"},
		{"another address", "a.example. MX 10 mx.own.example.\nmx.own.example. A 192.0.2.1\nmx.own.example. AAAA 2001:db8::2",
			"wrong: has the address 2001:db8::2, which is not ours"},
		{"an address for a host", "a.example. MX 10 192.0.2.1.", "wrong: \"192.0.2.1\" is no host name\nwrong: mail goes to 192.0.2.1\n+ a.example."},
		{"foreign backup", ownHost + "a.example. MX 10 mx.own.example.\na.example. MX 20 backup.example.\nbackup.example. A 192.0.2.7",
			"ok: 10 mx.own.example\nnote: 20 backup.example is not ours"},
		{"foreign first", ownHost + "a.example. MX 10 filter.example.\na.example. MX 20 mx.own.example.\nfilter.example. A 192.0.2.7",
			"ok: 20 mx.own.example\nnote: mail goes to 10 filter.example first"},
		{"foreign without address", ownHost + "a.example. MX 10 mx.own.example.\na.example. MX 20 gone.example.",
			"ok: 10 mx.own.example\nwrong: MX gone.example has no address\nnote: 20 gone.example is not ours"},
		{"DNS away", "FAIL a.example", "unknown: a.example could not be asked: name server 192.0.2.53:53: answered SERVFAIL"},
		{"host away", "a.example. MX 10 mx.own.example.\nFAIL mx.own.example", "unknown: mx.own.example could not be asked"},
		{"foreign host away", "a.example. MX 10 mx.other.example.\nFAIL mx.other.example", "unknown: mx.other.example could not be asked"},
		{"only IPv6 away", "a.example. MX 10 mx.own.example.\nmx.own.example. A 192.0.2.1\nFAIL mx.own.example/AAAA",
			"ok: 10 mx.own.example (192.0.2.1)\nnote: has no IPv6 address\n+ mx.own.example. 3600 IN AAAA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, _ := New(options(newZone(t, c.zone))).Domain(t.Context(), "A.example.")
			expect(t, findings, MX, c.want)
		})
	}
}

func TestMXWithoutKnownAddresses(t *testing.T) {
	o := options(newZone(t, ownHost+"a.example. MX 10 mx.own.example."))
	o.Receiving, o.Sending = nil, nil
	findings, hosts := New(o).Domain(t.Context(), "a.example")
	expect(t, findings, MX, "ok: 10 mx.own.example (192.0.2.1, 2001:db8::1)")
	if strings.Join(hosts, " ") != "mx.own.example" {
		t.Errorf("hosts %v", hosts)
	}
}

func TestManyExchangers(t *testing.T) {
	z := ownHost
	for i := range 40 {
		z += "a.example. MX 10 mx" + strings.Repeat("x", i+1) + ".own.example.\n"
	}
	findings, _ := New(options(newZone(t, z))).Domain(t.Context(), "a.example")
	n := 0
	for _, f := range findings {
		if f.What == MX && f.Level == Wrong && strings.HasSuffix(f.Text, "has no address") {
			n++
		}
	}
	if n != maxExchangers {
		t.Errorf("%d hosts were looked at", n)
	}
}

func TestDNSSEC(t *testing.T) {
	z := ownHost + "a.example. MX 10 mx.own.example.\n"
	findings, _ := New(options(newZone(t, z))).Domain(t.Context(), "a.example")
	expect(t, findings, DNSSEC, "note: are not signed")
	findings, _ = New(options(newZone(t, z+"SIGNED a.example"))).Domain(t.Context(), "a.example")
	expect(t, findings, DNSSEC, "ok: are signed")
}

func TestNamesOfDomains(t *testing.T) {
	z := newZone(t, ownHost+"xn--grn-ioa.example. MX 10 mx.own.example.")
	findings, _ := New(options(z)).Domain(t.Context(), "Grün.example")
	expect(t, findings, MX, "ok: 10 mx.own.example")
	if findings[0].Domain != "xn--grn-ioa.example" {
		t.Errorf("domain %s", findings[0].Domain)
	}
	for _, name := range []string{"", "a b", "-x.example", "1.2.3.4", "a..b"} {
		findings, _ := New(options(z)).Domain(t.Context(), name)
		if len(findings) != 1 || findings[0].Level != Wrong {
			t.Errorf("%q: %+v", name, findings)
		}
	}
}
