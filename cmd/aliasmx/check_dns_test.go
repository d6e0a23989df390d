package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/internal/dnscheck"
)

func TestListenAddr(t *testing.T) {
	for word, want := range map[string]string{
		"192.0.2.1:443": "192.0.2.1:443", "[192.0.2.1]:443": "192.0.2.1:443", "[::]:8443": "[::]:8443", "[::ffff:192.0.2.1]:443": "192.0.2.1:443",
		"443": "", ":443": "", "host:443": "", "192.0.2.1": "", "192.0.2.1:0": "", "192.0.2.1:https": "", "[fe80::1%eth0]:443": "", "192.0.2.1:65536": "",
	} {
		if got, err := listenAddr(word); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", word, got, err, want)
		}
	}
}

func TestIsPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "100.63.255.255": true, "100.64.0.1": false, "100.127.255.255": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.0.1": false,
		"127.0.0.1": false, "169.254.0.1": false, "0.0.0.0": false, "2001:db8::1": true, "fd00::1": false, "fe80::1": false, "::1": false,
	} {
		if isPublic(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: want %t", addr, want)
		}
	}
}

// Behind address translation the addresses that count are those of proxy_interfaces and
// of --ip; smtp_bind_address is where mail comes from.
func TestPublicAddresses(t *testing.T) {
	for _, c := range []struct{ name, set, added, receiving, sending string }{
		{"none", "", "", "[]", "[]"},
		{"proxy", "proxy_interfaces = 192.0.2.1 [2001:db8::1] 10.0.0.1\n", "", "[192.0.2.1 2001:db8::1]", "[192.0.2.1 2001:db8::1]"},
		{"one family", "proxy_interfaces = 192.0.2.1 2001:db8::1\ninet_protocols = ipv4\n", "", "[192.0.2.1]", "[192.0.2.1]"},
		{"bound", "proxy_interfaces = 192.0.2.1 192.0.2.2 2001:db8::1\nsmtp_bind_address = 192.0.2.2\n", "", "[192.0.2.1 192.0.2.2 2001:db8::1]", "[192.0.2.2 2001:db8::1]"},
		{"bound behind translation", "proxy_interfaces = 192.0.2.1\nsmtp_bind_address = 10.0.0.2\n", "", "[192.0.2.1]", "[192.0.2.1]"},
		{"told", "proxy_interfaces = 192.0.2.1\n", "192.0.2.1 192.0.2.7 10.0.0.1", "[192.0.2.1 192.0.2.7 10.0.0.1]", "[192.0.2.1 192.0.2.7 10.0.0.1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := checkedView(t, "inet_interfaces = 127.0.0.1\n"+c.set)
			var added []netip.Addr
			for _, s := range strings.Fields(c.added) {
				added = append(added, netip.MustParseAddr(s))
			}
			receiving, sending := v.publicAddresses(added)
			if got := addrWords(receiving); got != c.receiving {
				t.Errorf("receiving %s, want %s", got, c.receiving)
			}
			if got := addrWords(sending); got != c.sending {
				t.Errorf("sending %s, want %s", got, c.sending)
			}
		})
	}
}

func addrWords(addrs []netip.Addr) string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return "[" + strings.Join(words, " ") + "]"
}

func checkedView(t *testing.T, set string) *view {
	t.Helper()
	dir := explainDir(t, "myhostname = mx.own.example\nmydestination =\nsmtpd_relay_restrictions = reject_unauth_destination\n"+set)
	cfg, err := loadConfig(dir, environ{environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.close)
	return v
}

// All that is named is asked for, once; a table of aliases holds more than domains.
func TestAliasDomains(t *testing.T) {
	v := checkedView(t, "virtual_alias_domains = B.example grün.example b.example !c.example inline:{d.example=x, joe=x, @e.example=x, joe@f.example=x} static:x\n")
	var warned []string
	domains, err := v.aliasDomains(func(text string) { warned = append(warned, text) })
	if got := strings.Join(domains, " "); err != nil || got != "b.example xn--grn-ioa.example d.example" {
		t.Errorf("%s, %v", got, err)
	}
	if len(warned) != 1 || !strings.HasPrefix(warned[0], "static:x: its domains cannot be listed") {
		t.Errorf("warned %q", warned)
	}
}

func TestPublicKeyOf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(key)
	sec1, _ := x509.MarshalECPrivateKey(key)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	for kind, der := range map[string][]byte{"PUBLIC KEY": want, "PRIVATE KEY": pkcs8, "EC PRIVATE KEY": sec1, "CERTIFICATE": cert} {
		text := append([]byte("some words\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := publicKeyOf(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", kind, got, err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := publicKeyOf(file); err == nil {
			t.Errorf("%s: nonsense is taken", kind)
		}
	}
}

// What strangers have published reaches no terminal as it is, and a record is told once.
func TestPrintDNSFindings(t *testing.T) {
	var out bytes.Buffer
	d := &dnsFindings{out: &out}
	record := dnscheck.Record{Name: "a.example.", Type: "TXT", Data: `"x"`}
	d.show([]dnscheck.Finding{
		{Domain: "a.example", What: "SPF", Level: dnscheck.Wrong, Text: "evil \x1b[2J", Publish: []dnscheck.Record{record, record}},
		{Domain: "a.example", What: "MX", Level: dnscheck.Wrong, Text: "elsewhere", Publish: []dnscheck.Record{{Name: "a.example.", Type: "MX", Data: "10 b.example.", Replaces: true}}},
		{Domain: "a.example", What: "MTA-STS", Level: dnscheck.Missing, Text: "none", Publish: []dnscheck.Record{record}, Policy: "version: STSv1\r\nmode: none\r\n"},
	})
	d.show(nil)
	d.show([]dnscheck.Finding{{Domain: "b.example", What: "MX", Level: dnscheck.OK, Text: "good"}})
	const want = `a.example
  SPF      wrong    evil ?[2J
  MX       wrong    elsewhere
  MTA-STS  missing  none

publish these:

a.example. 3600 IN TXT "x"
; in place of what is there (MX):
a.example. 3600 IN MX 10 b.example.
; https://mta-sts.a.example/.well-known/mta-sts.txt has to say:
;   version: STSv1
;   mode: none

b.example
  MX  ok  good

`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if !d.has[dnscheck.Wrong] || !d.has[dnscheck.OK] || d.has[dnscheck.Unknown] {
		t.Errorf("levels %v", d.has)
	}
}
