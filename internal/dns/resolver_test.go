package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestMX(t *testing.T) {
	z := newZone(t,
		"many.example. 300 IN MX 20 b.example.net.",
		"many.example. 300 IN MX 10 a.example.net.",
		"many.example. 300 IN MX 20 c.example.net.",
		"null.example. 300 IN MX 0 .",
		"nullandmore.example. 300 IN MX 0 .",
		"nullandmore.example. 300 IN MX 10 a.example.net.",
		"alias.example. 300 IN CNAME many.example.",
		"nomx.example. 300 IN A 192.0.2.1",
		"xn--mnchen-3ya.example. 300 IN MX 10 a.example.net.",
		"loop1.example. 300 IN CNAME loop2.example.",
		"loop2.example. 300 IN CNAME loop1.example.",
	)
	z.rcode["fail.example."] = dns.RcodeServerFailure
	z.rcode["refused.example."] = dns.RcodeRefused
	z.rcode["odd.example."] = dns.RcodeNotAuth
	r := z.resolver()
	for _, c := range []struct {
		name string
		want string // "pref host, ..." or the text of the error
		is   error
	}{
		{"many.example", "10 a.example.net, 20 b.example.net, 20 c.example.net", nil},
		{"MANY.example.", "10 a.example.net, 20 b.example.net, 20 c.example.net", nil},
		{"alias.example", "10 a.example.net, 20 b.example.net, 20 c.example.net", nil},
		{"münchen.example", "10 a.example.net", nil},
		{"nullandmore.example", "Domain nullandmore.example does not accept mail (nullMX)", ErrNullMX},
		{"null.example", "Domain null.example does not accept mail (nullMX)", ErrNullMX},
		{"nomx.example", "Host or domain name not found. Name service error for name=nomx.example type=MX: Host found but no data record of requested type", ErrNotFound},
		{"gone.example", "Host or domain name not found. Name service error for name=gone.example type=MX: Host not found", ErrNotFound},
		{"fail.example", "Host or domain name not found. Name service error for name=fail.example type=MX: Host not found, try again", ErrTemporary},
		{"refused.example", "Host or domain name not found. Name service error for name=refused.example type=MX: Host not found, try again", ErrTemporary},
		{"odd.example", "Host or domain name not found. Name service error for name=odd.example type=MX: Host not found, try again", ErrTemporary},
		{"loop1.example", "Name server loop for loop1.example", ErrNotFound},
		{"192.0.2.1", "Name service error for 192.0.2.1: invalid host or domain name", ErrNotFound},
		{"", "Name service error for : invalid host or domain name", ErrNotFound},
		{"two..dots.example", "Name service error for two..dots.example: invalid host or domain name", ErrNotFound},
		{"space in.example", "Name service error for space in.example: invalid host or domain name", ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			mxs, err := r.MX(t.Context(), c.name)
			var got []string
			for _, m := range mxs {
				got = append(got, fmt.Sprint(m.Pref, " ", m.Host))
			}
			text := strings.Join(got, ", ")
			if err != nil {
				text = err.Error()
			}
			if text != c.want {
				t.Errorf("MX(%q)\n got %q\nwant %q", c.name, text, c.want)
			}
			for _, kind := range []error{ErrNotFound, ErrTemporary, ErrNullMX} {
				if errors.Is(err, kind) != (kind == c.is) {
					t.Errorf("MX(%q): %v is %v: %v", c.name, err, kind, errors.Is(err, kind))
				}
			}
		})
	}
}

