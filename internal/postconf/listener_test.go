package postconf

import (
	"fmt"
	"slices"
	"testing"
)

func TestListenerAddrs(t *testing.T) {
	for _, tc := range []struct {
		name, main, service string
		want                []string
	}{
		{"everywhere", "", "smtp", []string{"0.0.0.0:25", "[::]:25"}},
		{"number", "", "2525", []string{"0.0.0.0:2525", "[::]:2525"}},
		{"smtps", "", "smtps", []string{"0.0.0.0:465", "[::]:465"}},
		{"submissions", "", "submissions", []string{"0.0.0.0:465", "[::]:465"}},
		{"submission", "", "submission", []string{"0.0.0.0:587", "[::]:587"}},
		{"of /etc/services", "", "odd", []string{"0.0.0.0:4001", "[::]:4001"}},
		{"alias in /etc/services", "", "other", []string{"0.0.0.0:4001", "[::]:4001"}},
		{"known_tcp_ports", "known_tcp_ports = a=b=77", "b", []string{"0.0.0.0:77", "[::]:77"}},
		{"IPv4 address", "", "127.0.0.1:2525", []string{"127.0.0.1:2525"}},
		{"IPv6 address", "", "[::1]:smtp", []string{"[::1]:25"}},
		{"IPv6 address without brackets", "", "::1:25", []string{"[::1]:25"}},
		{"IPv4 in brackets", "", "[127.0.0.1]:25", []string{"127.0.0.1:25"}},
		{"name", "", "localhost:25", []string{"127.0.0.1:25", "[::1]:25"}},
		{"IPv4 only", "inet_protocols = ipv4", "smtp", []string{"0.0.0.0:25"}},
		{"IPv6 only", "inet_protocols = ipv6", "smtp", []string{"[::]:25"}},
		{"name, IPv4 only", "inet_protocols = ipv4", "localhost:25", []string{"127.0.0.1:25"}},
		{"loopback", "inet_interfaces = loopback-only", "smtp", []string{"127.0.0.1:25", "[::1]:25"}},
		{"loopback, IPv6 only", "inet_interfaces = loopback-only\ninet_protocols = IPv6", "smtp", []string{"[::1]:25"}},
		{"interfaces", "inet_interfaces = 192.0.2.2, [2001:db8::2] localhost", "smtp",
			[]string{"192.0.2.2:25", "[2001:db8::2]:25", "127.0.0.1:25", "[::1]:25"}},
		{"interfaces by a macro", "inet_interfaces = $x\nx = 127.0.0.2", "smtp", []string{"127.0.0.2:25"}},
		{"twice the same", "inet_interfaces = localhost 127.0.0.1", "smtp", []string{"127.0.0.1:25", "[::1]:25"}},
		{"nowhere", "inet_interfaces =", "smtp", nil},
		{"an address is not an interface's", "inet_interfaces =", "127.0.0.1:25", []string{"127.0.0.1:25"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := readBoth(t, tc.main, tc.service+" inet n - n - - smtpd\n").Listeners()
			if err != nil || len(list) != 1 {
				t.Fatalf("got %v, %v", list, err)
			}
			if l := list[0]; !slices.Equal(l.Addrs, tc.want) || l.Service != tc.service || l.Where != "master.cf, line 1" {
				t.Errorf("got %+v, want %q", l, tc.want)
			}
		})
	}
}

