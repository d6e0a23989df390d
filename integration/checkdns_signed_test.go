package integration

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// In signed zones, asked by a validating name server: TLSA records are missing where there
// are none, good where they match, and wrong where they do not; aliases of MX hosts are
// found; a zone whose signatures are broken could not be asked.
func TestCheckDNSOfSignedZones(t *testing.T) {
	cf := base(nil)
	r := newRelay(t, cf, nil)
	cf["smtpd_tls_cert_file"], cf["smtpd_tls_key_file"] = certificateFiles(t, r, "own", "mx.alias.example")
	cf["smtpd_tls_security_level"] = "may"
	delete(cf, "smtp_dns_support_level")
	file, err := os.ReadFile(cf["smtpd_tls_cert_file"])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	good := "3 1 1 " + hex.EncodeToString(sum[:])
	lab := newLab(t,
		peers.Zone{Name: "good.example", Text: "@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA " + good + "\n", Signed: true},
		peers.Zone{Name: "none.example", Text: "@ MX 10 mx\nmx A 192.0.2.1\nmx2 CNAME mx\nalias MX 10 mx2\n", Signed: true},
		peers.Zone{Name: "bad.example", Text: "@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA 3 1 1 " + strings.Repeat("00", 32) + "\n", Signed: true},
		peers.Zone{Name: "plain.example", Text: "@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA " + good + "\n"},
		peers.Zone{Name: "bogus.example", Text: "@ MX 10 mx\nmx A 192.0.2.1\n", Signed: true, Fault: peers.Bogus},
	)
	cf["inet_interfaces"] = "127.0.0.1"
	r.configure(cf)
	ask := func(domain string) (list []dnsFinding) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
		defer cancel()
		out, _ := exec.CommandContext(ctx, binary, "check", "dns", "-c", r.dir, "--json", "--resolver", lab.Resolver, "--ip", "192.0.2.1", domain).Output()
		for line := range strings.Lines(string(out)) {
			var f dnsFinding
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			list = append(list, f)
		}
		return list
	}
	for _, c := range []struct{ domain, about, what, level, text string }{
		{"good.example", "good.example", "DNSSEC", "ok", "are signed"},
		{"good.example", "mx.good.example", "TLSA", "ok", "1 of 1 records match"},
		{"none.example", "mx.none.example", "TLSA", "missing", "though the zone is signed"},
		{"alias.none.example", "alias.none.example", "MX", "wrong", "MX mx2.none.example is an alias (CNAME) of mx.none.example"},
		{"bad.example", "mx.bad.example", "TLSA", "wrong", "no record matches the certificate"},
		{"plain.example", "plain.example", "DNSSEC", "note", "are not signed"},
		{"plain.example", "mx.plain.example", "TLSA", "note", "1 records match, but senders only look at a signed zone"},
		{"bogus.example", "bogus.example", "MX", "unknown", "could not be asked"},
	} {
		list, found := ask(c.domain), false
		for _, f := range list {
			if f.Domain == c.about && f.What == c.what && f.Level == c.level && strings.Contains(f.Text, c.text) {
				found = true
				if c.level == "missing" && (len(f.Publish) != 1 || f.Publish[0].Data != good) {
					t.Errorf("%s: to publish: %+v", c.domain, f.Publish)
				}
			}
		}
		if !found {
			t.Errorf("%s: nothing about %s %s is %s: %s\n%+v", c.domain, c.about, c.what, c.level, c.text, list)
		}
	}
}
