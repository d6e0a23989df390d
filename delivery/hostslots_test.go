package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// crowd is hosts that count how many connections each has, and had at most.
type crowd struct {
	mu   sync.Mutex
	open map[string]int
	most map[string]int
}

func (c *crowd) dial(network *network) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, n, address string) (net.Conn, error) {
		conn, err := network.dial(ctx, n, address)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[address]++
		c.most[address] = max(c.most[address], c.open[address])
		return &counted{Conn: conn, closed: sync.OnceFunc(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.open[address]--
		})}, nil
	}
}

type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// slowPeer takes a second for a message.
func slowPeer() *peer {
	return &peer{keywords: allKeywords, on: func(_ int, cmd string) string {
		if cmd == "." {
			time.Sleep(time.Second)
		}
		return ""
	}}
}

func newCrowd(t *testing.T, peers map[string]any, o Options) (*setup, *crowd) {
	s := newSetup(t, peers, o)
	c := &crowd{open: map[string]int{}, most: map[string]int{}}
	o = s.options
	o.Dial = c.dial(s.net)
	s.Update(o)
	return s, c
}

// However many workers there are, and under however many names: no address has more
// connections than its limit, equals share what one cannot take, and nobody is deferred.
func TestHostConnectionLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		mx    string
		want  string // most connections: first, second, third host
		waits bool
	}{
		{"one host", "10 mx1.example", "3 0 0", true},
		{"equals", "10 mx1.example, 10 mx2.example", "3 3 0", true},
		{"all equals", "10 mx1.example, 10 mx2.example, 10 mx3.example", "3 3 1", false},
		{"a lesser one", "10 mx1.example, 20 mx2.example", "3 0 0", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peers := map[string]any{"192.0.2.1:25": slowPeer(), "192.0.2.2:25": slowPeer(), "192.0.2.3:25": slowPeer()}
				zone := mxZone(3)
				zone.mx["dest.example"], zone.mx["other.example"] = c.mx, c.mx
				s, seen := newCrowd(t, peers, Options{HostConnectionLimit: 3, DNSEnabled: true, Resolver: zone})
				began := time.Now()
				var workers sync.WaitGroup
				for i := range 7 {
					dest := []string{"smtp:dest.example", "relay:other.example"}[i%2]
					workers.Go(func() {
						src := s.send(dest, letter("r@dest.example"))
						if got := fates(src.results[0]); !strings.HasPrefix(got, "sent") {
							t.Error(got)
						}
					})
				}
				workers.Wait()
				got := fmt.Sprint(seen.most["192.0.2.1:25"], seen.most["192.0.2.2:25"], seen.most["192.0.2.3:25"])
				if got != c.want {
					t.Errorf("connections %s, want %s", got, c.want)
				}
				if waited := time.Since(began) > time.Second; waited != c.waits {
					t.Errorf("it took %s", time.Since(began))
				}
				for key, h := range s.hosts.byAddr {
					if h.conns != 0 || len(h.waiting) != 0 {
						t.Errorf("%v: %d slots taken, %d wait", key, h.conns, len(h.waiting))
					}
				}
			})
		})
	}
}

// A host that never becomes free: the message waits no longer than a minute, is deferred,
// and nobody is blamed. Not even the fallback relay is tried.
func TestNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, fallback := &peer{keywords: allKeywords, on: script(map[string]string{".": "stall"})}, &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": busy, "192.0.2.9:25": fallback},
			Options{HostConnectionLimit: 1, FallbackRelay: []string{"[192.0.2.9]"}, Timeouts: Timeouts{DataDone: time.Hour}})
		var first sync.WaitGroup
		first.Go(func() { s.send("smtp:[192.0.2.1]", letter("r@dest.example")) })
		synctest.Wait()
		began := time.Now()
		src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
		want := "deferred 4.4.5 none (too many connections from here to 192.0.2.1[192.0.2.1]:25: 1 are open, and none became free in 1m0s)"
		if got := fates(src.results[0]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if src.feedback[0] != mail.FeedbackGood {
			t.Error("the site is blamed")
		}
		if took := time.Since(began); took != slotWait {
			t.Errorf("it took %s", took)
		}
		if busy.count() != 1 || fallback.count() != 0 {
			t.Errorf("connections: %d, fallback %d", busy.count(), fallback.count())
		}
		// Who waits when its Work is to end returns, and keeps nobody waiting.
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		began, left := time.Now(), &source{t: t, attempts: []*mail.Attempt{letter("r@dest.example")}}
		s.Work(ctx, "smtp:[192.0.2.1]", left)
		if got := fates(left.results[0]); !strings.HasPrefix(got, "deferred 4.3.2") || time.Since(began) != time.Second {
			t.Errorf("after %s: %s", time.Since(began), got)
		}
		// So does who waits when all ends.
		var second sync.WaitGroup
		second.Go(func() {
			src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
			if got := fates(src.results[0]); !strings.HasPrefix(got, "deferred 4.3.2") {
				t.Error(got)
			}
		})
		synctest.Wait()
		s.Close()
		second.Wait()
		first.Wait()
		if len(s.hosts.byAddr) != 0 {
			t.Errorf("remembered: %v", s.hosts.byAddr)
		}
	})
}

