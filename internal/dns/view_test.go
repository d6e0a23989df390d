package dns

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// In which domains a name is looked up, and what is said if it is in none: res_search(3).
func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name    string
		options string // of resolv.conf, and its search domains if they are not one, two and sick
		view    View
		asked   string
		want    string
	}{
		{"host", "", View{}, "host", "none"},
		{"host", "", View{DefNames: true}, "host.one host", "none"},
		{"host", "", View{Search: true}, "host", "none"},
		{"host", "", View{DefNames: true, Search: true}, "host.one host.two host.sick host", "temporary"},
		{"host.", "", View{DefNames: true, Search: true}, "host", "none"},
		{"a.host", "", View{DefNames: true}, "a.host", "none"},
		{"a.host", "", View{Search: true}, "a.host a.host.one a.host.two a.host.sick", "temporary"},
		{"a.host", "ndots:2", View{Search: true}, "a.host.one a.host.two a.host.sick a.host", "temporary"},
		{"here", "", View{DefNames: true, Search: true}, "here.one here.two", "192.0.2.2"},
		{"a.here", "", View{Search: true}, "a.here a.here.one a.here.two", "192.0.2.3"},
		{"text", "", View{DefNames: true}, "text.one text", "no data"},
		{"a.text", "search two one", View{Search: true}, "a.text a.text.two a.text.one", "none"},
		{"a.text", "ndots:2 search two one", View{Search: true}, "a.text.two a.text.one a.text", "no data"},
		{"itself.x", "", View{Search: true}, "itself.x", "192.0.2.4"},
		{"two..dots", "", View{Search: true}, "", "none"},
	} {
		var asked []string
		z := newZone(t, "here.two. 60 IN A 192.0.2.2", "a.here.two. 60 IN A 192.0.2.3", "text.one. 60 IN TXT x", "a.text.one. 60 IN TXT x", "itself.x. 60 IN A 192.0.2.4")
		options, domains, ok := strings.Cut(c.options, "search ")
		if !ok {
			domains = "one two sick"
		}
		conf := writeConf(t, "nameserver 192.0.2.53\nsearch "+domains+"\noptions attempts:1 "+options+"\n")
		r := New(Options{ResolvConf: conf, Exchange: func(ctx context.Context, q *dns.Msg, server string, tcp bool) (*dns.Msg, error) {
			name := strings.TrimSuffix(q.Question[0].Name, ".")
			asked = append(asked, name)
			if strings.HasSuffix(name, ".sick") {
				return rcode(dns.RcodeServerFailure)(q)
			}
			return z.exchange(ctx, q, server, tcp)
		}})
		addrs, err := r.With(c.view).Addrs(t.Context(), c.name, IPv4)
		got := addrList(addrs)
		var e *Error
		switch {
		case errors.As(err, &e) && e.Kind == NoData:
			got = "no data"
		case errors.Is(err, ErrTemporary):
			got = "temporary"
		case errors.Is(err, ErrNotFound):
			got = "none"
		}
		if got != c.want || strings.Join(asked, " ") != c.asked {
			t.Errorf("%s, %+v %s: got %s, asked %v; want %s, %s", c.name, c.view, c.options, got, asked, c.want, c.asked)
		}
		if e != nil && e.Name != c.name {
			t.Errorf("%s: the error is about %s", c.name, e.Name)
		}
	}
}

// What the filter is shown, and what is left of an answer.
func TestFilter(t *testing.T) {
	z := newZone(t,
		"both.example. 300 IN A 192.0.2.1", "both.example. 300 IN AAAA 2001:DB8::1",
		"Mixed.Example. 300 IN CNAME both.example.",
		"x.example. 300 IN MX 10 mx.example.", "x.example. 300 IN MX 20 Drop.example.",
		"drop.example. 300 IN MX 5 drop.example.", "drop.example. 300 IN A 192.0.2.66",
		"null.example. 300 IN MX 0 .",
		"_25._tcp.x.example. 300 IN TLSA 3 1 1 ABCDEF", "t.example. 300 IN TXT \"a \" \"b\"",
	)
	var mu sync.Mutex // guards shown: A and AAAA are asked for at the same time
	var shown []string
	drops := func(_ context.Context, record string) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, record)
		if strings.Contains(record, "192.0.2.99") {
			return false, errors.New("table is away")
		}
		return strings.Contains(strings.ToLower(record), "drop") || strings.Contains(record, " AAAA "), nil
	}
	z.add(t, "away.example. 300 IN A 192.0.2.99")
	plain := z.resolver()
	r := plain.With(View{Filter: drops})
	query := func(name string, qtype uint16) (int, error) {
		a, err := r.Query(t.Context(), name, qtype)
		return len(a.RRs), err
	}
	for _, c := range []struct {
		name  string
		qtype uint16
		n     int
		err   string
		shown string
	}{
		{"both.example", dns.TypeA, 1, "", "both.example. 300 IN A 192.0.2.1"},
		{"both.example", dns.TypeAAAA, 0, "Error looking up name=both.example type=AAAA: DNS reply filter drops all results", "both.example. 300 IN AAAA 2001:db8::1"},
		{"mixed.example", dns.TypeA, 1, "", "both.example. 300 IN A 192.0.2.1"},
		{"x.example", dns.TypeMX, 1, "", "x.example. 300 IN MX 10 mx.example.|x.example. 300 IN MX 20 Drop.example."},
		{"drop.example", dns.TypeMX, 0, "Error looking up name=drop.example type=MX: DNS reply filter drops all results", "drop.example. 300 IN MX 5 drop.example."},
		{"null.example", dns.TypeMX, 1, "", ""},
		{"gone.example", dns.TypeMX, 0, "Host or domain name not found. Name service error for name=gone.example type=MX: Host not found", ""},
		{"_25._tcp.x.example", dns.TypeTLSA, 1, "", "_25._tcp.x.example. 300 IN TLSA 3 1 1 abcdef"},
		{"t.example", dns.TypeTXT, 1, "", "t.example. 300 IN TXT a b"},
		{"away.example", dns.TypeA, 0, "Error looking up name=away.example type=A: Invalid DNS reply filter syntax", "away.example. 300 IN A 192.0.2.99"},
	} {
		shown = nil
		n, err := query(c.name, c.qtype)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if n != c.n || text != c.err || strings.Join(shown, "|") != c.shown {
			t.Errorf("%s %s: got %d records, %q, shown %q; want %d, %q, %q", c.name, dns.TypeToString[c.qtype], n, text, shown, c.n, c.err, c.shown)
		}
	}
	if addrs, err := r.Addrs(t.Context(), "both.example", Any); err != nil || addrList(addrs) != "192.0.2.1" {
		t.Errorf("both.example: %v, %v", addrs, err)
	}
	_, err := r.Addrs(t.Context(), "drop.example", Any)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrTemporary) || err == nil || !strings.Contains(err.Error(), "drops all") {
		t.Errorf("drop.example: %v", err)
	}
	if _, err := r.Addrs(t.Context(), "away.example", IPv4); !errors.Is(err, ErrTemporary) {
		t.Errorf("away.example: %v, want a temporary failure", err)
	}
	// Another view sees what this one leaves out.
	if addrs, err := plain.Addrs(t.Context(), "drop.example", IPv4); err != nil || !slices.Equal([]string{addrList(addrs)}, []string{"192.0.2.66"}) {
		t.Errorf("without a filter: %v, %v", addrs, err)
	}
}