func addrList(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

func TestAddrs(t *testing.T) {
	z := newZone(t,
		"both.example. 300 IN AAAA 2001:db8::1",
		"both.example. 300 IN A 192.0.2.1",
		"both.example. 300 IN A 192.0.2.2",
		"both.example. 300 IN A 192.0.2.1",
		"four.example. 300 IN A 192.0.2.4",
		"text.example. 300 IN TXT x",
		"far.example. 300 IN CNAME nearer.example.",
		"nearer.example. 300 IN CNAME four.example.",
	)
	z.rcode["fail.example."] = dns.RcodeServerFailure
	r := z.resolver()
	for _, c := range []struct {
		host   string
		family Family
		want   string
	}{
		{"both.example", Any, "192.0.2.1 192.0.2.2 2001:db8::1"},
		{"both.example", IPv4, "192.0.2.1 192.0.2.2"},
		{"both.example", IPv6, "2001:db8::1"},
		{"four.example", Any, "192.0.2.4"},
		{"four.example", IPv6, "type=AAAA: Host found but no data record of requested type"},
		{"far.example", Any, "192.0.2.4"},
		{"text.example", Any, "type=AAAA: Host found but no data record of requested type"},
		{"text.example", IPv4, "type=A: Host found but no data record of requested type"},
		{"gone.example", Any, "type=AAAA: Host not found"},
		{"fail.example", Any, "type=AAAA: Host not found, try again"},
		{"fail.example", IPv6, "type=AAAA: Host not found, try again"},
	} {
		addrs, err := r.Addrs(t.Context(), c.host, c.family)
		got := addrList(addrs)
		if err != nil {
			_, got, _ = strings.Cut(err.Error(), c.host+" ")
		}
		if got != c.want {
			t.Errorf("Addrs(%s, %d)\n got %q\nwant %q", c.host, c.family, got, c.want)
		}
	}
}

// One family that fails does not hide the other; but where nothing was found, "there is
// none" may not be said while one family is unknown.
func TestAddrsWithOneFamilyFailing(t *testing.T) {
	z := newZone(t, "half.example. 300 IN AAAA 2001:db8::1", "none.example. 300 IN TXT x")
	r := New(Options{Servers: []string{"192.0.2.53"}, Exchange: func(ctx context.Context, q *dns.Msg, s string, tcp bool) (*dns.Msg, error) {
		if q.Question[0].Qtype == dns.TypeA {
			return nil, context.DeadlineExceeded
		}
		return z.exchange(ctx, q, s, tcp)
	}})
	if addrs, err := r.Addrs(t.Context(), "half.example", Any); err != nil || addrList(addrs) != "2001:db8::1" {
		t.Errorf("half.example: got %v, %v", addrs, err)
	}
	if _, err := r.Addrs(t.Context(), "none.example", Any); !errors.Is(err, ErrTemporary) {
		t.Errorf("none.example: got %v, want a temporary failure", err)
	}
}

func TestClientName(t *testing.T) {
	z := newZone(t,
		"1.2.0.192.in-addr.arpa. 300 IN PTR mail.example.net.",
		"mail.example.net. 300 IN A 192.0.2.1",
		"2.2.0.192.in-addr.arpa. 300 IN PTR forged.example.net.",
		"forged.example.net. 300 IN A 192.0.2.99",
		"3.2.0.192.in-addr.arpa. 300 IN PTR gone.example.net.",
		"4.2.0.192.in-addr.arpa. 300 IN PTR bad\\032name.example.net.",
		"5.2.0.192.in-addr.arpa. 300 IN PTR wrong.example.net.",
		"5.2.0.192.in-addr.arpa. 300 IN PTR right.example.net.",
		"wrong.example.net. 300 IN A 192.0.2.99",
		"right.example.net. 300 IN A 192.0.2.5",
		"7.2.0.192.in-addr.arpa. 300 IN PTR files.example.",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR six.example.net.",
		"six.example.net. 300 IN AAAA 2001:db8::1",
	)
	z.rcode["6.2.0.192.in-addr.arpa."] = dns.RcodeServerFailure
	for i := range 20 {
		z.add(t, fmt.Sprintf("8.2.0.192.in-addr.arpa. 300 IN PTR n%d.example.net.", i))
	}
	r := z.resolver()
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.1", "mail.example.net"},
		{"::ffff:192.0.2.1", "mail.example.net"},
		{"192.0.2.2", "unknown"},
		{"192.0.2.3", "unknown"},
		{"192.0.2.4", "unknown"},
		{"192.0.2.5", "right.example.net"},
		{"192.0.2.6", "unknown"},
		{"192.0.2.7", "unknown"}, // files.example has another address
		{"192.0.2.8", "unknown"},
		{"192.0.2.9", "unknown"},
		{"2001:db8::1", "six.example.net"},
		{"2001:db8::80", "files.example"},
		{"127.0.0.1", "localhost"},
		{"192.0.2.81", "mapped.example"},
	} {
		if got := r.ClientName(t.Context(), netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("ClientName(%s): got %q, want %q", c.addr, got, c.want)
		}
	}
	for addr, want := range map[string]NameStatus{
		"192.0.2.1": NameVerified, "192.0.2.2": NameForged, "192.0.2.4": NameMissing, // what is no name is none
		"192.0.2.6": NameTemporary, "192.0.2.9": NameMissing,
	} {
		if got := r.ClientNames(t.Context(), netip.MustParseAddr(addr)).Status; got != want {
			t.Errorf("ClientNames(%s): status %d, want %d", addr, got, want)
		}
	}
	asked := 0
	for _, q := range z.asked {
		if strings.HasPrefix(q, "n") && strings.Contains(q, ".example.net. A ") {
			asked++
		}
	}
	if asked != maxNames {
		t.Errorf("tried %d of 20 names, want %d", asked, maxNames)
	}
}

