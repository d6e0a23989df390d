package delivery

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func hostList(hosts []host) string {
	var s []string
	for _, h := range hosts {
		s = append(s, fmt.Sprintf("%s/%s", h.name, h.addr))
	}
	return strings.Join(s, " ")
}

func TestHosts(t *testing.T) {
	zone := fakeDNS{
		mx: map[string]string{
			"one.example":       "10 mx1.example",
			"two.example":       "10 mx1.example, 20 mx2.example",
			"null.example":      "null",
			"fail.example":      "fail",
			"dead.example":      "10 gone.example, 20 gone2.example",
			"halfdead.example":  "10 gone.example, 20 mx2.example",
			"unsure.example":    "10 fail.example, 20 gone.example",
			"self.example":      "10 mx1.example, 20 own.example, 30 mx2.example",
			"onlyself.example":  "10 own.example, 10 mx1.example, 20 mx2.example",
			"selflater.example": "10 gone.example, 20 own.example",
			"selfname.example":  "10 mx1.example, 20 MX.example.com, 30 mx2.example",
			"numeric.example":   "10 192.0.2.77",
		},
		addrs: map[string]string{
			"mx1.example": "192.0.2.1 2001:db8::1", "mx2.example": "192.0.2.2", "own.example": "198.51.100.1",
			"host.example": "192.0.2.9", "fail.example": "fail", "noauth.example": "192.0.2.8", "mx.example.com": "192.0.2.3",
			"MX.example.com": "192.0.2.3", "six.example": "2001:db8::6",
		},
		files: map[string]string{"host.example": "192.0.2.100", "files.example": "192.0.2.101", "nativefail.example": "fail"},
	}
	const notFound = "Host or domain name not found. Name service error for name="
	own := netip.MustParseAddr("198.51.100.1")
	for _, c := range []struct {
		name string
		hop  string
		o    Options
		want string // hosts, or "code reason"
	}{
		{"one MX", "one.example", Options{}, "mx1.example/192.0.2.1 mx1.example/2001:db8::1"},
		{"preference", "two.example", Options{}, "mx1.example/192.0.2.1 mx1.example/2001:db8::1 mx2.example/192.0.2.2"},
		{"IPv6 first", "two.example", Options{AddressPreference: "ipv6"}, "mx1.example/2001:db8::1 mx1.example/192.0.2.1 mx2.example/192.0.2.2"},
		{"IPv4 only", "one.example", Options{InetProtocols: []string{"ipv4"}}, "mx1.example/192.0.2.1"},
		{"IPv6 only", "one.example", Options{InetProtocols: []string{"ipv6"}}, "mx1.example/2001:db8::1"},
		{"all protocols", "one.example", Options{InetProtocols: []string{"all"}}, "mx1.example/192.0.2.1 mx1.example/2001:db8::1"},
		{"implicit MX", "host.example", Options{}, "host.example/192.0.2.9"},
		{"no MX lookup in brackets", "[one.example]", Options{}, "5.4.4 " + notFound + "one.example type=AAAA: Host not found"},
		{"host in brackets", "[host.example]", Options{}, "host.example/192.0.2.9"},
		{"address", "[192.0.2.5]:2525", Options{}, "192.0.2.5/192.0.2.5"},
		{"address of a family not spoken", "[2001:db8::5]", Options{InetProtocols: []string{"ipv4"}}, "5.4.4 " + notFound + "2001:db8::5 type=A: Host not found"},
		{"MX is an address", "numeric.example", Options{}, "192.0.2.77/192.0.2.77"},
		{"nothing", "gone.example", Options{}, "5.4.4 " + notFound + "gone.example type=AAAA: Host not found"},
		{"no address of the family", "[six.example]", Options{InetProtocols: []string{"ipv4"}}, "5.4.4 " + notFound + "six.example type=A: Host found but no data record of requested type"},
		{"null MX", "null.example", Options{}, "5.1.0 Domain null.example does not accept mail (nullMX)"},
		{"MX lookup fails", "fail.example", Options{}, "4.4.3 " + notFound + "fail.example type=MX: Host not found, try again"},
		{"address lookup fails", "[fail.example]", Options{}, "4.4.3 " + notFound + "fail.example type=AAAA: Host not found, try again"},
		{"no MX host exists", "dead.example", Options{}, "5.4.4 " + notFound + "gone2.example type=AAAA: Host not found"},
		{"no MX host exists, deferred", "dead.example", Options{DeferNoMXAddress: true}, "4.4.4 " + notFound + "gone2.example type=AAAA: Host not found"},
		{"one MX host exists", "halfdead.example", Options{}, "mx2.example/192.0.2.2"},
		{"a soft error is not displaced", "unsure.example", Options{}, "4.4.3 " + notFound + "fail.example type=AAAA: Host not found, try again"},
		{"we are an MX: only better ones", "self.example", Options{}, "mx1.example/192.0.2.1 mx1.example/2001:db8::1"},
		{"we are the best MX", "onlyself.example", Options{}, "5.4.6 mail for onlyself.example loops back to myself"},
		{"better MX hosts do not exist", "selflater.example", Options{}, "4.4.4 unable to find primary relay for selflater.example"},
		{"we are an MX by name", "selfname.example", Options{}, "mx1.example/192.0.2.1 mx1.example/2001:db8::1"},
		{"we are the host", "[own.example]", Options{}, "5.4.6 mail for own.example loops back to myself"},
		{"ourselves on another port", "[own.example]:2525", Options{}, "own.example/198.51.100.1"},
		{"no DNS: no MX, native", "one.example", Options{DNSEnabled: false, HostLookup: []string{"off"}}, "5.4.4 unable to look up host one.example: Name or service not known"},
		{"no DNS: native", "host.example", Options{DNSEnabled: false, HostLookup: []string{"off"}}, "host.example/192.0.2.100"},
		{"native fails", "nativefail.example", Options{DNSEnabled: false, HostLookup: []string{"off"}}, "4.4.4 unable to look up host nativefail.example: Temporary failure in name resolution"},
		{"DNS, then native", "[files.example]", Options{HostLookup: []string{"dns", "native"}}, "files.example/192.0.2.101"},
		{"DNS before native", "[host.example]", Options{HostLookup: []string{"native", "dns"}}, "host.example/192.0.2.9"},
		{"only native", "[host.example]", Options{HostLookup: []string{"native"}}, "host.example/192.0.2.100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.o
			o.Resolver, o.MyHostname = zone, "mx.example.com"
			o.DNSEnabled = len(o.HostLookup) == 0 || o.HostLookup[0] != "off"
			o.OwnAddrs = func(a netip.Addr) bool { return a == own }
			hop, err := parseNextHop(c.hop, 25)
			if err != nil {
				t.Fatal(err)
			}
			s := &search{settings: newSettings(o), warn: func(string, ...any) {}, mayLoop: hop.port == 25}
			hosts := s.hosts(t.Context(), hop)
			got := hostList(hosts)
			if len(hosts) == 0 {
				got = s.why.status.Enhanced.String() + " " + s.why.reason
			}
			if got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.hop, got, c.want)
			}
			for _, h := range hosts {
				if h.port != hop.port {
					t.Errorf("port %d", h.port)
				}
			}
		})
	}
}

