package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func writeConf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Of two servers the first is dead. Each question waited for it, five seconds a time, for
// as long as it was.
func TestDeadServerIsAskedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := true
		var asked []string
		r := New(Options{Servers: []string{"192.0.2.1", "192.0.2.2"}, CacheSize: -1,
			Exchange: func(ctx context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
				asked = append(asked, server)
				if dead && server == "192.0.2.1:53" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return said(t, q, "nxdomain"), nil
			}})
		ask := func(what string, took time.Duration, servers ...string) {
			t.Helper()
			asked = nil
			began := time.Now()
			if _, err := r.Query(t.Context(), "x.example", dns.TypeA); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
			if d := time.Since(began); d != took || !slices.Equal(asked, servers) {
				t.Errorf("%s: took %v and asked %v, want %v and %v", what, d, asked, took, servers)
			}
		}
		const first, second = "192.0.2.1:53", "192.0.2.2:53"
		ask("silent once", 5*time.Second, first, second)
		ask("silent twice", 5*time.Second, first, second)
		ask("it rests", 0, second)
		time.Sleep(restTime)
		ask("it is tried again", 5*time.Second, first, second)
		ask("it rests again", 0, second)
		time.Sleep(restTime)
		dead = false
		ask("it is back", 0, first)
		ask("and stays", 0, first)
	})
}

