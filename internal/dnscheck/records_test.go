package dnscheck

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// longTXT writes a text of any length as a record.
func longTXT(name, text string) string { return txtRecord(name, text).String() + "\n" }

func TestSPF(t *testing.T) {
	const publish = "\n+ a.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all\""
	for _, c := range []struct{ name, zone, want string }{
		{"none", "a.example. TXT \"hello\"\na.example. TXT \"v=spf10 -all\"", "missing: anybody can send" + publish},
		{"both addresses", `a.example. TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"`, "ok: mail from 192.0.2.1, 2001:db8::1 passes"},
		{"in any case", `a.example. TXT "V=SPF1 IP4:192.0.2.1 IP6:2001:db8::1 -ALL"`, "ok: passes"},
		{"two", "a.example. TXT \"v=spf1 -all\"\na.example. TXT \"v=spf1 mx -all\"", "wrong: 2 records" + publish},
		{"no such mechanism", `a.example. TXT "v=spf1 ipv4:192.0.2.1 -all"`, "wrong: malformed (permerror): \"ipv4:192.0.2.1\": there is no such mechanism" + publish},
		{"bad address", `a.example. TXT "v=spf1 ip4:192.0.2.300 -all"`, "wrong: no address behind it" + publish},
		{"redirect twice", `a.example. TXT "v=spf1 redirect=b.example redirect=b.example"`, "wrong: redirect stands in it twice" + publish},
		{"everybody", `a.example. TXT "v=spf1 +all"`, "wrong: lets everybody" + publish},
		{"nobody", `a.example. TXT "v=spf1 -all"`, "note: no mail comes from the domain"},
		{"one family only", `a.example. TXT "v=spf1 ip4:192.0.2.1 -all"`,
			"wrong: mail from our address 2001:db8::1 does not pass (fail)\n+ a.example. 3600 IN TXT \"v=spf1 ip6:2001:db8::1 ip4:192.0.2.1 -all\"\nok: mail from 192.0.2.1 passes"},
		{"softfail", `a.example. TXT "v=spf1 ip4:198.51.100.1 ~all"`,
			"wrong: 192.0.2.1 does not pass (softfail)\nwrong: 2001:db8::1 does not pass (softfail)\n+ a.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ip4:198.51.100.1 ~all\""},
		{"no all", `a.example. TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1"`, "note: no \"all\"\nok: passes"},
		{"by mx", ownHost + "a.example. MX 10 mx.own.example.\na.example. TXT \"v=spf1 mx -all\"", "ok: passes"},
		{"by a with bits", "b.example. A 192.0.2.77\nb.example. AAAA 2001:db8::77\na.example. TXT \"v=spf1 a:b.example/24//64 -all\"", "ok: passes"},
		{"by a, short", "b.example. A 192.0.2.77\nb.example. AAAA 2001:db8::77\na.example. TXT \"v=spf1 a:b.example//64 ?all\"", "wrong: 192.0.2.1 does not pass (neutral)\n+ a.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 a:b.example//64 ?all\"\nok: mail from 2001:db8::1 passes"},
		{"include and redirect", "a.example. TXT \"v=spf1 include:b.example redirect=c.example\"\nb.example. TXT \"v=spf1 -ip4:192.0.2.1 ip6:2001:db8::1 -all\"\nc.example. TXT \"v=spf1 ip4:192.0.2.1 -all\"",
			"ok: mail from 192.0.2.1, 2001:db8::1 passes"},
		{"include of nothing", `a.example. TXT "v=spf1 include:b.example -all"`, "wrong: (permerror): include of \"b.example\", which has no SPF record"},
		{"include away", "a.example. TXT \"v=spf1 include:b.example -all\"\nFAIL b.example", "unknown: 192.0.2.1 passes could not be asked\nunknown: 2001:db8::1"},
		{"by the address", "a.example. TXT \"v=spf1 exists:%{i}.b.example -all\"\n192.0.2.1.b.example. A 127.0.0.2",
			"wrong: mail from our address 2001:db8::1 does not pass (fail)\n+ a.example. 3600 IN TXT \"v=spf1 ip6:2001:db8::1 exists:%{i}.b.example -all\"\nok: mail from 192.0.2.1 passes"},
		{"by the name of the address", "a.example. TXT \"v=spf1 ptr:own.example -all\"\nmx.own.example. A 192.0.2.1\nmx.own.example. AAAA 2001:db8::1\n1.2.0.192.in-addr.arpa. PTR mx.own.example.\n" +
			"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx.own.example.", "ok: mail from 192.0.2.1, 2001:db8::1 passes"},
		{"by the sender", `a.example. TXT "v=spf1 exists:%{l}.b.example -all exp=%{s}.c.example"`, "note: not decided whether mail from our address 192.0.2.1 passes: it depends on the local part of the sender\nnote: 2001:db8::1"},
		{"the sender in the explanation only", "a.example. TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::2 -all exp=why.a.example\"\nwhy.a.example. TXT \"not %{s}\"",
			"wrong: 2001:db8::1 does not pass (fail)\n+ a.example. 3600 IN TXT \"v=spf1 ip6:2001:db8::1 ip4:192.0.2.1 ip6:2001:db8::2 -all exp=why.a.example\"\nok: mail from 192.0.2.1 passes"},
		{"found before the macro", `a.example. TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:%{d}.b.example -all"`, "ok: passes"},
		{"bad macro", `a.example. TXT "v=spf1 exists:%{y}.b.example -all"`, "wrong: bad macro" + publish},
		{"in a circle", `a.example. TXT "v=spf1 include:a.example -all"`, "wrong: more than 10 lookups"},
		{"away", "FAIL a.example/TXT", "unknown: a.example could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, _ := New(options(newZone(t, c.zone))).Domain(t.Context(), "a.example")
			expect(t, findings, SPF, c.want)
		})
	}
}

