package dnscheck

import (
	"strings"
	"testing"
)

// The keys that sign are looked at without being named, each once.
func TestDKIMOfSigningKeys(t *testing.T) {
	z := newZone(t, `s1._domainkey.a.example. TXT "v=DKIM1; p="`)
	for domain, want := range map[string][]string{
		"a.example": {"given._domainkey.a.example", "s1._domainkey.a.example"},
		"b.example": {"given._domainkey.b.example"},
	} {
		c := New(Options{Resolver: z.resolver(), Selectors: []string{"given"}, SelectorsOf: func(domain string) []string {
			if domain == "a.example" {
				return []string{"s1", "given"}
			}
			return nil
		}})
		r := &report{domain: domain}
		c.dkim(t.Context(), r)
		if len(r.findings) != len(want) {
			t.Fatalf("%s: %+v", domain, r.findings)
		}
		for i, name := range want {
			if !strings.Contains(r.findings[i].Text, name) {
				t.Errorf("%s: %+v, want %s", domain, r.findings[i], name)
			}
		}
	}
	r := &report{domain: "a.example"}
	New(Options{Resolver: z.resolver(), SelectorsOf: func(string) []string { return nil }}).dkim(t.Context(), r)
	if len(r.findings) != 1 || r.findings[0].Level != Note || !strings.Contains(r.findings[0].Text, "dkim_keys has no key of this domain") {
		t.Errorf("%+v", r.findings)
	}
}
