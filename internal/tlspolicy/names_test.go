package tlspolicy

import (
	"crypto/x509"
	"slices"
	"testing"

	"aliasmx/integration/peers"
	"aliasmx/internal/mail"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"mx.example", "mx.example", true},
		{"mx.example", "a.mx.example", false},
		{"", "", false},
		{"*.mx.example", "a.mx.example", true},
		{"*.mx.example", "mx.example", false},
		{"*.mx.example", "a.b.mx.example", false},
		{"*.mx.example", ".mx.example", true}, // whatever is below
		{"*.mx.example", "*.mx.example", true},
		{"*.mx.example", "a_b.mx.example", false},
		{"*.mx.example", "xn--a.mx.example", true},
		{"a*.mx.example", "ab.mx.example", false},
		{"*a.mx.example", "ba.mx.example", false},
		{"*.example", "mx.example", false},
		{"*", "localhost", false},
		{"*.*.example", "a.b.example", false},
		{"a.*.example", "a.b.example", false},
		{"b.mx.example", ".mx.example", true},
		{"a.b.mx.example", ".mx.example", true},
		{"mx.example", ".mx.example", false},
		{"badmx.example", ".mx.example", false},
		{"a\x00.mx.example", ".mx.example", false},
		{"anything", ".", false},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("certificate for %q, asked for %q: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestPeerNames(t *testing.T) {
	peer := mail.TLSPeer{Domain: "Example.com", Host: "mx.example.net"}
	for _, tt := range []struct {
		words, want []string
	}{
		{[]string{"nexthop", "dot-nexthop"}, []string{"example.com", ".example.com"}},
		{[]string{"Hostname"}, []string{"mx.example.net"}},
		{[]string{"MX.Example", ".Below.example"}, []string{"mx.example", ".below.example"}},
		{[]string{"bücher.example", ".bücher.example"}, []string{"xn--bcher-kva.example", ".xn--bcher-kva.example"}},
		{[]string{".", ""}, nil},
	} {
		if got := peerNames(tt.words, peer); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.words, got, tt.want)
		}
	}
}

// The common name counts where there is no DNS name, and only there.
func TestCertificateFor(t *testing.T) {
	root, err := peers.NewAuthority("Root")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		leaf peers.Leaf
		name string
		want bool
	}{
		{peers.Leaf{CN: "mx.example"}, "mx.example", true},
		{peers.Leaf{CN: "MX.example"}, "mx.example", true},
		{peers.Leaf{CN: "mx.example", Names: []string{"other.example"}}, "mx.example", false},
		{peers.Leaf{CN: "mx.example", Addr: []byte{192, 0, 2, 1}}, "mx.example", true},
		{peers.Leaf{Names: []string{"a.example", "mx.example"}}, "mx.example", true},
		{peers.Leaf{Addr: []byte{192, 0, 2, 1}}, "192.0.2.1", false},
		{peers.Leaf{}, "mx.example", false},
	} {
		cfg, err := root.Server(tt.leaf)
		if err != nil {
			t.Fatal(err)
		}
		var c *x509.Certificate = cfg.Certificates[0].Leaf
		if got := certificateFor(c, []string{"zzz.example", tt.name}); got != tt.want {
			t.Errorf("%+v for %s: %v", tt.leaf, tt.name, got)
		}
	}
}
