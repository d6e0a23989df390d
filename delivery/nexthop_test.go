package delivery

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParseNextHop(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"dest.example", "dest.example mx 25"},
		{"dest.example:2525", "dest.example mx 2525"},
		{"dest.example:", "dest.example mx 25"},
		{"dest.example:submission", "dest.example mx 587"},
		{"[host.example]", "host.example host 25"},
		{"[host.example]:2525", "host.example host 2525"},
		{"[host.example]:smtp", "host.example host 25"},
		{"[host.example]:", "host.example host 25"},
		{"[192.0.2.1]", "192.0.2.1 host 25"},
		{"[192.0.2.1]:2525", "192.0.2.1 host 2525"},
		{"192.0.2.1:2525", "192.0.2.1 host 2525"},
		{"[ipv6:2001:db8::1]", "2001:db8::1 host 25"},
		{"[IPv6:2001:db8::1]:2525", "2001:db8::1 host 2525"},
		{"[2001:db8::1]:2525", "2001:db8::1 host 2525"},
		{"2001:db8::1", "2001:db8::1 host 25"},
		{"münchen.example", "münchen.example mx 25"},
		{"", "empty next hop"},
		{"[host.example", `next hop "[host.example": missing "]"`},
		{"[host.example]2525", `next hop "[host.example]2525": garbage after "]"`},
		{"[ipv6:192.0.2.1]", `next hop "[ipv6:192.0.2.1]": malformed IPv6 address`},
		{"host.example:99999", `next hop "host.example:99999": bad port "99999"`},
		{"host.example:0", `next hop "host.example:0": bad port "0"`},
		{"host.example:nntp", `next hop "host.example:nntp": bad port "nntp"`},
		{":25", `next hop ":25": missing host`},
		{"[]:25", `next hop "[]:25": missing host`},
	} {
		h, err := parseNextHop(c.in, 25)
		got := fmt.Sprintf("%s %s %d", h.domain, map[bool]string{true: "host", false: "mx"}[h.direct], h.port)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

// A name that is none is looked up in vain for days: whoever reads a configuration is told.
func TestCheckNextHop(t *testing.T) {
	long := strings.Repeat("x", 70) + ".example"
	for _, c := range []struct{ transport, hop, want string }{
		{"smtp", "dest.example", ""},
		{"smtp", "dest.example.", ""},
		{"smtp", "relay", ""},
		{"smtp", "mail_gw.example:587", ""},
		{"smtp", "münchen.example", ""},
		{"smtp", "[xn--mnchen-3ya.example]", ""},
		{"smtp", "192.0.2.1", ""},
		{"smtp", "[192.0.2.1]:25", ""},
		{"smtp", "[ipv6:2001:db8::1]", ""},
		{"smtp", "[2001:db8::1]:25", ""},
		{"smtp", "a.example, [b.example]", ""},
		{"lmtp", "unix:/run/../odd..name", ""},
		{"lmtp", "inet:[host.example]:24", ""},
		{"smtp", "mx..example", `next hop "mx..example": "mx..example" cannot be the name of a host or domain`},
		{"smtp", "a:b:c", `next hop "a:b:c": "a:b:c" cannot be the name of a host or domain`},
		{"smtp", "-foo", `next hop "-foo": "-foo" cannot be the name of a host or domain`},
		{"relay", "[1.2.3.4.5]", `next hop "[1.2.3.4.5]": "1.2.3.4.5" cannot be the name of a host or domain`},
		{"smtp", long, fmt.Sprintf("next hop %q: %[1]q cannot be the name of a host or domain", long)},
		{"smtp", "a.example, b..example:25", `next hop "b..example:25": "b..example" cannot be the name of a host or domain`},
		{"smtp", "dest.example..", `next hop "dest.example..": "dest.example.." cannot be the name of a host or domain`},
		{"smtp", "user@dest.example", `next hop "user@dest.example": "user@dest.example" cannot be the name of a host or domain`},
		{"lmtp", "inet:-a", `next hop "-a": "-a" cannot be the name of a host or domain`},
		{"smtp", "[host", `next hop "[host": missing "]"`},
	} {
		got := ""
		if err := CheckNextHop(c.transport, c.hop); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:%s: got %q, want %q", c.transport, c.hop, got, c.want)
		}
	}
}

func TestParseLMTP(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"unix:/run/lmtp", "unix /run/lmtp"},
		{"unix:private/lmtp", "unix private/lmtp"},
		{"unix:", "error"},
		{"inet:host.example:2424", "host.example:2424"},
		{"inet:[192.0.2.1]", "192.0.2.1:24"},
		{"host.example", "host.example:24"},
		{"a.example, b.example:25", "a.example:24 b.example:25"},
		{" , ", "error"},
	} {
		hops, err := parseLMTP(c.in, 24)
		var got []string
		for _, h := range hops {
			if !h.direct {
				t.Errorf("%q: looks for MX records", c.in)
			}
			if h.path != "" {
				got = append(got, "unix "+h.path)
			} else {
				got = append(got, fmt.Sprintf("%s:%d", h.domain, h.port))
			}
		}
		if err != nil {
			got = []string{"error"}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: got %v, want %s", c.in, got, c.want)
		}
	}
}

// What a next hop is parsed to can be written down again, and means the same.
func FuzzParseNextHop(f *testing.F) {
	for _, s := range []string{"a.example", "[a.example]:25", "[ipv6:::1]:x", "a:b:c", "[", "]", "[[]]", "1.2.3.4:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseNextHop(s, 25)
		if err != nil {
			return
		}
		if h.domain == "" || h.port == 0 {
			t.Fatalf("%q: %+v", s, h)
		}
		if strings.ContainsAny(h.domain, "[]:") {
			if _, err := netip.ParseAddr(h.domain); err != nil {
				return // no host has such a name; looking it up fails
			}
		}
		again := fmt.Sprintf("%s:%d", h.domain, h.port)
		if h.direct {
			again = fmt.Sprintf("[%s]:%d", h.domain, h.port)
		}
		h2, err := parseNextHop(again, 1)
		if err != nil || h2.domain != h.domain || h2.port != h.port || h2.direct != h.direct {
			t.Fatalf("%q: %+v, written %q: %+v, %v", s, h, again, h2, err)
		}
	})
}
