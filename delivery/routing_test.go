package delivery

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aliasmx/internal/mail"
)

// smtp_address_verify_target = data: the answer to DATA counts, and no byte follows a 354.
func TestProbeByData(t *testing.T) {
	const said = "host 192.0.2.1[192.0.2.1] said: "
	for _, c := range []struct {
		name    string
		answers map[string]string
		want    string
		last    string // command
	}{
		{"354", nil, "sent 2.0.0 R (354 go on)", "DATA"},
		{"refused at DATA", map[string]string{"DATA": "550 5.1.1 no such user"}, "bounced 5.1.1 R (" + said + "550 5.1.1 no such user (in reply to DATA command))", "QUIT"},
		{"not now", map[string]string{"DATA": "450 4.2.0 not now"}, "deferred 4.2.0 R (" + said + "450 4.2.0 not now (in reply to DATA command))", "QUIT"},
		{"refused at RCPT", map[string]string{"RCPT": "550 5.1.1 no", "DATA": "354 whatever"}, "bounced 5.1.1 R (" + said + "550 5.1.1 no (in reply to RCPT TO command))", ""},
	} {
		for _, keywords := range [][]string{nil, allKeywords} {
			t.Run(c.name, func(t *testing.T) {
				answers := map[string]string{"DATA": "354 go on"}
				for k, v := range c.answers {
					answers[k] = v
				}
				p := &peer{keywords: keywords, on: script(answers)}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{ProbeData: true})
				src := s.send("smtp:[192.0.2.1]", question("a@dest.example"))
				s.Close()
				p.serving.Wait()
				if got := strings.Replace(fates(src.results[0]), " 192.0.2.1[192.0.2.1]:25 (", " R (", 1); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				commands := p.commands(1)
				if last := commands[len(commands)-1]; c.last != "" && last != c.last {
					t.Errorf("commands %q", commands)
				}
				if i := slices.Index(commands, "DATA"); i >= 0 && c.last == "" && i != len(commands)-1 {
					t.Errorf("commands behind a 354: %q", commands)
				}
				if len(p.got()) != 0 {
					t.Errorf("a probe was taken for a message: %v", p.got())
				}
			})
		}
	}
}

// lmtp_fallback_relay: as the one of SMTP, without MX records; sockets have none.
func TestLMTPFallback(t *testing.T) {
	o := Options{FallbackRelay: []string{"[192.0.2.9]"}}
	p := &peer{lmtp: true, keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:24": error(syscall.ECONNREFUSED), "192.0.2.9:24": p}, o)
	if got := fates(s.send("lmtp:inet:[192.0.2.1]", letter("a@dest.example")).results[0]); !strings.HasPrefix(got, "sent 2.1.5 192.0.2.9[192.0.2.9]:24") {
		t.Error(got)
	}
	s = newSetup(t, map[string]any{"/run/lmtp": error(syscall.ECONNREFUSED), "192.0.2.9:24": p}, o)
	if got := fates(s.send("lmtp:unix:/run/lmtp", letter("a@dest.example")).results[0]); !strings.HasPrefix(got, "deferred 4.4.1 none") {
		t.Error(got)
	}
	if want := `WARN: ignoring "lmtp_fallback_relay = [192.0.2.9]" setting for non-TCP connections`; !strings.Contains(s.log.String(), want) {
		t.Errorf("log %q", s.log)
	}
	s = newSetup(t, nil, Options{FallbackRelay: []string{"gone.example"}})
	if got := fates(s.send("lmtp:inet:gone2.example", letter("a@dest.example")).results[0]); !strings.HasPrefix(got, "deferred 4.3.5 none") {
		t.Error(got)
	}
	if want := "WARN: lmtp_fallback_relay configuration problem"; s.log.String() != want {
		t.Errorf("log %q", s.log)
	}
}

// Whether a success is reported as relayed or as delivered.
func TestRelayed(t *testing.T) {
	for _, c := range []struct {
		dest string
		o    Options
		want bool
	}{
		{"smtp:[192.0.2.1]:24", Options{}, true},
		{"smtp:[192.0.2.1]:24", Options{AssumeFinal: true}, true},
		{"lmtp:inet:[192.0.2.1]", Options{}, true},
		{"lmtp:inet:[192.0.2.1]", Options{AssumeFinal: true}, false},
	} {
		s := newSetup(t, map[string]any{"192.0.2.1:24": &peer{lmtp: strings.HasPrefix(c.dest, "lmtp")}}, c.o)
		if r := s.send(c.dest, letter("a@dest.example")).results[0][0]; r.State != mail.Delivered || r.Relayed != c.want {
			t.Errorf("%s, %v: %+v", c.dest, c.o.AssumeFinal, r)
		}
	}
}

// From which address, and what happens where it is not there.
func TestSource(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		name    string
		network string
		o       Options
		bind    string // "": the system's choice
		enforce bool
	}{
		{"nothing said", "tcp4", Options{}, "", false},
		{"IPv4", "tcp4", Options{BindAddress: a("192.0.2.1"), BindAddress6: a("2001:db8::1")}, "192.0.2.1", false},
		{"IPv6", "tcp6", Options{BindAddress: a("192.0.2.1"), BindAddress6: a("2001:db8::1"), BindEnforce: true}, "2001:db8::1", true},
		{"the other family is free", "tcp6", Options{BindAddress: a("192.0.2.1"), BindEnforce: true}, "", false},
		{"the only one", "tcp4", Options{OnlyAddress: a("192.0.2.2"), BindEnforce: true}, "192.0.2.2", false},
		{"the only one, IPv6", "tcp6", Options{OnlyAddress6: a("2001:db8::2")}, "2001:db8::2", false},
		{"one was named", "tcp4", Options{OnlyAddress: a("192.0.2.2"), BindAddress: a("192.0.2.1")}, "192.0.2.1", false},
		{"sockets", "unix", Options{OnlyAddress: a("192.0.2.2"), BindAddress: a("192.0.2.1"), BindEnforce: true}, "", false},
	} {
		bind, enforce := newSettings(c.o).source(c.network)
		got := ""
		if bind.IsValid() {
			got = bind.String()
		}
		if got != c.bind || enforce != c.enforce {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, enforce, c.bind, c.enforce)
		}
	}
	l := &logged{}
	client := New(Options{BindAddress: a("192.0.2.99"), BindEnforce: true, Log: slog.New(l.handler())})
	src := &source{t: t, attempts: letters(2)}
	client.Work(t.Context(), "smtp:[127.0.0.1]", src)
	client.Close()
	for _, r := range src.results {
		if want := "deferred 4.4.0 none (server configuration error)"; fates(r) != want {
			t.Errorf("got %s, want %s", fates(r), want)
		}
	}
	if want := "WARN: smtp_connect_addr: bind 192.0.2.99: Cannot assign requested address\nserver configuration error"; l.String() != want+"\n"+want {
		t.Errorf("log\n%s\nwant twice\n%s", l, want)
	}
	if len(client.hosts.byAddr) != 0 {
		t.Error("the host is blamed for an address that is not here")
	}
}