func TestListenerErrors(t *testing.T) {
	const (
		ports  = "write a number from 1 to 65535, or a name from /etc/services"
		smtp   = "smtp inet n - n - - smtpd\n"
		usable = "has no address of a protocol in use; add its protocol to inet_protocols, or remove the address"
	)
	for _, tc := range []struct{ name, main, master, want string }{
		{"unknown port", "", "nosuch inet n - n - - smtpd\n",
			`/etc/test/master.cf, line 1: unknown port "nosuch" in service name "nosuch"; ` + ports},
		{"of another protocol", "inet_protocols = ipv4\nmynetworks =", "[::1]:25 inet n - n - - smtpd\n", `/etc/test/master.cf, line 1: "::1" ` + usable},
		{"port 0", "", "0 inet n - n - - smtpd\n", `/etc/test/master.cf, line 1: unknown port "0" in service name "0"; ` + ports},
		{"port out of range", "", "65536 inet n - n - - smtpd\n", `/etc/test/master.cf, line 1: unknown port "65536" in service name "65536"; ` + ports},
		{"no port", "", "127.0.0.1: inet n - n - - smtpd\n", `/etc/test/master.cf, line 1: unknown port "" in service name "127.0.0.1:"; ` + ports},
		{"unknown host", "", "nosuch:25 inet n - n - - smtpd\n",
			`/etc/test/master.cf, line 1: host not found: "nosuch"; ` + hostRemedy},
		{"unknown interface", "mynetworks =\ninet_interfaces = nosuch\n", smtp,
			`/etc/test/main.cf, line 2: host not found: "nosuch"; ` + hostRemedy},
		{"interface of another protocol", "inet_interfaces = 192.0.2.2\ninet_protocols = ipv6\n", smtp,
			`/etc/test/main.cf, line 1: "192.0.2.2" ` + usable},
		{"all and more", "inet_interfaces = all, localhost\n", smtp,
			`/etc/test/main.cf, line 1: inet_interfaces: all beside other addresses; write all alone, or addresses alone`},
		{"twice the same address", "", smtp + "25 inet n - n - - smtpd\n",
			`/etc/test/master.cf, line 2: services smtp and 25 both listen on 0.0.0.0:25; remove one of them`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := readBoth(t, tc.main, tc.master).Listeners()
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestListenersOfServices(t *testing.T) {
	c := readBoth(t, "smtpd_timeout = 300s\nmua = permit_mynetworks, reject\n", `
smtp   inet n - n - 50 smtpd
smtp   unix - - n - - smtp
587    inet n - n - - smtpd
  -o syslog_name=postfix/$service_name
  -o smtpd_timeout=10 -o smtpd_client_restrictions=$mua
  -o { smtpd_helo_restrictions = permit_mynetworks, reject }
10025  inet n - n - - spawn user=x argv=/x
127.0.0.1:25 unix - - n - - smtpd
`)
	list, err := c.Listeners()
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v, %v", list, err)
	}
	if smtp := list[0]; smtp.ProcessLimit != 50 || smtp.Config.Get("smtpd_timeout") != "300s" || smtp.Config.Get("syslog_name") != "postfix" {
		t.Errorf("smtp: %+v", smtp)
	}
	other := list[1]
	for name, want := range map[string]string{
		"smtpd_timeout": "10", "syslog_name": "postfix/587", "smtpd_client_restrictions": "permit_mynetworks, reject",
		"smtpd_helo_restrictions": "permit_mynetworks, reject",
	} {
		if got := other.Config.Get(name); got != want {
			t.Errorf("587: %s = %q, want %q", name, got, want)
		}
	}
	if got := other.Config.Where("smtpd_timeout"); got != "master.cf, line 4" || other.ProcessLimit != 0 {
		t.Errorf("587: smtpd_timeout from %q, process limit %d", got, other.ProcessLimit)
	}
	if got := c.Get("smtpd_timeout"); got != "300s" {
		t.Errorf("main.cf has smtpd_timeout = %q", got)
	}
}

// The interfaces to listen on are those of main.cf: in Postfix the master listens.
func TestInterfacesOfMain(t *testing.T) {
	list, err := readBoth(t, "inet_interfaces = 192.0.2.2", "smtp inet n - n - - smtpd -o inet_interfaces=127.0.0.1\n").Listeners()
	if err != nil || !slices.Equal(list[0].Addrs, []string{"192.0.2.2:25"}) {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestPostscreen(t *testing.T) {
	list, err := readBoth(t, "", "smtp inet n - n - 1 postscreen -o smtpd_timeout=1\nsmtpd pass - - n - - smtpd -o smtpd_timeout=20\n").Listeners()
	if err != nil || len(list) != 1 || list[0].Config.Get("smtpd_timeout") != "20" {
		t.Errorf("behind postscreen the options of smtpd hold: got %+v, %v", list, err)
	}
	list, err = readBoth(t, "", "smtp inet n - n - 1 postscreen\n").Listeners()
	if err != nil || len(list) != 1 {
		t.Errorf("without a pass service: got %+v, %v", list, err)
	}
}

func TestScreen(t *testing.T) {
	const smtpd, postscreen = "25 inet n - n - - smtpd", "25 inet n - n - 1 postscreen"
	for _, c := range []struct{ main, master, wait string }{
		{"", smtpd, ""},
		{"", postscreen, "6"},
		{"postscreen_enable = yes", smtpd, "6"},
		{"postscreen_enable = yes", smtpd + " -o postscreen_enable=no", ""},
		{"", smtpd + " -o postscreen_enable=yes -o postscreen_greet_wait=3", "3"},
		{"postscreen_enable = no", postscreen, ""},
		{"", postscreen + " -o postscreen_greet_wait=4\nsmtpd pass - - n - - smtpd -o postscreen_greet_wait=5", "4"},
	} {
		list, err := readBoth(t, c.main, c.master+"\n").Listeners()
		if err != nil || len(list) != 1 {
			t.Fatalf("%q, %q: got %+v, %v", c.main, c.master, list, err)
		}
		got := ""
		if list[0].Screen != nil {
			got = fmt.Sprint(list[0].Screen.Duration("postscreen_greet_wait").Seconds())
		}
		if got != c.wait {
			t.Errorf("%q, %q: waits %q, want %q", c.main, c.master, got, c.wait)
		}
	}
	if _, err := readBoth(t, "", postscreen+" -o postscreen_greet_action=kill\n").Listeners(); err == nil {
		t.Error("an action that is none is taken")
	}
}

func TestNoMaster(t *testing.T) {
	list, err := readMain(t, "").Listeners()
	if err != nil || len(list) != 1 || list[0].Service != "smtp" || list[0].Where != "default" ||
		!slices.Equal(list[0].Addrs, []string{"0.0.0.0:25", "[::]:25"}) {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{"0.0.0.0:25": "tcp4", "[::]:25": "tcp6", "127.0.0.1:25": "tcp4"} {
		if got := Network(addr); got != want {
			t.Errorf("Network(%q) = %s, want %s", addr, got, want)
		}
	}
}