// The domain of our reverse-paths: each address passes, and a record that says nobody sends
// is wrong there.
func TestSPFOf(t *testing.T) {
	c := New(options(newZone(t, `
srs.example. TXT "v=spf1 ip4:198.51.100.1 ip6:2001:db8:2::/48 -all"
none.example. TXT "v=spf1 -all"
FAIL away.example`)))
	for domain, want := range map[string]string{
		"srs.example":  "ok: mail from 198.51.100.1, 2001:db8:2::1 passes",
		"SRS.example.": "ok: mail from 198.51.100.1, 2001:db8:2::1 passes",
		"none.example": "wrong: 198.51.100.1 does not pass (fail)\nwrong: 2001:db8:2::1\n+ none.example. 3600 IN TXT \"v=spf1 ip4:198.51.100.1 ip6:2001:db8:2::1 -all\"",
		"new.example":  "missing: no record\n+ new.example. 3600 IN TXT \"v=spf1 ip4:198.51.100.1 ip6:2001:db8:2::1 -all\"",
		"away.example": "unknown: away.example could not be asked",
		"a b":          "wrong: this is no name of a domain",
	} {
		expect(t, c.SPFOf(t.Context(), domain, addrs("198.51.100.1", "2001:db8:2::1")), SPF, want)
	}
}

func TestSPFOfOthersAddresses(t *testing.T) {
	z := newZone(t, ownHost+"a.example. MX 10 mx.own.example.\nb.example. TXT \"v=spf1 mx -all\"")
	o := options(z)
	o.Sending = nil
	findings, _ := New(o).Domain(t.Context(), "a.example")
	expect(t, findings, SPF, "missing: no record\n+ a.example. 3600 IN TXT \"v=spf1 mx -all\"")
	findings, _ = New(o).Domain(t.Context(), "b.example")
	expect(t, findings, SPF, "note: not decided whether it covers what we send: say our addresses by --ip")
	o.RelayHost = "[smtp.provider.example]:587"
	findings, _ = New(o).Domain(t.Context(), "a.example")
	expect(t, findings, SPF, "missing: whoever runs [smtp.provider.example]:587 (relayhost) knows")
	findings, _ = New(o).Domain(t.Context(), "b.example")
	expect(t, findings, SPF, "note: which leaves through [smtp.provider.example]:587 (relayhost)")
}

