package delivery

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// domains has many domains with one host, each named dN.example.
func domains(n int, hosts string) fakeDNS {
	z := fakeDNS{mx: map[string]string{}, addrs: map[string]string{"mx1.example": "192.0.2.1", "mx2.example": "192.0.2.1", "mx3.example": "192.0.2.3"}}
	for i := range n {
		z.mx[fmt.Sprintf("d%d.example", i)] = hosts
	}
	return z
}

// each sends one letter to each domain, one after the other, and returns the conn_use of
// each.
func each(t *testing.T, s *setup, from, to int) (uses []int) {
	t.Helper()
	for i := from; i < to; i++ {
		r := s.send(fmt.Sprintf("smtp:d%d.example", i), letter("r@dest.example")).results[0][0]
		if r.State != mail.Delivered {
			t.Fatalf("letter %d: %s", i, fate(r))
		}
		uses = append(uses, r.ConnUse)
	}
	return uses
}

// Many domains at one host share its connections, once there is much mail for it. A few
// letters hold none of them.
func TestDomainsShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{DNSEnabled: true, Resolver: domains(40, "10 mx1.example")})
		each(t, s, 0, 10)
		if p.count() != 10 {
			t.Errorf("%d connections for the first ten letters", p.count())
		}
		uses := each(t, s, 10, 40)
		if p.count() != 11 || uses[29] != 30 {
			t.Errorf("%d connections for 40 domains; the last is use %d", p.count(), uses[29])
		}
		synctest.Wait()
		if got := p.commands(1); got[len(got)-1] != "QUIT" {
			t.Errorf("the first connection: %q", got)
		}
		time.Sleep(3 * time.Second)
		s.net.wait()
		if got := p.commands(11); got[len(got)-1] != "QUIT" {
			t.Errorf("the one that waited: %q", got[len(got)-1])
		}
		each(t, s, 0, 1)
		if p.count() != 12 {
			t.Errorf("%d connections after a pause", p.count())
		}
	})
}

// What waits may be gone when it is wanted; the letter does not suffer from that.
func TestStaleWaitingConnection(t *testing.T) {
	for _, reply := range []string{"close", "421 4.4.2 too long", "421 4.4.2 too long| close"} {
		t.Run(reply, func(t *testing.T) {
			asked := 0
			p := &peer{keywords: allKeywords, on: func(conn int, cmd string) string {
				if strings.HasPrefix(cmd, "MAIL") && conn == 11 {
					if asked++; asked == 3 {
						return reply
					}
				}
				return ""
			}}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{DNSEnabled: true, Resolver: domains(20, "10 mx1.example, 20 mx3.example")})
			each(t, s, 0, 16)
			if p.count() != 12 || len(p.got()) != 16 {
				t.Errorf("%d connections, %d letters", p.count(), len(p.got()))
			}
		})
	}
}

// Only what is equal in all that counts is shared.
func TestWhatIsNotShared(t *testing.T) {
	cert, pool := selfSigned(t, "mx1.example")
	verified := func(key string) mail.TLSChoice {
		c := wants(pool, "mx1.example")
		c.Key = key
		return c
	}
	for _, c := range []struct {
		name  string
		o     Options
		hosts string // of domain 1
		want  int    // connections for domain 0 and then 1
	}{
		{"the same", Options{}, "10 mx1.example", 1},
		{"another name at the address", Options{}, "10 mx2.example", 2},
		{"a better host", Options{}, "5 mx3.example, 10 mx1.example", 2},
		{"an equal host", Options{}, "10 mx3.example, 10 mx1.example", 1},
		{"TLS that verifies nobody", Options{TLSLevel: mail.TLSEncrypt}, "10 mx1.example", 1},
		{"a name of its own told to each", Options{TLSLevel: mail.TLSMay, TLSServerName: "nexthop"}, "10 mx1.example", 2},
		{"verified alike", Options{TLSPolicy: &policy{choice: verified("mx1")}}, "10 mx1.example", 1},
		{"verified for one alone", Options{TLSPolicy: &policy{choice: verified("")}}, "10 mx1.example", 2},
		{"two policies", Options{TLSPolicy: byDomain{"d0.example": verified("mx1"), "d1.example": {Level: mail.TLSMay}}}, "10 mx1.example", 2},
		{"two verifications", Options{TLSPolicy: byDomain{"d0.example": verified("a"), "d1.example": verified("b")}}, "10 mx1.example", 2},
		{"the same login", Options{SASL: &SASL{Passwords: passwords(map[string]string{"mx1.example": "a:b"}), Delimiter: ":"}}, "10 mx1.example", 1},
		{"another login", Options{SASL: &SASL{Passwords: passwords(map[string]string{"d0.example": "a:b"}), Delimiter: ":"}}, "10 mx1.example", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Domain 1 needs mail of its own host only where it has another.
			p, other := &peer{keywords: allKeywords, cert: cert}, &peer{keywords: allKeywords, cert: cert}
			zone := domains(1, "10 mx1.example")
			zone.mx["d1.example"] = c.hosts
			c.o.DNSEnabled, c.o.Resolver, c.o.CacheFor = true, zone, func(string) bool { return true }
			s := newSetup(t, map[string]any{"192.0.2.1:25": p, "192.0.2.3:25": other}, c.o)
			s.net.tcp = true
			each(t, s, 0, 2)
			if got := p.count() + other.count(); got != c.want {
				t.Errorf("%d connections, want %d", got, c.want)
			}
			s.Close()
			s.net.wait()
			for _, p := range []*peer{p, other} {
				for i := range p.count() {
					if got := p.commands(i + 1); got[len(got)-1] != "QUIT" {
						t.Errorf("connection %d ended with %q", i+1, got[len(got)-1])
					}
				}
			}
		})
	}
}