// A zone is written by somebody else: what it has too much of is not looked up.
func TestTooManyRecords(t *testing.T) {
	zone := fakeDNS{mx: map[string]string{}, addrs: map[string]string{}}
	var mxs, addrs []string
	for i := range 150 {
		mxs = append(mxs, fmt.Sprintf("10 mx%d.example", i))
		zone.addrs[fmt.Sprintf("mx%d.example", i)] = fmt.Sprintf("192.0.2.%d", i)
		addrs = append(addrs, fmt.Sprintf("198.51.100.%d", i))
	}
	zone.mx["many.example"] = strings.Join(mxs, ", ")
	zone.mx["few.example"] = "10 big.example, 20 mx1.example"
	zone.addrs["big.example"] = strings.Join(addrs, " ")
	for hop, warning := range map[string]string{
		"many.example": "qname=many.example qtype=MX", "few.example": "qname=big.example qtype=A", "[big.example]": "qname=big.example qtype=A",
	} {
		h, err := parseNextHop(hop, 25)
		if err != nil {
			t.Fatal(err)
		}
		var warned []string
		s := &search{settings: newSettings(Options{Resolver: zone, DNSEnabled: true, MXAddressLimit: -1}), warn: func(m string, _ ...any) { warned = append(warned, m) }}
		if got := len(s.hosts(t.Context(), h)); got != recordsMost {
			t.Errorf("%s: %d hosts", hop, got)
		}
		want := "DNS record count limit (100) exceeded -- dropping excess record(s) after " + warning
		if strings.Join(warned, "\n") != want {
			t.Errorf("%s: warned %q, want %q", hop, warned, want)
		}
	}
}

// smtp_balance_inet_protocols = no: the order and the limit are as without two families.
func TestUnbalanced(t *testing.T) {
	for _, c := range []struct {
		unbalanced bool
		want       string
	}{{false, "464"}, {true, "4446"}} {
		s := &search{settings: newSettings(Options{Unbalanced: c.unbalanced, MXAddressLimit: 3})}
		got := ""
		for _, h := range s.order(makeHosts(3, 1, 10)) {
			got += map[bool]string{true: "4", false: "6"}[h.addr.Is4()]
		}
		if got != c.want {
			t.Errorf("unbalanced %v: families %s, want %s", c.unbalanced, got, c.want)
		}
	}
}

// Names in the form of the DNS, wherever they show.
func TestALabels(t *testing.T) {
	for name, want := range map[string]string{
		"dest.example": "dest.example", "MÜLLER.example": "xn--mller-kva.example", "münchen.example": "xn--mnchen-3ya.example",
		"a_b.example": "a_b.example", "192.0.2.1": "192.0.2.1", "\xff.example": "\xff.example",
	} {
		if got := aLabels(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	zone := fakeDNS{addrs: map[string]string{"xn--mnchen-3ya.example": "192.0.2.1"}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": &peer{keywords: allKeywords}}, Options{Resolver: zone, DNSEnabled: true})
	if got := fates(s.send("smtp:münchen.example", letter("a@münchen.example")).results[0]); !strings.HasPrefix(got, "sent 2.0.0 xn--mnchen-3ya.example[192.0.2.1]:25 ") {
		t.Error(got)
	}
	site, err := s.Site(t.Context(), "smtp:[münchen.example]")
	if err != nil || site.Name != "xn--mnchen-3ya.example" {
		t.Errorf("site %q, %v", site.Name, err)
	}
}