func TestDKIM(t *testing.T) {
	key := func(bits int, form func(*rsa.PublicKey) []byte) string {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(form(&k.PublicKey))
	}
	pkix := func(k *rsa.PublicKey) []byte {
		der, err := x509.MarshalPKIXPublicKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	strong := key(2048, pkix)
	ed := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct{ name, record, want string }{
		{"RSA", "v=DKIM1; k=rsa; p=" + strong, "ok: s1._domainkey.a.example: RSA, 2048 bits"},
		{"RSA, without the optional", " p = " + strong[:30] + " " + strong[30:] + " ;", "ok: RSA, 2048 bits"},
		{"PKCS 1", "p=" + key(2048, x509.MarshalPKCS1PublicKey), "ok: RSA, 2048 bits"},
		{"RSA 1024", "v=DKIM1; p=" + key(1024, pkix), "note: 1024 bits; 2048 are recommended"},
		{"Ed25519", "v=DKIM1; k=ed25519; p=" + ed, "ok: Ed25519"},
		{"Ed25519, short", "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(make([]byte, 31)), "wrong: has 32 bytes, this one 31"},
		{"testing", "v=DKIM1; k=ed25519; t=s:y; p=" + ed, "note: t=y"},
		{"revoked", "v=DKIM1; p=", "wrong: revoked"},
		{"no key", "v=DKIM1; k=rsa", "wrong: there is no key"},
		{"cut", "v=DKIM1; p=" + strong[:120], "wrong: no RSA key; perhaps it was cut"},
		{"not base64", "v=DKIM1; p=%%%", "wrong: not base64"},
		{"version", "v=DKIM2; p=" + strong, "wrong: v=DKIM1 must be the first tag"},
		{"version behind", "k=rsa; v=DKIM1; p=" + strong, "wrong: v=DKIM1 must be the first tag"},
		{"kind", "k=dsa; p=" + strong, "wrong: k=dsa is not known"},
		{"sha1", "h=sha1; p=" + strong, "wrong: leaves out sha256"},
		{"not for mail", "s=tlsrpt; p=" + strong, "wrong: not for mail"},
		{"tag twice", "p=" + strong + "; p=", "wrong: malformed: p= stands in it twice"},
		{"no tags", "hello", "wrong: malformed: \"hello\" is not name=value"},
		{"", "", "missing: there is no key at s1._domainkey.a.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			z := ""
			if c.record != "" {
				z = longTXT("s1._domainkey.a.example", c.record)
			}
			o := options(newZone(t, z))
			o.Selectors = []string{"s1"}
			findings, _ := New(o).Domain(t.Context(), "a.example")
			expect(t, findings, DKIM, c.want)
		})
	}
	o := options(newZone(t, "s1._domainkey.a.example. TXT \"p=\"\ns1._domainkey.a.example. TXT \"p=\"\nFAIL s2._domainkey.a.example"))
	findings, _ := New(o).Domain(t.Context(), "a.example")
	expect(t, findings, DKIM, "note: nothing here signs mail")
	o.Selectors = []string{"s1", "s2", "a b"}
	findings, _ = New(o).Domain(t.Context(), "a.example")
	expect(t, findings, DKIM, "wrong: 2 TXT records\nunknown: s2._domainkey.a.example could not be asked\nwrong: no selector")
}

// Keys that verifiers do not take are too small for Go to make as well.
func TestSmallKey(t *testing.T) {
	const bits512 = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKJ2lzDLZ8XlVambQfMXn3LRGKOD5o6lMIgulclWjZwP56LRqdg5ZX15bhc/GsvW8xW/R5Sh1NnkJNyL/cqY1a8CAwEAAQ=="
	if level, text := judgeKey("p=" + bits512); level != Wrong || !strings.Contains(text, "512 bits, which verifiers do not take") {
		t.Errorf("%s: %s", level, text)
	}
}

func TestDMARC(t *testing.T) {
	const publish = "\n+ _dmarc.a.b.example. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@a.b.example\""
	for _, c := range []struct{ name, zone, want string }{
		{"none", "_dmarc.a.b.example. TXT \"v=DMARC10; p=none\"", "missing: no record" + publish},
		{"only reports", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; rua=mailto:x@a.b.example"`, "ok: p=none: mail in this name is only reported"},
		{"reject", `_dmarc.a.b.example. TXT "v=DMARC1;p=Reject; rua=mailto:x@B.example!10m"`, "ok: p=reject: mail in this name must be signed"},
		{"two", "_dmarc.a.b.example. TXT \"v=DMARC1; p=none\"\n_dmarc.a.b.example. TXT \"v=DMARC1; p=none\"", "wrong: 2 DMARC records" + publish},
		{"bad policy", `_dmarc.a.b.example. TXT "v=DMARC1; p=block"`, "wrong: p=\"block\" is none of none, quarantine, reject: receivers take the record for none" + publish},
		{"bad policy, with reports", `_dmarc.a.b.example. TXT "v=DMARC1; p=block; rua=mailto:x@a.b.example"`, "wrong: p=\"block\" is none of none, quarantine, reject: receivers take the record for p=none" + publish + "\nok: p=none"},
		{"bad policy for others", `_dmarc.a.b.example. TXT "v=DMARC1; p=reject; np=no"`, "wrong: np=\"no\" is none of none, quarantine, reject: receivers take the record for none" + publish},
		{"two policies", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; p=reject"`, "wrong: p= stands in it twice, so that none holds: receivers take the record for none" + publish},
		{"neither policy nor reports", `_dmarc.a.b.example. TXT "v=DMARC1; adkim=s"`, "wrong: neither a p= nor an address" + publish},
		{"old and unknown tags", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; pct=10; x=y; rua=mailto:x@a.b.example"`, "note: pct= is gone since RFC 9989\nnote: \"x\" is no tag that there is\nok: p=none"},
		{"a public suffix", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; psd=y; rua=mailto:x@a.b.example"`, "ok: p=none\nnote: psd=y"},
		{"bad alignment", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; adkim=strict"`, "wrong: adkim=\"strict\" is none of r, s: receivers take it as if it were not there" + publish + "\nok: p=none\nnote: nobody reports"},
		{"bad address", `_dmarc.a.b.example. TXT "v=DMARC1; p=none; rua=postmaster"`, "ok: p=none\nwrong: rua=\"postmaster\" is no mailto: address"},
		{"no policy", `_dmarc.a.b.example. TXT "v=DMARC1; rua=mailto:x@a.b.example"`, "note: no p="},
		{"malformed", `_dmarc.a.b.example. TXT "v=DMARC1; p"`, "wrong: malformed: \"p\" is not name=value: receivers take the record for none" + publish},
		{"no reports", `_dmarc.a.b.example. TXT "v=DMARC1; p=quarantine; t=y"`, "ok: p=quarantine\nnote: t=y\nnote: nobody reports"},
		{"by its parent", `_dmarc.b.example. TXT "v=DMARC1; p=none; sp=reject; rua=mailto:x@b.example"`, "ok: sp=reject (by the record of b.example)"},
		{"by its parent's own", `_dmarc.b.example. TXT "v=DMARC1; p=quarantine; rua=mailto:x@b.example"`, "ok: p=quarantine (by the record of b.example)"},
		{"by the organizational domain", "_dmarc.b.example. TXT \"v=DMARC1; p=quarantine; rua=mailto:x@b.example\"\n_dmarc.example. TXT \"v=DMARC1; p=none; sp=reject; rua=mailto:x@example\"", "ok: sp=reject (by the record of example)"},
		{"by its public suffix", "_dmarc.b.example. TXT \"v=DMARC1; p=none; psd=y; rua=mailto:x@b.example\"\n_dmarc.example. TXT \"v=DMARC1; p=reject\"", "ok: p=none (by the record of b.example)"},
		{"two, and one above", "_dmarc.a.b.example. TXT \"v=DMARC1; p=none\"\n_dmarc.a.b.example. TXT \"v=DMARC1; p=none\"\n_dmarc.b.example. TXT \"v=DMARC1; p=reject; rua=mailto:x@b.example\"", "wrong: 2 DMARC records, where one may be: receivers take none, but that of b.example" + publish + "\nok: p=reject (by the record of b.example)"},
		{"bad policy above", `_dmarc.b.example. TXT "v=DMARC1; p=block"`, "wrong: p=\"block\" is none of none, quarantine, reject: receivers take the record for none"},
		{"reports to others", "_dmarc.a.b.example. TXT \"v=DMARC1; p=none; rua=mailto:x@one.test,mailto:x@two.test,https://three.test,mailto:x@four.test\"\na.b.example._report._dmarc.one.test. TXT \"v=DMARC1\"\nFAIL a.b.example._report._dmarc.four.test",
			"ok: p=none\nwrong: two.test has not agreed\n+ a.b.example._report._dmarc.two.test. 3600 IN TXT \"v=DMARC1\"\nwrong: rua=\"https://three.test\"\nunknown: a.b.example._report._dmarc.four.test could not be asked"},
		{"away", "FAIL _dmarc.a.b.example", "unknown: _dmarc.a.b.example could not be asked"},
		{"parent away", "FAIL _dmarc.b.example", "unknown: _dmarc.b.example could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, _ := New(options(newZone(t, c.zone))).Domain(t.Context(), "a.b.example")
			expect(t, findings, DMARC, c.want)
		})
	}
}

// The walk up the tree is eight questions at most (RFC 9989 section 4.10).
func TestDMARCOfDeepNames(t *testing.T) {
	deep := strings.Repeat("x.", 30) + "a.b.example"
	z := newZone(t, `_dmarc.b.example. TXT "v=DMARC1; p=reject; rua=mailto:x@b.example"`)
	for name := deep; strings.Count(name, ".") >= 7; _, name, _ = strings.Cut(name, ".") {
		if name != deep {
			z.fail["_dmarc."+name] = true
		}
	}
	findings, _ := New(options(z)).Domain(t.Context(), deep)
	expect(t, findings, DMARC, "ok: p=reject (by the record of b.example)")
}

func TestTLSRPT(t *testing.T) {
	const publish = "\n+ _smtp._tls.a.example. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@a.example\""
	for _, c := range []struct{ name, zone, want string }{
		{"none", "", "missing: no record" + publish},
		{"something else", `_smtp._tls.a.example. TXT "hello"`, "missing: no record" + publish},
		{"good", `_smtp._tls.a.example. TXT "v=TLSRPTv1; rua=mailto:x@a.example,https://r.example/"`, "ok: reports go to mailto:x@a.example, https://r.example/"},
		{"two", "_smtp._tls.a.example. TXT \"v=TLSRPTv1; rua=mailto:x@a.example\"\n_smtp._tls.a.example. TXT \"v=TLSRPTv1; rua=mailto:y@a.example\"", "wrong: 2 records" + publish},
		{"no rua", `_smtp._tls.a.example. TXT "v=TLSRPTv1;"`, "wrong: no rua" + publish},
		{"one of two unknown", `_smtp._tls.a.example. TXT "v=TLSRPTv1; rua=mailto:x@a.example,http://r.example/"`, "ok: mailto:x@a.example\nwrong: no report can go to \"http://r.example/\"" + publish},
		{"away", "FAIL _smtp._tls.a.example", "unknown: could not be asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			findings, _ := New(options(newZone(t, c.zone))).Domain(t.Context(), "a.example")
			expect(t, findings, TLSRPT, c.want)
		})
	}
}

// What is printed can be pasted: it is read back as the record that was meant.
func TestRecordsInZoneSyntax(t *testing.T) {
	for _, text := range []string{"", "v=spf1 -all", `quote " and back \slash`, strings.Repeat("0123456789", 100)} {
		rr, err := miekg.NewRR(txtRecord("a.example", text).String())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got := strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.Join(rr.(*miekg.TXT).Txt, ""))
		if got != text || rr.Header().Name != "a.example." {
			t.Errorf("%q becomes %q at %s", text, got, rr.Header().Name)
		}
	}
	for _, r := range append(addrRecords("h.example", addrs("192.0.2.1", "2001:db8::1")), mxRecord("a.example", "h.example")) {
		if _, err := miekg.NewRR(r.String()); err != nil {
			t.Errorf("%s: %v", r, err)
		}
	}
	if n := len(fmt.Sprint(short(strings.Repeat("x", 10000)))); n > 100 {
		t.Errorf("%d bytes of what a stranger wrote", n)
	}
}
