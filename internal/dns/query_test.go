package dns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// servers answers for several name servers: each by its address.
type servers map[string]func(q *dns.Msg) (*dns.Msg, error)

func (s servers) exchange(ctx context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
	m, err := s[server](q)
	if m == nil && err == nil { // silence
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m, err
}

func silent(*dns.Msg) (*dns.Msg, error) { return nil, nil }

func rcode(code int) func(q *dns.Msg) (*dns.Msg, error) {
	return func(q *dns.Msg) (*dns.Msg, error) { return new(dns.Msg).SetRcode(q, code), nil }
}

func TestServersAreTriedInTurn(t *testing.T) {
	good := func(q *dns.Msg) (*dns.Msg, error) {
		m := new(dns.Msg).SetReply(q)
		rr, _ := dns.NewRR(q.Question[0].Name + " 60 IN A 192.0.2.1")
		m.Answer = []dns.RR{rr}
		return m, nil
	}
	otherQuestion := func(q *dns.Msg) (*dns.Msg, error) {
		m, _ := good(q)
		m.Question[0].Name = "other.example."
		return m, nil
	}
	otherID := func(q *dns.Msg) (*dns.Msg, error) {
		m, _ := good(q)
		m.Id++
		return m, nil
	}
	broken := func(*dns.Msg) (*dns.Msg, error) { return nil, errors.New("connection refused") }
	for _, c := range []struct {
		name   string
		first  func(*dns.Msg) (*dns.Msg, error)
		second func(*dns.Msg) (*dns.Msg, error)
		took   time.Duration
		want   error
	}{
		{"first answers", good, nil, 0, nil},
		{"first is silent", silent, good, 5 * time.Second, nil},
		{"first cannot be reached", broken, good, 0, nil},
		{"first fails", rcode(dns.RcodeServerFailure), good, 0, nil},
		{"first refuses", rcode(dns.RcodeRefused), good, 0, nil},
		{"first does not understand", rcode(dns.RcodeNotImplemented), good, 0, nil},
		{"first answers something else", otherQuestion, good, 0, nil},
		{"first answers with another ID", otherID, good, 0, nil},
		{"first knows that there is none", rcode(dns.RcodeNameError), nil, 0, ErrNotFound},
		{"both are silent", silent, silent, 20 * time.Second, ErrTemporary},
		{"both fail", rcode(dns.RcodeServerFailure), broken, 0, ErrTemporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := servers{"192.0.2.1:53": c.first, "[2001:db8::2]:5353": c.second}
				r := New(Options{Servers: []string{"192.0.2.1", "[2001:db8::2]:5353"}, Exchange: s.exchange})
				began := time.Now()
				_, err := r.Addrs(t.Context(), "x.example", IPv4)
				if c.want == nil && err != nil || !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestBadServer(t *testing.T) {
	for _, s := range []string{"ns.example", "192.0.2.1:0", "192.0.2.1:x", ""} {
		if got, err := ParseServer(s); err == nil {
			t.Errorf("ParseServer(%q): got %q", s, got)
		}
	}
	_, err := New(Options{Servers: []string{"ns.example"}}).MX(t.Context(), "x.example")
	if !errors.Is(err, ErrTemporary) {
		t.Errorf("got %v, want a temporary failure", err)
	}
	if cause := errors.Unwrap(err); cause == nil || !strings.Contains(cause.Error(), "ns.example") {
		t.Errorf("the cause %v does not name the server", cause)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	z := newZone(t, "x.example. 60 IN A 192.0.2.1")
	z.noEDNS = true
	if addrs, err := z.resolver().Addrs(t.Context(), "x.example", IPv4); err != nil || len(addrs) != 1 {
		t.Errorf("got %v, %v", addrs, err)
	}
}

// The answer holds as long as it says and no longer; "there is none" too, if the zone
// says how long; a failure not at all.
func TestCache(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	z := newZone(t,
		"x.example. 60 IN CNAME y.example.", "y.example. 300 IN A 192.0.2.1",
		"long.example. 2000000 IN A 192.0.2.1", "zero.example. 0 IN A 192.0.2.1")
	z.rcode["sick.example."] = dns.RcodeServerFailure
	r := New(Options{Servers: []string{"192.0.2.53"}, Exchange: z.exchange, Now: func() time.Time { return now }})
	soa := "example. 3600 IN SOA ns.example. h.example. 1 2 3 4 %d"
	for _, c := range []struct {
		name  string
		soa   int // minimum; 0 is no SOA
		later time.Duration
		asks  bool
	}{
		{"x.example", 0, 59 * time.Second, false},
		{"x.example", 0, 61 * time.Second, true},
		{"long.example", 0, 24*time.Hour - 1, false},
		{"long.example", 0, 24*time.Hour + 1, true},
		{"zero.example", 0, 0, true},
		{"gone.example", 0, time.Second, true},
		{"gone2.example", 30, 29 * time.Second, false},
		{"gone2.example", 30, 31 * time.Second, true},
		{"gone3.example", 86400, 5*time.Minute - 1, false},
		{"gone3.example", 86400, 5*time.Minute + 1, true},
		{"sick.example", 0, failureTTL - 1, false},
		{"sick.example", 0, failureTTL + 1, true},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.later), func(t *testing.T) {
			if c.soa > 0 {
				z.add(t, fmt.Sprintf(soa, c.soa))
				defer func() { z.records = z.records[:len(z.records)-1] }()
			}
			now = now.Add(48 * time.Hour)
			r.Addrs(t.Context(), c.name, IPv4)
			before := z.count()
			now = now.Add(c.later)
			r.Addrs(t.Context(), strings.ToUpper(c.name), IPv4)
			if asked := z.count() > before; asked != c.asks {
				t.Errorf("asked again after %v: %v, want %v", c.later, asked, c.asks)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	z := newZone(t)
	for i := range 50 {
		z.add(t, fmt.Sprintf("n%d.example. 60 IN A 192.0.2.1", i))
	}
	r := New(Options{Servers: []string{"192.0.2.53"}, Exchange: z.exchange, CacheSize: 10})
	ask := func(i int) (asked bool) {
		before := z.count()
		r.Addrs(t.Context(), fmt.Sprintf("n%d.example", i), IPv4)
		return z.count() > before
	}
	for i := range 50 {
		ask(i)
		ask(0) // stays, being used
	}
	if len(r.cache.byKey) != 10 || r.cache.used.Len() != 10 {
		t.Errorf("%d and %d entries, want 10", len(r.cache.byKey), r.cache.used.Len())
	}
	if ask(0) || ask(49) || !ask(1) {
		t.Error("the least recently used are not those that went")
	}
	none := New(Options{Servers: []string{"192.0.2.53"}, Exchange: z.exchange, CacheSize: -1})
	none.Addrs(t.Context(), "n1.example", IPv4)
	if len(none.cache.byKey) != 0 {
		t.Error("CacheSize -1 keeps answers")
	}
}

func TestQuestionsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		z := newZone(t, "x.example. 60 IN A 192.0.2.1")
		r := New(Options{Servers: []string{"192.0.2.53"}, Exchange: func(ctx context.Context, q *dns.Msg, s string, tcp bool) (*dns.Msg, error) {
			asked.Add(1)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return z.exchange(ctx, q, s, tcp)
		}})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if addrs, err := r.Addrs(t.Context(), "x.example", IPv4); err != nil || len(addrs) != 1 {
					t.Errorf("got %v, %v", addrs, err)
				}
			})
		}
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// A caller that gives up must not take the others with it, and one that shares a
// question gives up by its own clock.
func TestSharedQuestionOfOneWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone(t, "x.example. 60 IN A 192.0.2.1")
		r := New(Options{Servers: []string{"192.0.2.53"}, Exchange: func(ctx context.Context, q *dns.Msg, s string, tcp bool) (*dns.Msg, error) {
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return z.exchange(ctx, q, s, tcp)
		}})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := r.Addrs(short, "x.example", IPv4); !errors.Is(err, ErrTemporary) {
				t.Errorf("the one with little time: %v", err)
			}
		})
		synctest.Wait()
		all.Go(func() {
			if _, err := r.Addrs(t.Context(), "x.example", IPv4); err != nil {
				t.Errorf("the one with time: %v", err)
			}
		})
		shorter, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := r.Addrs(shorter, "x.example", IPv4); !errors.Is(err, ErrTemporary) || time.Since(began) != time.Millisecond {
			t.Errorf("the one with least time: %v after %v", err, time.Since(began))
		}
		all.Wait()
	})
}

