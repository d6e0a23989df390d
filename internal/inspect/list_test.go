package inspect

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	mdns "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// zone is a name server: records by name in zone file form; "?" does not answer.
func zone(t *testing.T, records map[string][]string) *dns.Resolver {
	return dns.New(dns.Options{Servers: []string{"192.0.2.53"}, Hosts: t.TempDir() + "/hosts", Attempts: 1,
		Exchange: func(_ context.Context, q *mdns.Msg, _ string, _ bool) (*mdns.Msg, error) {
			m := new(mdns.Msg)
			m.SetReply(q)
			list, ok := records[q.Question[0].Name]
			if !ok {
				m.Rcode = mdns.RcodeNameError
				return m, nil
			}
			for _, text := range list {
				if text == "?" {
					return nil, errors.New("no answer")
				}
				rr, err := mdns.NewRR(q.Question[0].Name + " 60 " + text)
				if err != nil {
					t.Error(err)
				} else if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			return m, nil
		}})
}

func TestList(t *testing.T) {
	names := zone(t, map[string][]string{
		"2.2.0.192.bl.example.": {"A 127.0.0.2", "A 127.0.0.10", `TXT "listed; see" " \"there\""`},
		"3.2.0.192.bl.example.": {"?"},
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example.": {"A 127.0.0.2"},
		"bad.example.bl.example.": {"A 127.0.0.3", "TXT one", "TXT two"},
	})
	for _, tt := range []struct {
		list, what, text string
		listed, fails    bool
	}{
		{list: "bl.example", what: "192.0.2.2", listed: true, text: `listed; see "there"`},
		{list: "bl.example=127.0.0.10", what: "192.0.2.2", listed: true, text: `listed; see "there"`},
		{list: "bl.example=127.0.0.[3..9]", what: "192.0.2.2"},
		{list: "bl.example", what: "192.0.2.9"},
		{list: "bl.example", what: "192.0.2.3", fails: true},
		{list: "bl.example", what: "2001:db8::1", listed: true},
		{list: "bl.example", what: "bad.example", listed: true, text: "one / two"},
		{list: "bl.example=127.0.0.[3;7]", what: "bad.example", listed: true, text: "one / two"},
		{list: "bl.example", what: "good.example"},
	} {
		l, err := NewList(names, tt.list)
		if err != nil {
			t.Fatal(err)
		}
		ask := func() (bool, string, error) { return l.Domain(context.Background(), tt.what) }
		if a, err := netip.ParseAddr(tt.what); err == nil {
			ask = func() (bool, string, error) { return l.Address(context.Background(), a) }
		}
		listed, text, err := ask()
		if listed != tt.listed || text != tt.text || (err != nil) != tt.fails {
			t.Errorf("%s in %s: %v %q %v", tt.what, tt.list, listed, text, err)
		}
	}
	for _, bad := range []string{"", "=127.0.0.1", "a b", "bl.example=127.0.0", "bl.example=127.0.0.256", "bl.example=127.0.0.[1", "bl.example=127.0.0.[4..2]", "bl.example=127.0.0.1.2", "bl.example=127.0.[0.1]", "bl.example="} {
		if _, err := NewList(names, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What a pattern of single numbers matches is the address that it is.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"127.0.0.2", "127.0.[0..3].[1;2;5..9]", "[", "1.2.3.[", "300.1.1.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		a, aerr := netip.ParseAddr(s)
		if aerr == nil && a.Is4() && (err != nil || !p.Matches(a)) {
			t.Errorf("%q does not match itself: %v", s, err)
		}
	})
}
