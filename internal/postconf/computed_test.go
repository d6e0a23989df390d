package postconf

import (
	"net/netip"
	"testing"
)

func TestHostAndDomain(t *testing.T) {
	for _, tc := range []struct{ name, machine, main, host, domain string }{
		{"short name", "vm", "", "vm.localdomain", "localdomain"},
		{"full name", "mx.example.org", "", "mx.example.org", "example.org"},
		{"set", "vm", "myhostname = mx.example.net", "mx.example.net", "example.net"},
		{"domain set", "vm", "mydomain = example.net", "vm.example.net", "example.net"},
		{"short name set", "vm", "myhostname = foo", "foo", "localdomain"},
		{"both set", "vm", "myhostname = a.b\nmydomain = c", "a.b", "c"},
		{"one by the other", "vm", "myhostname = a.$mydomain\nmydomain = c.d", "a.c.d", "c.d"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := optionsOf(tc.main, "")
			o.System.Hostname = tc.machine
			c, err := Load(o)
			if err != nil {
				t.Fatal(err)
			}
			if c.Get("myhostname") != tc.host || c.Get("mydomain") != tc.domain {
				t.Errorf("got %s and %s, want %s and %s", c.Get("myhostname"), c.Get("mydomain"), tc.host, tc.domain)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	const all = "127.0.0.1/32 192.0.2.2/32 [::1]/128 [2001:db8::2]/128"
	for _, tc := range []struct{ name, main, want string }{
		{"by default", "", all},
		{"host", "mynetworks_style = host", all},
		{"subnet", "mynetworks_style = Subnet", "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/64"},
		{"class", "mynetworks_style = class", "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/64"},
		{"older defaults", "compatibility_level = 0", "127.0.0.0/8 192.0.2.0/24 [::1]/128 [2001:db8::]/64"},
		{"loopback", "inet_interfaces = loopback-only", "127.0.0.1/32 [::1]/128"},
		{"names and addresses", "inet_interfaces = localhost, 192.0.2.2\nmynetworks_style = subnet", "127.0.0.0/8 192.0.2.0/24 [::1]/128"},
		{"twice the same", "inet_interfaces = 127.0.0.1 127.0.0.1", "127.0.0.1/32"},
		{"a foreign address", "inet_interfaces = 192.0.2.9 [2001:db8::9]\nmynetworks_style = subnet", "192.0.2.9/32 [2001:db8::9]/128"},
		{"IPv4 only", "inet_protocols = ipv4", "127.0.0.1/32 192.0.2.2/32"},
		{"IPv6 only", "inet_protocols = ipv6", "[::1]/128 [2001:db8::2]/128"},
		{"nowhere", "inet_interfaces =", ""},
		{"set", "mynetworks = 10.0.0.0/8", "10.0.0.0/8"},
	} {
		if got := readMain(t, tc.main).Get("mynetworks"); got != tc.want {
			t.Errorf("%s: mynetworks = %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestNetworkClasses(t *testing.T) {
	for addr, want := range map[string]string{
		"10.1.2.3/30": "10.0.0.0/8", "172.16.5.4/30": "172.16.0.0/16", "198.51.100.7/30": "198.51.100.0/24",
		"224.0.0.1/8": "224.0.0.1/32", "2001:db8::1/48": "2001:db8::/48",
	} {
		if got := networkOf(netip.MustParsePrefix(addr), "class").String(); got != want {
			t.Errorf("class network of %s = %s, want %s", addr, got, want)
		}
	}
}

// Without any facts given the machine is asked.
func TestRealMachine(t *testing.T) {
	m := newMachine(System{})
	if m.Hostname == "" || len(m.Interfaces) == 0 || !m.hasIPv4() && !m.hasIPv6() {
		t.Errorf("host name %q, interfaces %v", m.Hostname, m.Interfaces)
	}
	if addrs, err := m.host("192.0.2.1"); err != nil || len(addrs) != 1 {
		t.Errorf("an address is its own: %v, %v", addrs, err)
	}
	if _, err := m.read(t.TempDir() + "/nosuch"); err == nil {
		t.Error("read a file that is not there")
	}
}