// A connection that waits gives up its slot.
func TestWaitingConnectionGivesUpItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
			DNSEnabled: true, Resolver: domains(2, "10 mx1.example"), HostConnectionLimit: 1,
			CacheFor: func(string) bool { return true }, CacheTime: time.Hour, ReuseTime: time.Hour,
		})
		began := time.Now()
		each(t, s, 0, 1)
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent") {
			t.Error(got)
		}
		if waited := time.Since(began); p.count() != 2 || waited > time.Second {
			t.Errorf("%d connections, after %s", p.count(), waited)
		}
	})
}

// However many hosts there are, no more than so many connections wait.
func TestWaitingConnectionsAreBounded(t *testing.T) {
	peers := map[string]any{}
	zone := fakeDNS{mx: map[string]string{}, addrs: map[string]string{}}
	const n = parkedMost + 20
	for i := range n {
		host, addr := fmt.Sprintf("mx%d.example", i), fmt.Sprintf("192.0.%d.%d", 2+i/250, 1+i%250)
		zone.mx[fmt.Sprintf("d%d.example", i)], zone.addrs[host] = "10 "+host, addr
		peers[addr+":25"] = &peer{keywords: allKeywords}
	}
	s := newSetup(t, peers, Options{DNSEnabled: true, Resolver: zone, CacheFor: func(string) bool { return true }, CacheTime: time.Hour})
	each(t, s, 0, n)
	if got := len(s.parked.order); got != parkedMost || len(s.parked.byKey) != parkedMost {
		t.Errorf("%d connections wait, for %d hosts", got, len(s.parked.byKey))
	}
	s.Close()
	if got := len(s.parked.order) + len(s.parked.byKey); got != 0 {
		t.Errorf("%d wait after the end", got)
	}
}

// Connections that wait make room for others (default_process_limit).
func TestWaitingConnectionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, other, deaf := &peer{keywords: allKeywords}, &peer{keywords: allKeywords}, &peer{on: func(_ int, cmd string) string { return "close" }}
		zone := domains(1, "10 mx1.example")
		zone.mx["d1.example"], zone.mx["d2.example"] = "10 mx3.example", "10 mx4.example"
		zone.addrs["mx4.example"] = "192.0.2.4"
		s := newSetup(t, map[string]any{"192.0.2.1:25": p, "192.0.2.3:25": other, "192.0.2.4:25": deaf}, Options{
			DNSEnabled: true, Resolver: zone, ConnectionLimit: 1, CacheFor: func(string) bool { return true }, CacheTime: time.Hour, ReuseTime: time.Hour,
		})
		each(t, s, 0, 1)
		each(t, s, 1, 2)
		synctest.Wait()
		if got := p.commands(1); got[len(got)-1] != "QUIT" || len(s.parked.order) != 1 || s.open.Load() != 1 {
			t.Errorf("%q; %d wait, %d are open", got, len(s.parked.order), s.open.Load())
		}
		s.send("smtp:d2.example", letter("r@dest.example"))  // hangs up
		s.send("smtp:[192.0.2.9]", letter("r@dest.example")) // nobody there
		s.send("smtp:d1.example", letters(3)...)             // one connection
		if s.Close(); s.open.Load() != 0 {
			t.Errorf("%d are open after the end", s.open.Load())
		}
	})
}
