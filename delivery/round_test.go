package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// mxZone is dest.example with hosts mx1, mx2, ... of falling preference.
func mxZone(hosts int) fakeDNS {
	z := fakeDNS{mx: map[string]string{}, addrs: map[string]string{}}
	var mx []string
	for i := 1; i <= hosts; i++ {
		mx = append(mx, fmt.Sprintf("%d mx%d.example", 10*i, i))
		z.addrs[fmt.Sprintf("mx%d.example", i)] = fmt.Sprintf("192.0.2.%d", i)
	}
	z.mx["dest.example"] = strings.Join(mx, ", ")
	return z
}

// Each case: what the hosts do, and which of them gets what.
func TestNextHost(t *testing.T) {
	refused, unreachable := error(syscall.ECONNREFUSED), error(syscall.ENETUNREACH)
	answer := func(cmd, reply string) *peer {
		return &peer{keywords: allKeywords, on: script(map[string]string{cmd: reply})}
	}
	fine := func() *peer { return &peer{keywords: allKeywords} }
	for _, c := range []struct {
		name  string
		hosts []any // mx1, mx2, ...
		o     Options
		fates string // of one@ and two@
		got   string // messages by host
		log   string // a line that has to be there
		bad   bool
	}{
		{"first works", []any{fine(), fine()}, Options{},
			"sent 2.0.0 mx1.example[192.0.2.1]:25 (250 2.0.0 Ok: queued as SINK)", "2 -", "", false},
		{"first refuses connections", []any{refused, fine()}, Options{},
			"sent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "- 2", "connect-error relay=mx1.example[192.0.2.1]:25 reason=Connection refused", false},
		{"none can be reached", []any{refused, unreachable}, Options{},
			"deferred 4.4.1 none (connect to mx2.example[192.0.2.2]:25: Network is unreachable)", "- -", "connect-error relay=mx1.example[192.0.2.1]:25 reason=Connection refused", true},
		{"first greets with 5xx", []any{answer("connect", "554 no"), fine()}, Options{Skip5xxGreeting: true},
			"sent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "- 2", "host mx1.example[192.0.2.1] refused to talk to me: 554 no queue_id=", false},
		{"first greets with 5xx, and that counts", []any{answer("connect", "554 no"), fine()}, Options{},
			"bounced 5.0.0 mx1.example[192.0.2.1]:25 (host mx1.example[192.0.2.1] refused to talk to me: 554 no)", "- -", "", false},
		{"first hangs up", []any{answer("MAIL", "close"), fine()}, Options{},
			"sent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "- 2", "lost connection with mx1.example[192.0.2.1] while sending MAIL FROM queue_id=", false},
		{"sender refused for now by the first", []any{answer("MAIL", "450 4.7.1 no"), fine()}, Options{},
			"sent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "- 2", "(in reply to MAIL FROM command) queue_id=", false},
		{"sender refused by the first", []any{answer("MAIL", "550 5.7.1 no"), fine()}, Options{},
			"bounced 5.7.1 mx1.example[192.0.2.1]:25 (host mx1.example[192.0.2.1] said: 550 5.7.1 no (in reply to MAIL FROM command))", "- -", "", false},
		{"one recipient refused for now by the first", []any{answer("RCPT TO:<two", "450 4.2.0 no"), fine()}, Options{},
			"sent 2.0.0 mx1.example[192.0.2.1]:25 (250 2.0.0 Ok: queued as SINK)\nsent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "1 1", "(in reply to RCPT TO command) queue_id=", false},
		{"one recipient refused by the first", []any{answer("RCPT TO:<two", "550 5.1.1 no"), fine()}, Options{},
			"sent 2.0.0 mx1.example[192.0.2.1]:25 (250 2.0.0 Ok: queued as SINK)\nbounced 5.1.1 mx1.example[192.0.2.1]:25 (host mx1.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))", "1 -", "", false},
		{"content refused for now by the first", []any{answer(".", "451 4.3.0 no"), fine()}, Options{},
			"sent 2.0.0 mx2.example[192.0.2.2]:25 (250 2.0.0 Ok: queued as SINK)", "2 2", "(in reply to end of DATA command) queue_id=", false},
		{"first two talk and refuse: the third is not asked", []any{answer("MAIL", "450 4.1.1 a"), answer("MAIL", "450 4.1.2 b"), fine()}, Options{},
			"deferred 4.1.2 mx2.example[192.0.2.2]:25 (host mx2.example[192.0.2.2] said: 450 4.1.2 b (in reply to MAIL FROM command))", "- - -", "", false},
		{"a greeting that refuses does not count", []any{answer("connect", "421 a"), answer("MAIL", "450 4.1.2 b"), fine()}, Options{},
			"sent 2.0.0 mx3.example[192.0.2.3]:25 (250 2.0.0 Ok: queued as SINK)", "- - 2", "", false},
		{"no limit of sessions", []any{answer("MAIL", "450 4.1.1 a"), answer("MAIL", "450 4.1.2 b"), fine()}, Options{MXSessionLimit: -1},
			"sent 2.0.0 mx3.example[192.0.2.3]:25 (250 2.0.0 Ok: queued as SINK)", "- - 2", "", false},
		{"the limit of addresses", []any{refused, refused, fine()}, Options{MXAddressLimit: 2},
			"deferred 4.4.1 none (connect to mx2.example[192.0.2.2]:25: Connection refused)", "- - -", "", true},
		{"refused for now, and the second cannot be reached", []any{answer("RCPT TO:<two", "450 4.2.0 no"), refused}, Options{},
			"sent 2.0.0 mx1.example[192.0.2.1]:25 (250 2.0.0 Ok: queued as SINK)\ndeferred 4.4.1 none (connect to mx2.example[192.0.2.2]:25: Connection refused)", "1 -", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			peers := map[string]any{}
			for i, h := range c.hosts {
				peers[fmt.Sprintf("192.0.2.%d:25", i+1)] = h
			}
			o := c.o
			o.DNSEnabled, o.Resolver = true, mxZone(len(c.hosts))
			s := newSetup(t, peers, o)
			src := s.send("smtp:dest.example", letter("one@dest.example", "two@dest.example"))
			want := c.fates
			if !strings.Contains(want, "\n") {
				want += "\n" + want
			}
			if got := fates(src.results[0]); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			var got []string
			for _, h := range c.hosts {
				n := "-"
				if p, ok := h.(*peer); ok && len(p.got()) > 0 {
					n = fmt.Sprint(len(p.got()[0].to))
				}
				got = append(got, n)
			}
			if strings.Join(got, " ") != c.got {
				t.Errorf("recipients by host: %v, want %s", got, c.got)
			}
			if !strings.Contains(s.log.String(), c.log) {
				t.Errorf("log\n%s\nwant %s", s.log, c.log)
			}
			if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
				t.Errorf("feedback bad: %v, want %v", bad, c.bad)
			}
		})
	}
}

// As in the seed: the IPv6 address does not work, the IPv4 address of the same host does.
func TestNextAddressOfAHost(t *testing.T) {
	p := &peer{}
	s := newSetup(t, map[string]any{"[2001:db8::1]:25": syscall.ENETUNREACH, "192.0.2.1:25": p}, Options{
		DNSEnabled: true, AddressPreference: "ipv6", RandomizeAddresses: true,
		Resolver: fakeDNS{mx: map[string]string{"dest.example": "10 mx.example.net"}, addrs: map[string]string{"mx.example.net": "192.0.2.1 2001:db8::1"}},
	})
	src := s.send("smtp:dest.example", letter("target@dest.example"))
	if got := fates(src.results[0]); got != "sent 2.0.0 mx.example.net[192.0.2.1]:25 (250 2.0.0 Ok: queued as SINK)" {
		t.Error(got)
	}
	if want := "connect-error relay=mx.example.net[2001:db8::1]:25 reason=Network is unreachable"; s.log.String() != want {
		t.Errorf("log\n%s\nwant\n%s", s.log, want)
	}
}

func TestUnresolved(t *testing.T) {
	const notFound = "Host or domain name not found. Name service error for name="
	for _, c := range []struct {
		name string
		dest string
		o    Options
		want string
		bad  bool
		log  string
	}{
		{"no such domain", "smtp:gone.example", Options{}, "bounced 5.4.4 none (" + notFound + "gone.example type=AAAA: Host not found)", false, ""},
		{"no answer", "smtp:fail.example", Options{}, "deferred 4.4.3 none (" + notFound + "fail.example type=MX: Host not found, try again)", true, ""},
		{"null MX", "smtp:null.example", Options{}, "bounced 5.1.0 none (Domain null.example does not accept mail (nullMX))", false, ""},
		{"loop", "smtp:self.example", Options{FallbackRelay: []string{"[192.0.2.9]"}}, "bounced 5.4.6 none (mail for self.example loops back to myself)", false, ""},
		{"a relayhost that does not exist", "smtp:gone.example", Options{RelayHost: "gone.example"}, "deferred 4.3.5 none (" + notFound + "gone.example type=AAAA: Host not found)", true, "WARN: relayhost configuration problem"},
		{"a fallback that does not exist", "smtp:null.example", Options{FallbackRelay: []string{"gone.example"}}, "deferred 4.3.5 none (" + notFound + "gone.example type=AAAA: Host not found)", true, "WARN: smtp_fallback_relay configuration problem"},
		{"a fallback", "smtp:gone.example", Options{FallbackRelay: []string{"[192.0.2.9]"}}, "sent 2.0.0 192.0.2.9[192.0.2.9]:25 (250 2.0.0 Ok: queued as SINK)", false, ""},
		{"several next hops", "smtp:gone.example, [192.0.2.9]", Options{}, "sent 2.0.0 192.0.2.9[192.0.2.9]:25 (250 2.0.0 Ok: queued as SINK)", false, ""},
		{"a next hop that is none", "smtp:[192.0.2.9", Options{}, "deferred 4.3.5 none (mail system configuration error)", false, `WARN: next hop "[192.0.2.9": missing "]"`},
		{"empty", "smtp:", Options{}, "deferred 4.3.5 none (mail system configuration error)", false, "WARN: empty next hop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.o
			o.DNSEnabled = true
			o.OwnAddrs = func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.1") }
			o.Resolver = fakeDNS{
				mx:    map[string]string{"fail.example": "fail", "null.example": "null", "self.example": "10 own.example"},
				addrs: map[string]string{"own.example": "198.51.100.1"},
			}
			s := newSetup(t, map[string]any{"192.0.2.9:25": &peer{}}, o)
			src := s.send(c.dest, letter("r@dest.example"))
			if got := fates(src.results[0]); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if bad := src.feedback[0] == mail.FeedbackBad; bad != c.bad {
				t.Errorf("feedback bad: %v, want %v", bad, c.bad)
			}
			if !strings.Contains(s.log.String(), c.log) {
				t.Errorf("log\n%s\nwant %s", s.log, c.log)
			}
		})
	}
}

// Where all hosts swallow packets, the limit of addresses bounds the time.
func TestSilentHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers := map[string]any{}
		for i := range 20 {
			peers[fmt.Sprintf("192.0.2.%d:25", i+1)] = "silent"
		}
		s := newSetup(t, peers, Options{DNSEnabled: true, Resolver: mxZone(20)})
		began := time.Now()
		src := s.send("smtp:dest.example", letter("r@dest.example"))
		if got := fates(src.results[0]); got != "deferred 4.4.1 none (connect to mx5.example[192.0.2.5]:25: Connection timed out)" {
			t.Error(got)
		}
		if took := time.Since(began); took != 5*30*time.Second {
			t.Errorf("took %v, want 2m30s", took)
		}
		if r := src.results[0][0]; r.Connected != 150*time.Second {
			t.Errorf("set-up of %v", r.Connected)
		}
	})
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.ECONNREFUSED, "Connection refused"},
		{syscall.ENETUNREACH, "Network is unreachable"},
		{syscall.EHOSTUNREACH, "No route to host"},
		{syscall.ETIMEDOUT, "Connection timed out"},
		{syscall.ENOENT, "No such file or directory"},
		{syscall.EADDRNOTAVAIL, "Cannot assign requested address"},
		{context.DeadlineExceeded, "Connection timed out"},
		{errors.New("x"), "x"},
	} {
		if got := errorText(fmt.Errorf("dial: %w", c.err)); got != c.want && c.want != "x" {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

// A connection that another next hop comes after is ended: of two only one could be kept.
func TestConnectionBeforeTheFallbackIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := &peer{on: script(map[string]string{"RCPT": "450 4.2.1 busy"})}
		next := &peer{}
		s := newSetup(t, map[string]any{"192.0.2.1:25": first, "192.0.2.2:25": next}, Options{FallbackRelay: []string{"[192.0.2.2]"}})
		src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
		if got := fates(src.results[0]); !strings.HasPrefix(got, "sent 2.0.0 192.0.2.2") {
			t.Error(got)
		}
		synctest.Wait()
		if got := first.commands(1); got[len(got)-1] != "QUIT" {
			t.Errorf("the first host was left with %s", got[len(got)-1])
		}
	})
}