// A connection gives its slot up to one that waits: after a few messages when it is in use,
// and at once when it would only linger.
func TestSlotIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slowPeer()
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{HostConnectionLimit: 1, CacheTime: time.Hour})
		var long sync.WaitGroup
		long.Go(func() { s.send("smtp:[192.0.2.1]", letters(20)...) })
		time.Sleep(1500 * time.Millisecond)
		began := time.Now()
		if got := fates(s.send("relay:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent") {
			t.Error(got)
		}
		if took := time.Since(began); took > (slotTurn+1)*time.Second {
			t.Errorf("it waited %s", took)
		}
		long.Wait()
	})
}

// A host may have a limit of its own, and LMTP and sockets have none.
func TestHostConnectionsOfAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := mxZone(2)
		zone.mx["dest.example"] = "10 mx1.example, 10 mx2.example"
		s, seen := newCrowd(t, map[string]any{"192.0.2.1:25": slowPeer(), "192.0.2.2:25": slowPeer()}, Options{
			HostConnectionLimit: 3, DNSEnabled: true, Resolver: zone,
			HostConnections: func(_ context.Context, domain, host string) int {
				if domain != "dest.example" {
					t.Errorf("asked for %s of %s", host, domain)
				}
				return map[string]int{"mx2.example": 1}[host]
			},
		})
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() { s.send("smtp:dest.example", letter("r@dest.example")) })
		}
		workers.Wait()
		if seen.most["192.0.2.1:25"] != 3 || seen.most["192.0.2.2:25"] != 1 {
			t.Errorf("connections %v", seen.most)
		}
	})
}

// Random takers against a count for each host: no limit is passed, everybody who is patient
// is served, and nothing is left.
func TestHostTableModel(t *testing.T) {
	seed := rand.Uint64()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		var table hostTable
		hosts := makeHosts(4, 0, 10)
		limits := []int{1, 2, 3, 4}
		open := map[netip.AddrPort]int{}
		var mu sync.Mutex
		var takers sync.WaitGroup
		for range 300 {
			n := 1 + random.IntN(len(hosts))
			at := random.IntN(len(hosts) - n + 1)
			start, use, patience := time.Duration(random.IntN(1000))*time.Millisecond, time.Duration(1+random.IntN(300))*time.Millisecond,
				time.Duration(1+random.IntN(100_000))*time.Millisecond
			takers.Go(func() {
				time.Sleep(start)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				i, free, ok := table.take(ctx, hosts[at:at+n], limits[at:at+n])
				if !ok {
					if ctx.Err() == nil {
						t.Errorf("seed %d: gave up too early", seed)
					}
					return
				}
				key := hosts[at+i].key()
				mu.Lock()
				if open[key]++; open[key] > limits[at+i] {
					t.Errorf("seed %d: %d connections to %s", seed, open[key], key)
				}
				mu.Unlock()
				time.Sleep(use)
				mu.Lock()
				open[key]--
				mu.Unlock()
				free()
				free()
			})
		}
		takers.Wait()
		if len(table.byAddr) != 0 || table.wanting.Load() != 0 {
			t.Errorf("seed %d: left: %v", seed, table.byAddr)
		}
	})
}

// lingering is a source that keeps its worker for as long as that would wait.
type lingering struct{ source }

func (s *lingering) Next(ctx context.Context, linger time.Duration) (*mail.Attempt, bool) {
	if a, ok := s.source.Next(ctx, linger); ok {
		return a, ok
	}
	time.Sleep(linger)
	return nil, false
}

// A connection that others wait for does not linger.
func TestNoLingeringWhereOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := slowPeer()
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{HostConnectionLimit: 1, CacheTime: 10 * time.Second})
		var first sync.WaitGroup
		first.Go(func() { s.Work(t.Context(), "smtp:[192.0.2.1]", &lingering{source{t: t, attempts: letters(1)}}) })
		synctest.Wait()
		began := time.Now()
		s.send("relay:[192.0.2.1]", letter("r@dest.example"))
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
		first.Wait()
	})
}

// A limit that became less while connections were open holds for who waits.
func TestLimitBecomesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table hostTable
		hosts := makeHosts(1, 0, 10)
		_, one, _ := table.take(t.Context(), hosts, []int{2})
		_, two, _ := table.take(t.Context(), hosts, []int{2})
		served := false
		var waiter sync.WaitGroup
		waiter.Go(func() {
			_, free, ok := table.take(t.Context(), hosts, []int{1})
			if served = ok; ok {
				free()
			}
		})
		synctest.Wait()
		one()
		synctest.Wait()
		if served {
			t.Error("there are two connections")
		}
		two()
		waiter.Wait()
		if !served || len(table.byAddr) != 0 {
			t.Errorf("served %v, left %v", served, table.byAddr)
		}
	})
}

// Of hosts as good as each other the one with the fewest connections gets the next, so that
// one that says nothing never has all of them; a worse one only what the others cannot take.
func TestFewestConnections(t *testing.T) {
	for _, c := range []struct {
		name  string
		ranks []uint16
		want  string // in the order of their taking
	}{
		{"equal", []uint16{0, 0, 0}, "012012012"},
		{"one is not the preferred family", []uint16{0, 0, 1}, "010101222"},
		{"in this order", []uint16{0, 1, 2}, "000111222"},
	} {
		var table hostTable
		hosts := makeHosts(3, 0, 10)
		for i := range hosts {
			hosts[i].rank = c.ranks[i]
		}
		got := ""
		for range 9 {
			i, _, ok := table.take(t.Context(), hosts, []int{3, 3, 3})
			if !ok {
				t.Fatal("no slot")
			}
			got += strconv.Itoa(i)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
