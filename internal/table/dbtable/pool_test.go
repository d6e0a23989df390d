package dbtable

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// farm is servers that are up or down, and counts what is done to them.
type farm struct {
	mu     sync.Mutex
	down   map[string]bool
	hangs  map[string]bool
	dials  []string
	opened int
	closed int
}

type farmConn struct {
	f    *farm
	host string
	dead bool
}

func (c *farmConn) Close() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.closed++
	return nil
}

var (
	errDown    = errors.New("connection refused")
	errLost    = errors.New("lost connection")
	errRefused = errors.New("no such column")
)

func (f *farm) dial(ctx context.Context, h Host) (*farmConn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, h.Name)
	down, hangs := f.down[h.Name], f.hangs[h.Name]
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if down {
		return nil, errDown
	}
	f.mu.Lock()
	f.opened++
	f.mu.Unlock()
	return &farmConn{f: f, host: h.Name}, nil
}

func (f *farm) set(host string, down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[host] = down
}

// ask is a lookup that says who answered.
func (f *farm) ask(p *Pool[*farmConn]) (string, error) {
	by := ""
	err := p.Do(context.Background(), func(_ context.Context, c *farmConn) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.down[c.host] {
			return errLost
		}
		by = c.host
		return nil
	})
	return by, err
}

// took is the dials since the last call.
func (f *farm) took() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.dials, " ")
	f.dials = nil
	return s
}

// counts is the connections opened and closed so far.
func (f *farm) counts() (opened, closed int) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened, f.closed
}

func (f *farm) pool(ordered bool, hosts ...string) *Pool[*farmConn] {
	f.down, f.hangs = map[string]bool{}, map[string]bool{}
	o := PoolOptions[*farmConn]{
		Ordered: ordered, Dial: f.dial, Lost: func(_ *farmConn, err error) bool { return !errors.Is(err, errRefused) },
		Retry: time.Minute, Idle: time.Minute, DialTimeout: 5 * time.Second, LookupTimeout: 12 * time.Second,
	}
	for _, h := range hosts {
		network := "tcp"
		if h[0] == '/' {
			network = "unix"
		}
		o.Hosts = append(o.Hosts, Host{Name: h, Network: network})
	}
	return NewPool(o)
}

func TestPoolFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(true, "a", "b")
		defer p.Close()
		want := func(what, host, dials string) {
			t.Helper()
			if by, err := f.ask(p); by != host || err != nil {
				t.Errorf("%s: asked %s, error %v, want %s", what, by, err, host)
			}
			if got := f.took(); got != dials {
				t.Errorf("%s: connected to %q, want %q", what, got, dials)
			}
		}
		want("first", "a", "a")
		want("connection used again", "a", "")
		f.set("a", true)
		want("idle connection lost, then refused", "b", "a b")
		want("b from now on", "b", "")
		f.set("a", false)
		want("b still, its connection is there", "b", "")
		f.set("b", true)
		if _, err := f.ask(p); err == nil {
			t.Error("a is left alone, b is down: want an error")
		}
		f.took()
		time.Sleep(61 * time.Second)
		want("a after a minute", "a", "a")
	})
}

// A single server that comes back is used again within about a second, and a dead one is
// not asked by every lookup.
func TestPoolSingleServerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(false, "a")
		defer p.Close()
		f.set("a", true)
		for range 5 {
			if _, err := f.ask(p); !errors.Is(err, errDown) {
				t.Errorf("error %v, want the reason", err)
			}
		}
		if got := f.took(); got != "a" {
			t.Errorf("five lookups connected to %q, want once", got)
		}
		f.set("a", false)
		time.Sleep(time.Second)
		if by, err := f.ask(p); by != "a" || err != nil {
			t.Errorf("after a second: %s, %v", by, err)
		}
	})
}

func TestPoolPrefersSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 10 {
			f := &farm{}
			p := f.pool(false, "a", "/socket", "b")
			if by, err := f.ask(p); by != "/socket" || err != nil {
				t.Errorf("%s, %v", by, err)
			}
			p.Close()
		}
		seen := map[string]bool{}
		for range 100 {
			f := &farm{}
			p := f.pool(false, "a", "b")
			by, _ := f.ask(p)
			seen[by] = true
			p.Close()
		}
		if len(seen) != 2 {
			t.Errorf("100 pools asked %v only", seen)
		}
	})
}

func TestPoolClosesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(false, "a")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				p.Do(context.Background(), func(context.Context, *farmConn) error {
					time.Sleep(time.Second)
					return nil
				})
			})
		}
		wg.Wait()
		time.Sleep(30 * time.Second)
		f.ask(p)
		time.Sleep(31 * time.Second)
		if opened, closed := f.counts(); opened != 3 || closed != 2 {
			t.Errorf("after 62 s: %d opened, %d closed, want 3 and 2", opened, closed)
		}
		time.Sleep(30 * time.Second)
		if _, closed := f.counts(); closed != 3 {
			t.Errorf("after 92 s: %d closed, want 3", closed)
		}
		if by, err := f.ask(p); by != "a" || err != nil {
			t.Errorf("later: %s, %v", by, err)
		}
		p.Close()
		if _, closed := f.counts(); closed != 4 {
			t.Errorf("after Close: %d closed, want 4", closed)
		}
		if _, err := f.ask(p); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(false, "a")
		defer p.Close()
		var wg sync.WaitGroup
		for range 5 * maxConns {
			wg.Go(func() {
				err := p.Do(context.Background(), func(context.Context, *farmConn) error {
					time.Sleep(time.Second)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.opened != maxConns {
			t.Errorf("%d connections, want %d", f.opened, maxConns)
		}
	})
}

// One lookup that a server refuses says nothing of the server: others go on.
func TestPoolRefusedQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(true, "a", "b")
		defer p.Close()
		var asked []string
		err := p.Do(context.Background(), func(_ context.Context, c *farmConn) error {
			asked = append(asked, c.host)
			return errRefused
		})
		if !errors.Is(err, errRefused) || fmt.Sprint(asked) != "[a b]" {
			t.Errorf("asked %v: %v", asked, err)
		}
		if f.took(); f.closed != 0 {
			t.Errorf("%d connections closed", f.closed)
		}
		if by, err := f.ask(p); by == "" || err != nil || f.took() != "" {
			t.Errorf("the next lookup: %s, %v", by, err)
		}
	})
}

func TestPoolDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &farm{}
		p := f.pool(true, "a", "b")
		defer p.Close()
		f.hangs["a"] = true
		start := time.Now()
		if by, err := f.ask(p); by != "b" || err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%s, %v after %v, want b after 5s", by, err, time.Since(start))
		}
		// A server that stops answering costs one lookup its time, not every one.
		start = time.Now()
		err := p.Do(context.Background(), func(ctx context.Context, _ *farmConn) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 12*time.Second {
			t.Errorf("%v after %v, want 12s", err, time.Since(start))
		}
		// Who asks goes away: the server is not to blame.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := p.Do(ctx, func(context.Context, *farmConn) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
