package screen

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines keeps what is logged, each line with its daemon before it.
type lines struct {
	mu   *sync.Mutex
	all  *[]string
	name string
}

func newLines() lines { return lines{mu: new(sync.Mutex), all: new([]string)} }

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithGroup(string) slog.Handler            { return l }
func (l lines) WithAttrs(a []slog.Attr) slog.Handler {
	l.name = a[0].Value.String() + ": "
	return l
}
func (l lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	level := ""
	if r.Level >= slog.LevelWarn {
		level = "warning: "
	}
	*l.all = append(*l.all, l.name+level+r.Message)
	return nil
}

// take returns the lines so far and forgets them.
func (l lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(*l.all, "\n")
	*l.all = nil
	return text
}

// fakeLists answers after a while.
type fakeLists struct {
	mu      sync.Mutex
	delay   map[string]time.Duration // by domain
	answers map[string]string
	ttl     map[string]time.Duration
	asked   map[string]int
}

func newFakeLists() *fakeLists {
	return &fakeLists{delay: map[string]time.Duration{}, answers: map[string]string{}, ttl: map[string]time.Duration{}, asked: map[string]int{}}
}

func (f *fakeLists) Answers(ctx context.Context, domain string, client netip.Addr) ([]netip.Addr, time.Duration, error) {
	f.mu.Lock()
	f.asked[domain]++
	delay, answer, ttl := f.delay[domain], f.answers[domain], f.ttl[domain]
	if client.Is6() {
		answer = "" // those are on no list
	}
	f.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	switch {
	case answer == "broken":
		return nil, 0, errors.New("name server of " + domain + " is ill")
	case ttl == 0:
		ttl = -1
	}
	if answer == "" {
		return nil, ttl, nil
	}
	return []netip.Addr{netip.MustParseAddr(answer)}, ttl, nil
}

// place is a door in a bubble of virtual time.
type place struct {
	t     *testing.T
	d     *Door
	log   lines
	lists *fakeLists
	ctx   context.Context
	close context.CancelFunc
}

func defaults() Options {
	return Options{
		MyHostname: "mx.example", Banner: "mx.example ESMTP", GreetBanner: "mx.example wait",
		GreetWait: 6 * time.Second, StressGreetWait: 2 * time.Second, GreetTTL: 24 * time.Hour,
		DNSBLThreshold: 1, DNSBLMinTTL: time.Minute, DNSBLMaxTTL: time.Hour, DNSBLTimeout: 10 * time.Second,
		Pipelining:    Deep{Action: Enforce, TTL: 720 * time.Hour},
		NonSMTP:       Deep{Action: Drop, TTL: 720 * time.Hour},
		BareNewline:   Deep{Action: Ignore, TTL: 720 * time.Hour},
		PreQueueLimit: 100, PostQueueLimit: 100, CommandTime: 5 * time.Minute, StressCommandTime: 10 * time.Second,
		CommandCount: 20, LineLength: 2048, SMTPUTF8: true,
	}
}

// newPlace makes a door with clients of its own.
func newPlace(t *testing.T, change func(*Options)) *place {
	t.Helper()
	p := &place{t: t, log: newLines(), lists: newFakeLists()}
	clients := NewClients(ClientsOptions{Log: slog.New(p.log), CacheParams: CacheParams{Retention: 7 * 24 * time.Hour}})
	t.Cleanup(clients.Close)
	p.open(clients, change)
	return p
}

func (p *place) open(clients *Clients, change func(*Options)) {
	o := defaults()
	o.Log, o.Lists = slog.New(p.log), p.lists
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		p.t.Fatal(err)
	}
	d.Join(clients)
	p.d = d
	p.ctx, p.close = context.WithCancel(context.Background())
	p.t.Cleanup(p.close)
}

func sites(t *testing.T, text string) []Site {
	t.Helper()
	s, err := ParseSites(strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit is one client at a door.
type visit struct {
	conn  net.Conn
	r     *bufio.Reader
	began time.Time
	mu    sync.Mutex
	heard strings.Builder
	// Set when done is closed:
	done  chan struct{}
	on    net.Conn
	taken func()
	after time.Duration
}

// enter has a client come. It hears whatever is said to it.
func (p *place) enter(client string) *visit {
	near, far := net.Pipe()
	p.t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	v := &visit{conn: far, began: time.Now(), done: make(chan struct{})}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := far.Read(buf)
			v.mu.Lock()
			v.heard.Write(buf[:n])
			v.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		v.on, v.taken = p.d.Admit(p.ctx, near, netip.AddrPortFrom(netip.MustParseAddr(client), 1024), netip.MustParseAddrPort("192.0.2.25:25"))
		v.after = time.Since(v.began)
		close(v.done)
	}()
	synctest.Wait()
	return v
}

// say sends; in virtual time everything that it causes at once has happened then.
func (v *visit) say(text string) {
	go v.conn.Write([]byte(text))
	synctest.Wait()
}

// words are what the client has heard since it was last asked.
func (v *visit) words() string {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	text := v.heard.String()
	v.heard.Reset()
	return text
}

// end waits until it is clear what becomes of the client.
func (v *visit) end() (passed bool) {
	<-v.done
	if v.on == nil {
		return false
	}
	v.taken()
	return true
}

// leave is end, and the client goes away.
func (v *visit) leave() (passed bool) {
	passed = v.end()
	v.conn.Close()
	if passed {
		v.on.Close()
	}
	synctest.Wait()
	return passed
}
