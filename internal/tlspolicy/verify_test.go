package tlspolicy

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/mail"
)

// chains are servers of all kinds, and the authorities behind them.
type chains struct {
	t                              *testing.T
	root, between, stale, stranger *peers.Authority
}

func newChains(t *testing.T) *chains {
	t.Helper()
	c := &chains{t: t}
	must := func(a *peers.Authority, err error) *peers.Authority {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	c.root = must(peers.NewAuthority("Root"))
	c.stranger = must(peers.NewAuthority("Stranger"))
	c.between = must(c.root.Intermediate("Between", peers.Leaf{}))
	c.stale = must(c.root.Intermediate("Stale", peers.Leaf{To: -time.Hour}))
	return c
}

func (c *chains) shown(by *peers.Authority, l peers.Leaf, behind ...*peers.Authority) *tls.ConnectionState {
	c.t.Helper()
	cfg, err := by.Server(l, behind...)
	if err != nil {
		c.t.Fatal(err)
	}
	s := &tls.ConnectionState{}
	for _, der := range cfg.Certificates[0].Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			c.t.Fatal(err)
		}
		s.PeerCertificates = append(s.PeerCertificates, cert)
	}
	return s
}

func authoritiesOf(list ...*peers.Authority) *Authorities {
	var files [][]byte
	for _, a := range list {
		files = append(files, []byte("# a comment\n"+a.PEM()))
	}
	return NewAuthorities(files, nil)
}

func show(v mail.TLSVerdict) string {
	return strings.TrimSpace(fmt.Sprintf("%v %v %s %s (%s)", v.Trusted, v.Matched, v.Whose, v.Reason, v.Result))
}

