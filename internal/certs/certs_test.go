package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2025, 11, 1, 10, 0, 0, 0, time.UTC)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// kinds of keys
const (
	ec  = "ec"
	rs  = "rsa"
	day = 24 * time.Hour
)

// issue makes a self-signed certificate of a name, and returns key and certificate in PEM.
func issue(t testing.TB, kind, name string, valid time.Duration) (key, cert []byte) {
	t.Helper()
	var signer crypto.Signer
	var err error
	if kind == rs {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: epoch.Add(-day), NotAfter: epoch.Add(valid),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func chain(t testing.TB, kind, name string) []byte {
	key, cert := issue(t, kind, name, 90*day)
	return append(key, cert...)
}

func write(t testing.TB, name string, parts ...[]byte) string {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(t.TempDir(), name)
	}
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shown is the name and kind of key of the certificate that a client gets to see.
func shown(t testing.TB, s *Store, client *tls.Config) string {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		tls.Server(far, &tls.Config{GetCertificate: s.GetCertificate, Time: func() time.Time { return epoch }}).Handshake()
	}()
	client.InsecureSkipVerify = true
	c := tls.Client(near, client)
	if err := c.Handshake(); err != nil {
		return "error"
	}
	leaf := c.ConnectionState().PeerCertificates[0]
	return leaf.DNSNames[0] + " " + leaf.PublicKeyAlgorithm.String()
}

func TestWhichCertificate(t *testing.T) {
	both := write(t, "both.pem", chain(t, rs, "rsa.example"), chain(t, ec, "ec.example"))
	key, cert := issue(t, ec, "pair.example", 90*day)
	certFile, keyFile := write(t, "cert.pem", cert), write(t, "key.pem", key)
	onlyRSA := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	for name, c := range map[string]struct {
		o      Options
		client *tls.Config
		want   string
	}{
		"ECDSA first":            {Options{Chains: []string{both}}, &tls.Config{}, "ec.example ECDSA"},
		"RSA for who needs it":   {Options{Chains: []string{both}}, onlyRSA, "rsa.example RSA"},
		"pair":                   {Options{Pairs: []Pair{{certFile, keyFile}}}, &tls.Config{}, "pair.example ECDSA"},
		"a name without a table": {Options{Chains: []string{both}}, &tls.Config{ServerName: "other.example"}, "ec.example ECDSA"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(c.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(t, s, c.client); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestServerNames(t *testing.T) {
	own := write(t, "own.pem", chain(t, ec, "own.example"))
	one := write(t, "one.pem", chain(t, ec, "one.example"))
	table := map[string]string{
		"mx.one.example": one,
		".two.example":   base64.StdEncoding.EncodeToString(chain(t, ec, "two.example")),
		"broken.example": "/nonexistent.pem",
	}
	warned := 0
	s, err := Open(Options{
		Chains: []string{own}, Warn: func(string) { warned++ },
		Now: func() time.Time { return epoch },
		SNI: func(_ context.Context, name string) (string, bool, error) {
			if name == "fail.example" {
				return "", false, errors.New("no answer")
			}
			v, ok := table[name]
			return v, ok, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"mx.one.example": "one.example ECDSA", "MX.One.Example": "one.example ECDSA",
		"a.b.two.example": "two.example ECDSA", "two.example": "own.example ECDSA",
		"other.example": "own.example ECDSA", "": "own.example ECDSA",
		"broken.example": "error", "fail.example": "error",
	} {
		if got := shown(t, s, &tls.Config{ServerName: name}); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	if warned != 2 {
		t.Errorf("%d warnings, want one for the file and one for the table", warned)
	}
	for name, want := range map[string]string{"MX.one.example": "one.example", "a.two.example": "two.example", "other.example": "own.example", "": "own.example"} {
		if list, err := s.Shown(t.Context(), name); err != nil || len(list) != 1 || list[0].Leaf.DNSNames[0] != want {
			t.Errorf("Shown(%q): %v, %v", name, list, err)
		}
	}
	if list, err := s.Shown(t.Context(), "fail.example"); err == nil {
		t.Errorf("Shown without an answer of the table: %v", list)
	}
}

// Another table does not need the files of the key again.
func TestWith(t *testing.T) {
	path := write(t, "own.pem", chain(t, ec, "own.example"))
	one := write(t, "one.pem", chain(t, ec, "one.example"))
	table := func(name string) func(context.Context, string) (string, bool, error) {
		return func(_ context.Context, key string) (string, bool, error) { return one, key == name, nil }
	}
	clock := func() time.Time { return epoch }
	first, err := Open(Options{Chains: []string{path}, Now: clock, SNI: table("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := first.With(Options{Chains: []string{path}, Now: clock, SNI: table("b.example")})
	for name, want := range map[string]string{"a.example": "own.example ECDSA", "b.example": "one.example ECDSA"} {
		if got := shown(t, second, &tls.Config{ServerName: name}); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// All that a client can get, whatever kind of key it takes.
func TestShown(t *testing.T) {
	s, err := Open(Options{Chains: []string{write(t, "rsa.pem", chain(t, rs, "a.example")), write(t, "ec.pem", chain(t, ec, "b.example"))}, Now: func() time.Time { return epoch }})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Shown(t.Context(), "x.example")
	if err != nil || len(list) != 2 || list[0].Leaf.DNSNames[0] != "b.example" || list[1].Leaf.DNSNames[0] != "a.example" {
		t.Errorf("%v, %v", list, err)
	}
}

// New files are taken, broken ones are not.
func TestFilesChange(t *testing.T) {
	path := write(t, "chain.pem", chain(t, ec, "old.example"))
	now := &clock{epoch}
	var warnings []string
	s, err := Open(Options{Chains: []string{path}, Now: now.Now, Warn: func(m string) { warnings = append(warnings, m) }})
	if err != nil {
		t.Fatal(err)
	}
	step := func(content []byte, want string, wantWarnings int) {
		t.Helper()
		if content != nil {
			write(t, path, content)
			stamp := now.now
			if err := os.Chtimes(path, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		now.advance(checkInterval)
		if got := shown(t, s, &tls.Config{}); got != want+" ECDSA" {
			t.Errorf("got %s, want %s", got, want)
		}
		if len(warnings) != wantWarnings {
			t.Errorf("warnings: %q, want %d", warnings, wantWarnings)
		}
	}
	step(nil, "old.example", 0)
	step(chain(t, ec, "new.example"), "new.example", 0)
	step([]byte("half"), "new.example", 1)
	step(nil, "new.example", 1) // said once
	key, _ := issue(t, ec, "x.example", day)
	_, cert := issue(t, ec, "x.example", day)
	step(append(key, cert...), "new.example", 2) // of another key
	step(chain(t, ec, "newer.example"), "newer.example", 2)
}

func TestOpenRefuses(t *testing.T) {
	key, cert := issue(t, ec, "a.example", day)
	otherKey, _ := issue(t, ec, "a.example", day)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"nothing":           {Options{}, "no certificate"},
		"missing file":      {Options{Chains: []string{"/nonexistent.pem"}}, "no such file"},
		"empty":             {Options{Chains: []string{write(t, "a.pem")}}, "no private key"},
		"certificate first": {Options{Chains: []string{write(t, "a.pem", cert, key)}}, "the key comes first"},
		"key alone":         {Options{Chains: []string{write(t, "a.pem", key)}}, "no certificate behind it"},
		"keys only":         {Options{Chains: []string{write(t, "a.pem", key, otherKey, cert)}}, "no certificate behind it"},
		"another key":       {Options{Chains: []string{write(t, "a.pem", otherKey, cert)}}, "private key does not match"},
		"encrypted":         {Options{Chains: []string{write(t, "a.pem", encrypted, cert)}}, "passphrase"},
		"pair of others":    {Options{Pairs: []Pair{{write(t, "c.pem", cert), write(t, "k.pem", otherKey)}}}, "does not match"},
		"something else":    {Options{Chains: []string{write(t, "a.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL"}))}}, "unexpected PEM"},
	} {
		if _, err := Open(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An end that is near is told of once a day.
func TestExpiry(t *testing.T) {
	key, cert := issue(t, ec, "soon.example", 20*day)
	now := &clock{epoch}
	var warnings []string
	s, err := Open(Options{Chains: []string{write(t, "a.pem", key, cert)}, Now: now.Now, Warn: func(m string) { warnings = append(warnings, m) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 21 * 24 {
		now.advance(time.Hour)
		s.refresh()
	}
	if n := len(warnings); n < 14 || n > 16 {
		t.Errorf("%d warnings: %q", n, warnings)
	}
	if last := warnings[len(warnings)-1]; !strings.Contains(last, "soon.example expired on 2025-11-21") {
		t.Error(last)
	}
}

func FuzzParseChains(f *testing.F) {
	f.Add(chain(f, ec, "a.example"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseChains(text)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%d chains, %v", len(list), err)
		}
	})
}
