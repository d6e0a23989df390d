package dnstest

import (
	"errors"
	"slices"
	"testing"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

func TestZone(t *testing.T) {
	z := New(t, `
a.example. TXT "one" "two"
mx.b.example. A 192.0.2.1
alias.example. CNAME mx.b.example.
`)
	z.AddTXT("long.example", string(slices.Repeat([]byte("x"), 600)))
	z.Fail("broken.example", ServFail)
	z.Fail("silent.example", Silent)
	r := z.Resolver()
	for _, c := range []struct {
		name  string
		qtype uint16
		n     int
		err   error
	}{
		{"a.example", lib.TypeTXT, 1, nil},
		{"A.EXAMPLE", lib.TypeTXT, 1, nil},
		{"a.example", lib.TypeA, 0, dns.ErrNotFound},
		{"b.example", lib.TypeA, 0, dns.ErrNotFound},
		{"alias.example", lib.TypeA, 1, nil},
		{"long.example", lib.TypeTXT, 1, nil},
		{"nobody.example", lib.TypeTXT, 0, dns.ErrNotFound},
		{"broken.example", lib.TypeTXT, 0, dns.ErrTemporary},
		{"silent.example", lib.TypeTXT, 0, dns.ErrTemporary},
	} {
		a, err := r.Query(t.Context(), c.name, c.qtype)
		if len(a.RRs) != c.n || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", c.name, a.RRs, err)
		}
	}
	_, err := r.Query(t.Context(), "b.example", lib.TypeA)
	if e, ok := errors.AsType[*dns.Error](err); !ok || e.Kind != dns.NoData {
		t.Errorf("an empty name in between: %v", err)
	}
	if asked := z.Asked(); len(asked) == 0 || asked[0] != "a.example. TXT" {
		t.Errorf("asked %v", asked)
	}
}