func TestVerifyByAuthorities(t *testing.T) {
	c := newChains(t)
	mx := []string{"mx.example"}
	var nobody *peers.Authority
	for _, tt := range []struct {
		name        string
		state       *tls.ConnectionState
		authorities *Authorities
		want        string
	}{
		{"right", c.shown(c.root, peers.Leaf{Names: mx}), authoritiesOf(c.root), "true true   ()"},
		{"common name", c.shown(c.root, peers.Leaf{CN: "mx.example"}), authoritiesOf(c.root), "true true   ()"},
		{"wildcard", c.shown(c.root, peers.Leaf{Names: []string{"*.up.example"}}), authoritiesOf(c.root), "true true   ()"},
		{"chain", c.shown(c.between, peers.Leaf{Names: mx}, c.between), authoritiesOf(c.root), "true true   ()"},
		{"one of several authorities", c.shown(c.root, peers.Leaf{Names: mx}), authoritiesOf(c.stranger, c.root), "true true   ()"},
		{"short chain that is filled", c.shown(c.between, peers.Leaf{Names: mx}), authoritiesOf(c.between, c.root), "true true   ()"},
		{"short chain", c.shown(c.between, peers.Leaf{Names: mx}), authoritiesOf(c.root),
			"false false  untrusted issuer /O=Tests/CN=Between (certificate-not-trusted)"},
		{"wrong name", c.shown(c.root, peers.Leaf{Names: []string{"other.example"}}), authoritiesOf(c.root),
			"true false server num=62:hostname mismatch (certificate-host-mismatch)"},
		{"expired", c.shown(c.root, peers.Leaf{Names: mx, To: -time.Minute}), authoritiesOf(c.root),
			"false false server certificate has expired (certificate-expired)"},
		{"not yet", c.shown(c.root, peers.Leaf{Names: mx, From: time.Hour}), authoritiesOf(c.root),
			"false false server certificate not yet valid (validation-failure)"},
		{"authority expired", c.shown(c.stale, peers.Leaf{Names: mx}, c.stale), authoritiesOf(c.root),
			"false false CA certificate has expired (certificate-expired)"},
		{"self-signed", c.shown(nobody, peers.Leaf{CN: "mx.example"}), authoritiesOf(c.root),
			"false false  self-signed certificate (certificate-not-trusted)"},
		{"stranger", c.shown(c.stranger, peers.Leaf{Names: mx}, c.stranger), authoritiesOf(c.root),
			"false false  untrusted issuer /O=Tests/CN=Stranger (certificate-not-trusted)"},
		{"authority between alone", c.shown(c.between, peers.Leaf{Names: mx}), authoritiesOf(c.between),
			"false false CA num=2:unable to get issuer certificate (certificate-not-trusted)"},
		{"client's", c.shown(c.root, peers.Leaf{Names: mx, Client: true}), authoritiesOf(c.root),
			"false false  not designated for use as a server certificate (validation-failure)"},
		{"expired, of a stranger who is shown", c.shown(c.stranger, peers.Leaf{Names: mx, To: -time.Hour}, c.stranger), authoritiesOf(c.root),
			"false false server certificate has expired (certificate-expired)"},
		{"expired, of a stranger who is not", c.shown(c.stranger, peers.Leaf{Names: mx, To: -time.Hour}), authoritiesOf(c.root),
			"false false  untrusted issuer /O=Tests/CN=Stranger (certificate-not-trusted)"},
		{"wrong name, authority expired", c.shown(c.stale, peers.Leaf{Names: []string{"other.example"}}, c.stale), authoritiesOf(c.root),
			"false false server num=62:hostname mismatch (certificate-host-mismatch)"},
		{"wrong name, expired", c.shown(c.root, peers.Leaf{Names: []string{"other.example"}, To: -time.Hour}), authoritiesOf(c.root),
			"false false server num=62:hostname mismatch (certificate-host-mismatch)"},
		{"no authorities", c.shown(c.root, peers.Leaf{Names: mx}), nil,
			"false false  untrusted issuer /O=Tests/CN=Root (certificate-not-trusted)"},
		{"no certificate", &tls.ConnectionState{}, authoritiesOf(c.root), "false false  no certificate (certificate-not-trusted)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &verifier{authorities: tt.authorities, names: []string{"mx.example", "a.up.example"}, between: 10, now: time.Now}
			if got := show(v.verify(tt.state)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestVerifyByAnchors(t *testing.T) {
	c := newChains(t)
	mx := []string{"mx.example"}
	var nobody *peers.Authority
	key := func(cert *x509.Certificate) string { return peers.PEM("PUBLIC KEY", cert.RawSubjectPublicKeyInfo) }
	anchors := func(texts ...string) *Anchors {
		t.Helper()
		var files [][]byte
		for _, text := range texts {
			files = append(files, []byte(text))
		}
		a, err := NewAnchors(files...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	self := c.shown(nobody, peers.Leaf{CN: "mx.example", To: -time.Hour})
	other := c.shown(nobody, peers.Leaf{CN: "other.example"})
	const good = "true true   ()"
	const none = "false false server num=65:no matching DANE TLSA records (certificate-not-trusted)"
	for _, tt := range []struct {
		name    string
		state   *tls.ConnectionState
		anchors *Anchors
		want    string
	}{
		{"root", c.shown(c.root, peers.Leaf{Names: mx}), anchors(c.root.PEM()), good},
		{"one of two", c.shown(c.root, peers.Leaf{Names: mx}), anchors(c.stranger.PEM(), c.root.PEM()), good},
		{"authority between", c.shown(c.between, peers.Leaf{Names: mx}, c.between), anchors(c.between.PEM()), good},
		{"not shown", c.shown(c.between, peers.Leaf{Names: mx}), anchors(c.between.PEM()), good},
		{"root's key", c.shown(c.between, peers.Leaf{Names: mx}, c.between, c.root), anchors(key(c.root.Cert)), good},
		{"key, not shown", c.shown(c.between, peers.Leaf{Names: mx}, c.between), anchors(key(c.root.Cert)), good},
		{"key of the issuer, not shown", c.shown(c.between, peers.Leaf{Names: mx}), anchors(key(c.between.Cert)), good},
		{"server itself, expired", self, anchors(peers.PEM("CERTIFICATE", self.PeerCertificates[0].Raw)), good},
		{"server's key, expired", self, anchors(key(self.PeerCertificates[0])), good},
		{"server itself, another name", other, anchors(peers.PEM("CERTIFICATE", other.PeerCertificates[0].Raw)),
			"true false server num=62:hostname mismatch (certificate-host-mismatch)"},
		{"stranger", c.shown(c.root, peers.Leaf{Names: mx}), anchors(c.stranger.PEM()), none},
		{"stranger's key", c.shown(c.root, peers.Leaf{Names: mx}), anchors(key(c.stranger.Cert)), none},
		{"self-signed", self, anchors(c.root.PEM()), none},
		{"stranger above", c.shown(c.between, peers.Leaf{Names: mx}, c.between), anchors(c.stranger.PEM()),
			"false false CA num=65:no matching DANE TLSA records (certificate-not-trusted)"},
		{"expired", c.shown(c.root, peers.Leaf{Names: mx, To: -time.Hour}), anchors(c.root.PEM()),
			"false false server certificate has expired (certificate-expired)"},
		{"expired, by key", c.shown(c.root, peers.Leaf{Names: mx, To: -time.Hour}), anchors(key(c.root.Cert)),
			"false false server certificate has expired (certificate-expired)"},
		{"an authority that expired", c.shown(c.stale, peers.Leaf{Names: mx}, c.stale), anchors(c.root.PEM()),
			"false false CA certificate has expired (certificate-expired)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Authorities do not count beside anchors.
			v := &verifier{authorities: authoritiesOf(c.root, c.stranger), anchors: tt.anchors, names: mx, between: 10, now: time.Now}
			if got := show(v.verify(tt.state)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAnchorsThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "no trust anchor in it",
		"just words":         "no trust anchor in it",
		pemOf("X"):           "no trust anchor in it",
		pemOf("PRIVATE KEY"): "no trust anchor in it",
		pemOf("CERTIFICATE"): "malformed trust-anchor certificate: ",
		pemOf("PUBLIC KEY"):  "malformed trust-anchor pkey: ",
	} {
		if _, err := NewAnchors([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func pemOf(kind string) string { return peers.PEM(kind, []byte("nothing")) }

// smtp_tls_scert_verifydepth leaves room for one authority more than it says.
func TestDepth(t *testing.T) {
	c := newChains(t)
	below, err := c.between.Intermediate("Below", peers.Leaf{})
	if err != nil {
		t.Fatal(err)
	}
	state := c.shown(below, peers.Leaf{Names: []string{"mx.example"}}, below, c.between)
	for depth, want := range []string{
		"false false  certificate chain longer than limit(1) (certificate-not-trusted)", "true true   ()",
	} {
		p, err := New(Options{Level: mail.TLSSecure, Authorities: authoritiesOf(c.root), SecureMatch: []string{"mx.example"}, Depth: depth, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		choice, err := p.TLS(t.Context(), mail.TLSPeer{NextHop: "example.com", Port: 25})
		if err != nil {
			t.Fatal(err)
		}
		if got := show(choice.Verify(state)); got != want {
			t.Errorf("depth %d: %s, want %s", depth, got, want)
		}
	}
}

// The signature of a root under itself proves nothing, and many are of kinds that nobody
// takes any more: the root counts all the same.
func TestRootWithAnOldSignature(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SignatureAlgorithm: x509.SHA1WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"mx.example"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter, SignatureAlgorithm: x509.SHA256WithRSA,
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(leafDER)
	if err != nil {
		t.Fatal(err)
	}
	v := &verifier{authorities: NewAuthorities([][]byte{[]byte(peers.PEM("CERTIFICATE", der))}, nil), names: []string{"mx.example"}, between: 9, now: time.Now}
	if got := v.verify(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}); !got.Matched {
		t.Error(show(got))
	}
}

// What a server calls its issuer goes to the log on one line, in ASCII, and not without end.
func TestOneLine(t *testing.T) {
	attribute := func(oid string, value any) pkix.AttributeTypeAndValue {
		var id asn1.ObjectIdentifier
		for part := range strings.SplitSeq(oid, ".") {
			n := 0
			fmt.Sscan(part, &n)
			id = append(id, n)
		}
		return pkix.AttributeTypeAndValue{Type: id, Value: value}
	}
	got := oneLine(pkix.Name{Names: []pkix.AttributeTypeAndValue{
		attribute("2.5.4.6", "US"), attribute("2.5.4.10", "A\nB"), attribute("2.5.4.3", "é"), attribute("1.2.3", "x"),
	}})
	if want := `/C=US/O=A\x0AB/CN=\xC3\xA9/1.2.3=x`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := oneLine(pkix.Name{Names: []pkix.AttributeTypeAndValue{attribute("2.5.4.3", strings.Repeat("x", 1000))}}); len(got) != 255 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestFingerprint(t *testing.T) {
	c := newChains(t)
	state := c.shown(c.stranger, peers.Leaf{To: -time.Hour})
	leaf := state.PeerCertificates[0]
	for name, size := range map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64} {
		for what, der := range map[string][]byte{"certificate": leaf.Raw, "key": leaf.RawSubjectPublicKeyInfo} {
			sum := digest(name, der)
			if len(sum) != size {
				t.Errorf("%s has %d bytes", name, len(sum))
			}
			colons := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% X", sum)), " ", ":")
			for _, text := range []string{colons, strings.ToLower(colons), fmt.Sprintf("%x", sum)} {
				parsed, err := parseFingerprint(name, text)
				if err != nil {
					t.Fatal(err)
				}
				if got := byFingerprint(name, [][]byte{make([]byte, size), parsed})(state); !got.Matched || !got.Trusted {
					t.Errorf("%s of the %s: %s", name, what, show(got))
				}
				parsed[0] ^= 1
				if got := byFingerprint(name, [][]byte{parsed})(state); got.Matched || got.Trusted {
					t.Errorf("another %s of the %s: %s", name, what, show(got))
				}
			}
		}
	}
	for _, text := range []string{"", "AA:B", "AA::BB", "A:ABB", "zz", "AA:BB", strings.Repeat("AB", 33)} {
		if sum, err := parseFingerprint("sha256", text); err == nil {
			t.Errorf("%q is %x", text, sum)
		}
	}
	if got := byFingerprint("sha256", nil)(&tls.ConnectionState{}); got.Matched {
		t.Errorf("no certificate: %s", show(got))
	}
}