func TestPTR(t *testing.T) {
	z := newZone(t, "1.2.0.192.in-addr.arpa. 300 IN PTR a.example.", "1.2.0.192.in-addr.arpa. 300 IN PTR b.example.")
	names, err := z.resolver().PTR(t.Context(), netip.MustParseAddr("192.0.2.1"))
	if err != nil || !slices.Equal(names, []string{"a.example", "b.example"}) {
		t.Errorf("got %v, %v", names, err)
	}
	if _, err := z.resolver().PTR(t.Context(), netip.MustParseAddr("192.0.2.2")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestNative(t *testing.T) {
	z := newZone(t,
		"files.example. 300 IN A 192.0.2.1",
		"host.corp.example. 300 IN A 192.0.2.10",
		"a.b.corp.example. 300 IN A 192.0.2.11",
		"a.b. 300 IN A 192.0.2.12",
		"plain. 300 IN A 192.0.2.13",
	)
	z.rcode["sick.other.example."] = dns.RcodeServerFailure
	r := New(Options{ResolvConf: "testdata/resolv.conf", Hosts: "testdata/hosts", Exchange: z.exchange})
	for _, c := range []struct {
		host   string
		family Family
		want   string
	}{
		{"files.example", Any, "192.0.2.80 2001:db8::80"},
		{"Files.Example.", IPv6, "2001:db8::80"},
		{"files", Any, "192.0.2.80"},
		{"localhost", IPv4, "127.0.0.1"},
		{"host", Any, "192.0.2.10"},
		{"host.", Any, "Host or domain name not found. Name service error for name=host. type=AAAA: Host not found"},
		{"plain", Any, "192.0.2.13"},
		{"a.b", Any, "192.0.2.12"}, // as many dots as ndots: as it is first
		{"nowhere", Any, "Host or domain name not found. Name service error for name=nowhere type=AAAA: Host not found"},
		{"sick", Any, "Host or domain name not found. Name service error for name=sick.other.example type=AAAA: Host not found, try again"},
	} {
		addrs, err := r.Native(t.Context(), c.host, c.family)
		got := addrList(addrs)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("Native(%s, %d)\n got %q\nwant %q", c.host, c.family, got, c.want)
		}
	}
}

// On loopback, with a real server: UDP, and TCP where the answer was cut.
func TestOverTheNetwork(t *testing.T) {
	z := newZone(t)
	for i := range 60 {
		z.add(t, fmt.Sprintf("big.example. 300 IN MX %d mx%d.a-rather-long-name-to-fill-the-packet.example.net.", i, i))
	}
	z.add(t, "small.example. 300 IN A 192.0.2.1")
	server := z.serve(t)
	r := New(Options{Servers: []string{server}, Timeout: 2 * time.Second})
	ctx := within(t, 20*time.Second)
	if addrs, err := r.Addrs(ctx, "small.example", IPv4); err != nil || addrList(addrs) != "192.0.2.1" {
		t.Errorf("small.example: %v, %v", addrs, err)
	}
	z.mu.Lock()
	z.cutUDP = true
	z.mu.Unlock()
	if mxs, err := r.MX(ctx, "big.example"); err != nil || len(mxs) != 60 {
		t.Errorf("big.example: %d records, %v", len(mxs), err)
	}
	if !slices.Contains(z.asked, "big.example. MX tcp") {
		t.Errorf("TCP was not used: %v", z.asked)
	}
}