func TestResolvConf(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       conf
	}{
		{"empty", "", conf{servers: []string{"127.0.0.1:53"}, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"usual", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.example b.example\noptions edns0 trust-ad\n",
			conf{servers: []string{"192.0.2.1:53", "[2001:db8::1]:53"}, search: []string{"a.example", "b.example"}, ndots: 1, timeout: 5 * time.Second, attempts: 2}},
		{"limits", "nameserver ::1\n;nameserver 192.0.2.1\n# x\nnameserver\noptions timeout:99 attempts:99 ndots:99 timeout:x\ndomain .\n",
			conf{servers: []string{"[::1]:53"}, ndots: 15, timeout: 30 * time.Second, attempts: 5}},
		{"too many", "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\noptions attempts:0",
			conf{servers: []string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"}, ndots: 1, timeout: 5 * time.Second, attempts: 1}},
	} {
		got := parseConf([]byte(c.text))
		if !slices.Equal(got.servers, c.want.servers) || !slices.Equal(got.search, c.want.search) ||
			got.ndots != c.want.ndots || got.timeout != c.want.timeout || got.attempts != c.want.attempts {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// resolv.conf changes when the network does; a resolver that read it once at the start
// asked servers that were no longer there until the next restart.
func TestResolvConfIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Now()
	var asked []string
	r := New(Options{ResolvConf: path, Now: func() time.Time { return now }, CacheSize: -1,
		Exchange: func(_ context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
			asked = append(asked, server)
			return rcode(dns.RcodeNameError)(q)
		}})
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(path, at, at)
	}
	ask := func(want string) {
		t.Helper()
		r.MX(t.Context(), "x.example")
		if got := asked[len(asked)-1]; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	ask("127.0.0.1:53") // no file
	write("nameserver 192.0.2.1\n", now)
	ask("127.0.0.1:53") // not looked at again yet
	now = now.Add(checkFileEvery)
	ask("192.0.2.1:53")
	write("nameserver 192.0.2.2\n", now)
	now = now.Add(checkFileEvery)
	ask("192.0.2.2:53")
	os.Remove(path)
	now = now.Add(checkFileEvery)
	ask("192.0.2.2:53") // as it was
}

func FuzzResolverFiles(f *testing.F) {
	for _, p := range []string{"testdata/resolv.conf", "testdata/hosts"} {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := parseConf(text)
		if n := len(c.servers); n < 1 || n > 3 || c.attempts < 1 || c.timeout < time.Second || c.timeout > 30*time.Second {
			t.Errorf("%q: %+v", text, c)
		}
		for _, s := range c.servers {
			if got, err := ParseServer(s); err != nil || got != s {
				t.Errorf("%q: server %q: %v", text, s, err)
			}
		}
		h := parseHosts(text)
		for name, addrs := range h.addrs {
			if name != strings.ToLower(name) || len(addrs) == 0 {
				t.Errorf("%q: name %q has %v", text, name, addrs)
			}
		}
	})
}

func FuzzQueryName(f *testing.F) {
	for _, s := range []string{"a.example", "münchen.example.", "192.0.2.1", "-a.example", "a..b", "x_y.example", strings.Repeat("a.", 200), "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		q, ok := queryName(name)
		if !ok {
			return
		}
		if again, ok := queryName(q); !ok || again != q {
			t.Errorf("%q gives %q, which gives %q, %v", name, q, again, ok)
		}
		if _, ok := dns.IsDomainName(q); !ok || !dns.IsFqdn(q) {
			t.Errorf("%q gives %q, which is no domain name", name, q)
		}
	})
}
