package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"

	"github.com/miekg/dns"

	"aliasmx/integration/peers"
)

// FuzzRecord: whatever a record holds, it is usable or not, and matches the server's
// certificate when a plain reading of RFC 6698 says so, never otherwise.
func FuzzRecord(f *testing.F) {
	root := issue(f, nil, "root", nil)
	leaf := issue(f, root, "mx.dest.example", nil)
	chain := []*x509.Certificate{leaf.Certificate, root.Certificate}
	for _, of := range []*peers.Cert{leaf, root} {
		for usage := range uint8(5) {
			for selector := range uint8(3) {
				for match := range uint8(4) {
					f.Add(usage, selector, match, about(of, usage, selector, match).data, true)
					f.Add(usage, selector, match, []byte{}, false)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, usage, selector, match uint8, data []byte, relate bool) {
		// A random digest matches nothing: half of the time the data is of the certificate.
		of := leaf
		if relate && usage == usageTA {
			of = root
		}
		thing := of.Raw
		if selector == selectorKey {
			thing = of.RawSubjectPublicKeyInfo
		}
		s256, s512 := sha256.Sum256(thing), sha512.Sum512(thing)
		want := map[uint8][]byte{0: thing, 1: s256[:], 2: s512[:]}[match]
		if relate && want != nil {
			data = want
		}
		rr := &dns.TLSA{Usage: usage, Selector: selector, MatchingType: match, Certificate: hex.EncodeToString(data)}
		r := decode(rr)
		if !bytes.Equal(r.data, data) {
			t.Fatalf("decoded %x, want %x", r.data, data)
		}
		is := want != nil && bytes.Equal(data, want) && selector <= 1
		if r.fault(defaultDigests()) != "" {
			if is && (usage == usageEE || usage == usageTA) {
				t.Fatalf("unusable: %s", r)
			}
			return
		}
		if usage != usageEE && usage != usageTA || selector > 1 || match > 2 {
			t.Fatalf("usable: %s", r)
		}
		v := newVerifier([]record{r}, names, defaultDigests(), func() time.Time { return noon })
		got := v.verify(&tls.ConnectionState{PeerCertificates: chain})
		if got.Matched != is || got.Matched && got.Reason != "" || !got.Matched && (got.Reason == "" || got.Result == "") {
			t.Fatalf("%s: %+v, want a match: %t", r, got, is)
		}
	})
}
