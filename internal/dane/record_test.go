package dane

import (
	"testing"

	"github.com/miekg/dns"
)

// What is a certificate or a key by its outline is usable, and nothing else in full.
func TestFault(t *testing.T) {
	c := issue(t, nil, "mx.dest.example", nil)
	cert, key := c.Raw, c.RawSubjectPublicKeyInfo
	for _, row := range []struct {
		name     string
		selector uint8
		data     []byte
		ok       bool
	}{
		{"certificate", selectorCert, cert, true},
		{"key", selectorKey, key, true},
		{"key for a certificate", selectorCert, key, false},
		{"certificate for a key", selectorKey, cert, false},
		{"certificate and more", selectorCert, append(cert[:len(cert):len(cert)], 0), false},
		{"key and more", selectorKey, append(key[:len(key):len(key)], 0), false},
		{"part of a certificate", selectorCert, cert[:len(cert)-1], false},
		{"part of a key", selectorKey, key[:len(key)-1], false},
	} {
		for _, usage := range []uint8{usageTA, usageEE} {
			f := record{usage, row.selector, matchFull, row.data}.fault(defaultDigests())
			if (f == "") != row.ok {
				t.Errorf("%s, usage %d: %q", row.name, usage, f)
			}
		}
	}
	if f := decode(&dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Certificate: "xyz"}).fault(defaultDigests()); f != ": truncated TLSA RR length == 3" {
		t.Errorf("no hexadecimal: %q", f)
	}
}