// While one question tries a server that has rested, others do not wait for it.
func TestOneQuestionTriesADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{Servers: []string{"192.0.2.1", "192.0.2.2"}, CacheSize: -1,
			Exchange: func(ctx context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
				if server == "192.0.2.1:53" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return said(t, q, "nxdomain"), nil
			}})
		for range restAfter {
			r.Query(t.Context(), "x.example", dns.TypeA)
		}
		time.Sleep(restTime)
		var all sync.WaitGroup
		var mu sync.Mutex
		waited := 0
		for i := range 20 {
			all.Go(func() {
				began := time.Now()
				r.Query(t.Context(), fmt.Sprintf("n%d.example", i), dns.TypeA)
				if time.Since(began) > 0 {
					mu.Lock()
					waited++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if waited != 1 {
			t.Errorf("%d questions waited for the dead server, want 1", waited)
		}
	})
}

// When all that is left has rested, it is asked all the same; a single server always is.
func TestDeadServersAreAllThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, servers := range [][]string{{"192.0.2.1"}, {"192.0.2.1", "192.0.2.2"}} {
			asked := 0
			r := New(Options{Servers: servers, CacheSize: -1, Exchange: func(ctx context.Context, q *dns.Msg, _ string, _ bool) (*dns.Msg, error) {
				asked++
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			for range 5 {
				asked = 0
				r.Query(t.Context(), "x.example", dns.TypeA)
				if asked != 2*len(servers) {
					t.Errorf("%v: asked %d times, want %d", servers, asked, 2*len(servers))
				}
			}
		}
	})
}

func TestOptionsOfResolvConf(t *testing.T) {
	for _, c := range []struct {
		options string
		want    string // servers and protocols of three questions
	}{
		{"attempts:1", "1udp 1udp 1udp"},
		{"attempts:1 rotate", "2udp 3udp 1udp"},
		{"attempts:1 use-vc", "1tcp 1tcp 1tcp"},
	} {
		var asked []string
		conf := writeConf(t, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions "+c.options+"\n")
		r := New(Options{ResolvConf: conf, CacheSize: -1, Exchange: func(_ context.Context, q *dns.Msg, server string, tcp bool) (*dns.Msg, error) {
			proto := "udp"
			if tcp {
				proto = "tcp"
			}
			asked = append(asked, strings.TrimSuffix(strings.TrimPrefix(server, "192.0.2."), ":53")+proto)
			return said(t, q, "nxdomain"), nil
		}})
		for range 3 {
			r.Query(t.Context(), "x.example", dns.TypeA)
		}
		if got := strings.Join(asked, " "); got != c.want {
			t.Errorf("%s: asked %s, want %s", c.options, got, c.want)
		}
	}
}

// A path that swallows UDP may let TCP through, and a server without TCP is asked over UDP
// once more.
func TestLastTryIsOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			says func(ctx context.Context, n int, tcp bool) bool // answers the nth packet
			want string
		}{
			{"no UDP", func(_ context.Context, _ int, tcp bool) bool { return tcp }, "udp tcp ok"},
			{"a packet is lost, and there is no TCP", func(_ context.Context, n int, tcp bool) bool { return !tcp && n > 0 }, "udp tcp udp ok"},
		} {
			var did []string
			n := 0
			r := New(Options{Servers: []string{"192.0.2.1"}, CacheSize: -1, Exchange: func(ctx context.Context, q *dns.Msg, _ string, tcp bool) (*dns.Msg, error) {
				n++
				did = append(did, map[bool]string{true: "tcp", false: "udp"}[tcp])
				switch {
				case c.says(ctx, n-1, tcp):
					return said(t, q, "x.example. 60 IN A 192.0.2.1"), nil
				case tcp:
					return nil, errors.New("connection refused")
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			if _, err := r.Query(t.Context(), "x.example", dns.TypeA); err != nil {
				did = append(did, err.Error())
			} else {
				did = append(did, "ok")
			}
			if got := strings.Join(did, " "); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	})
}

// What comes to our port and is not the reply is as if it had not come: somebody who
// guesses can neither answer for the server nor make us give up.
func TestStrayPackets(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 1500)
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(buf[:n]) != nil {
			return
		}
		send := func(change func(m *dns.Msg)) {
			m := said(t, q, "x.example. 60 IN A 192.0.2.66")
			change(m)
			b, _ := m.Pack()
			pc.WriteTo(b, from)
		}
		pc.WriteTo([]byte("x"), from)
		pc.WriteTo([]byte(strings.Repeat("\xff", 60)), from)
		send(func(m *dns.Msg) { m.Id++ })
		send(func(m *dns.Msg) { m.Response = false })
		send(func(m *dns.Msg) { m.Question[0].Name = "y.example." })
		send(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA })
		send(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
		send(func(m *dns.Msg) { m.Question = nil })
		send(func(m *dns.Msg) { m.Answer = said(t, q, "x.example. 60 IN A 192.0.2.1").Answer })
	}()
	r := New(Options{Servers: []string{pc.LocalAddr().String()}, Timeout: 10 * time.Second, Attempts: 1})
	addrs, err := r.Addrs(within(t, 20*time.Second), "x.example", IPv4)
	if err != nil || addrList(addrs) != "192.0.2.1" {
		t.Errorf("got %v, %v", addrs, err)
	}
	<-served
}

// Somebody who sends packet after packet does not keep us at it until the time is over.
func TestTooManyStrayPackets(t *testing.T) {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 1500)
		_, from, err := pc.ReadFrom(buf)
		for err == nil { // until the port is closed
			_, err = pc.WriteTo([]byte("no reply at all"), from)
		}
	}()
	ctx := within(t, 30*time.Second)
	q := new(dns.Msg).SetQuestion("x.example.", dns.TypeA)
	if _, err := exchange(ctx, q, pc.LocalAddr().String(), false); err == nil || timedOut(err) {
		t.Errorf("got %v, want that these are too many", err)
	}
	pc.Close()
	<-served
}

// Half an answer is none, also over TCP: the next server is asked.
func TestCutOverTCP(t *testing.T) {
	r := New(Options{Servers: []string{"192.0.2.1", "192.0.2.2"}, Exchange: func(_ context.Context, q *dns.Msg, server string, _ bool) (*dns.Msg, error) {
		if server == "192.0.2.1:53" {
			m := said(t, q, "x.example. 60 IN A 192.0.2.66")
			m.Truncated = true
			return m, nil
		}
		return said(t, q, "x.example. 60 IN A 192.0.2.1; x.example. 60 IN A 192.0.2.2"), nil
	}})
	if addrs, err := r.Addrs(t.Context(), "x.example", IPv4); err != nil || addrList(addrs) != "192.0.2.1 192.0.2.2" {
		t.Errorf("got %v, %v", addrs, err)
	}
}