func makeHosts(v4, v6 int, pref uint16) []host {
	var hosts []host
	for i := range v4 {
		hosts = append(hosts, host{addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), pref: pref})
	}
	for i := range v6 {
		hosts = append(hosts, host{addr: netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), pref: pref})
	}
	return hosts
}

// Chance decides among equals, all of them come first some time, and a worse preference
// never comes before a better one.
func TestOrder(t *testing.T) {
	s := &search{settings: newSettings(Options{RandomizeAddresses: true, MXAddressLimit: -1})}
	first := map[netip.Addr]int{}
	for range 400 {
		hosts := s.order(append(makeHosts(3, 3, 20), makeHosts(2, 2, 10)...))
		first[hosts[0].addr]++
		families := ""
		for i, h := range hosts {
			if want := uint16(10); i >= 4 && h.pref != 20 || i < 4 && h.pref != want {
				t.Fatalf("order %v", hosts)
			}
			if h.addr.Is4() {
				families += "4"
			} else {
				families += "6"
			}
		}
		for _, group := range []string{families[:4], families[4:]} {
			if strings.Contains(group, "44") || strings.Contains(group, "66") {
				t.Fatalf("families do not take turns: %s", families)
			}
		}
	}
	if len(first) != 4 {
		t.Errorf("first of the best: %v, want all four", first)
	}
	if s.RandomizeAddresses = false; hostList(s.order(makeHosts(2, 0, 1))) != "/192.0.2.0 /192.0.2.1" {
		t.Error("the order of the answer is not kept")
	}
}

// The limit leaves each family half of the places, if it has that many.
func TestBalance(t *testing.T) {
	for _, c := range []struct{ v4, v6, limit, want4, want6 int }{
		{2, 2, 5, 2, 2}, {10, 0, 5, 5, 0}, {0, 10, 5, 0, 5}, {10, 1, 5, 4, 1}, {1, 10, 5, 1, 4},
		{10, 10, 5, 3, 2}, {10, 10, 4, 2, 2}, {10, 10, -1, 10, 10}, {3, 3, 1, 1, 0},
	} {
		got4, got6 := 0, 0
		for _, h := range balance(makeHosts(c.v4, c.v6, 0), c.limit) {
			if h.addr.Is4() {
				got4++
			} else {
				got6++
			}
		}
		if got4 != c.want4 || got6 != c.want6 {
			t.Errorf("%d and %d, limit %d: kept %d and %d, want %d and %d", c.v4, c.v6, c.limit, got4, got6, c.want4, c.want6)
		}
	}
	for range 1000 {
		v4, v6, limit := rand.IntN(9), rand.IntN(9), 1+rand.IntN(9)
		hosts := makeHosts(v4, v6, 0)
		rand.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
		if got := len(balance(hosts, limit)); got != min(v4+v6, limit) {
			t.Fatalf("%d and %d, limit %d: kept %d", v4, v6, limit, got)
		}
	}
}
