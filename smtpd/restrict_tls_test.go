package smtpd

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// prints is a table of fingerprints that can fail.
type prints struct {
	entries map[string]string
	err     error
}

func (p prints) Lookup(_ context.Context, key string) (string, bool, error) {
	v, ok := p.entries[key]
	return v, ok, p.err
}
func (p prints) Name() string { return "inline:{prints}" }

func TestFingerprint(t *testing.T) {
	for digest, want := range map[string]string{
		"md5":    "90:01:50:98:3C:D2:4F:B0:D6:96:3F:7D:28:E1:7F:72",
		"sha1":   "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D",
		"sha256": "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD",
	} {
		if got := fingerprint(digest, []byte("abc")); got != want {
			t.Errorf("%s: %s", digest, got)
		}
	}
	if a, b := fingerprint("sha512", nil), fingerprint("sha384", nil); len(a) != 64*3-1 || len(b) != 48*3-1 {
		t.Errorf("%s, %s", a, b)
	}
}

// A client with the right certificate may relay; the others may not.
func TestClientCertificateRestrictions(t *testing.T) {
	mine, pool := certificate(t, "client.example.net")
	stranger, _ := certificate(t, "client.example.net")
	sum := sha256.Sum256(mine.Certificate[0])
	byCert := strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
	byKey := fingerprint("sha256", mine.Leaf.RawSubjectPublicKeyInfo)
	for name, c := range map[string]struct {
		list  string
		cert  *tls.Certificate
		known prints
		want  string
	}{
		"trusted":                    {"permit_tls_all_clientcerts", &mine, prints{}, "250"},
		"not trusted":                {"permit_tls_all_clientcerts", &stranger, prints{}, "554 5.7.1"},
		"none":                       {"permit_tls_all_clientcerts", nil, prints{}, "554 5.7.1"},
		"known by certificate":       {"permit_tls_clientcerts", &mine, prints{entries: map[string]string{byCert: "x"}}, "250"},
		"known by key":               {"permit_tls_clientcerts", &mine, prints{entries: map[string]string{byKey: "x"}}, "250"},
		"not known":                  {"permit_tls_clientcerts", &stranger, prints{entries: map[string]string{byCert: "x", byKey: "x"}}, "554 5.7.1"},
		"known, without certificate": {"permit_tls_clientcerts", nil, prints{entries: map[string]string{"": "x"}}, "554 5.7.1"},
		"table fails":                {"permit_tls_clientcerts", &mine, prints{err: fmt.Errorf("no answer")}, "451 4.3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := secured(t, func(o *TLS) { o.Config.ClientAuth, o.Config.ClientCAs = tls.RequestClientCert, pool })
			w.o.Relay = restrict(c.list, "reject_unauth_destination")
			w.o.RelayClientCerts = []Table{c.known}
			w.srv.Update(w.o)
			conn := w.dial("127.0.0.2").greeting()
			conn.expect("EHLO x.example.net", "250", "STARTTLS", "220")
			if !conn.handshake(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.cert == nil {
					return new(tls.Certificate), nil
				}
				return c.cert, nil
			}}) {
				t.Fatal("no handshake")
			}
			conn.expect("EHLO x.example.net", "250", "MAIL FROM:<s@example.net>", "250", "RCPT TO:<x@elsewhere.example>", c.want)
			conn.hangUp()
		})
	}
}

// What a policy service is told.
func TestTLSAttributes(t *testing.T) {
	s := &session{o: &Options{TLS: &TLS{Config: new(tls.Config)}}}
	if got := s.tlsAttributes(); !slices.Contains(got, [2]string{"encryption_keysize", "0"}) || !slices.Contains(got, [2]string{"ccert_subject", ""}) {
		t.Errorf("in the clear: %v", got)
	}
	cert, _ := certificate(t, "a b+c")
	s.tls = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	s.tls.PeerCertificates = append(s.tls.PeerCertificates, cert.Leaf)
	got := s.tlsAttributes()
	for _, want := range [][2]string{{"encryption_protocol", "TLSv1.3"}, {"encryption_cipher", "TLS_AES_128_GCM_SHA256"}, {"encryption_keysize", "128"},
		{"ccert_subject", ""}, {"ccert_fingerprint", fingerprint("", cert.Leaf.Raw)}} {
		if !slices.Contains(got, want) {
			t.Errorf("%v is missing in %v", want, got)
		}
	}
	s.tls.VerifiedChains = append(s.tls.VerifiedChains, s.tls.PeerCertificates)
	if got := s.tlsAttributes(); !slices.Contains(got, [2]string{"ccert_subject", "a+20b+2Bc"}) {
		t.Errorf("trusted: %v", got)
	}
}
