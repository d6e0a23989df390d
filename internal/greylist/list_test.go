package greylist

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_764_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func newList(t *testing.T, c *clock, p Params, file string) *List {
	l := New(Options{Now: c.Now, Params: p, File: file, Name: file})
	t.Cleanup(l.Close)
	return l
}

func TestCheck(t *testing.T) {
	const usual = "192.0.2.1 s@x.example r@y.example"
	type step struct {
		at   time.Duration // since the beginning
		who  string        // client, sender, recipient
		want time.Duration // to wait
	}
	day := 24 * time.Hour
	for _, tt := range []struct {
		name  string
		p     Params
		steps []step
	}{
		{"comes again in time", Params{}, []step{
			{0, usual, 5 * time.Minute}, {2 * time.Minute, usual, 3 * time.Minute}, {5*time.Minute - 1, usual, 1},
			{5 * time.Minute, usual, 0}, {5*time.Minute + 1, usual, 0}, {34 * day, usual, 0}, {68 * day, usual, 0}}},
		{"comes again too late", Params{}, []step{
			{0, usual, 5 * time.Minute}, {2*day + 1, usual, 5 * time.Minute}, {2*day + 5*time.Minute + 1, usual, 0}}},
		{"is forgotten", Params{}, []step{
			{0, usual, 5 * time.Minute}, {5 * time.Minute, usual, 0}, {5*time.Minute + 35*day, usual, 5 * time.Minute}}},
		{"each triple by itself", Params{}, []step{
			{0, usual, 5 * time.Minute}, {time.Minute, "192.0.3.1 s@x.example r@y.example", 5 * time.Minute},
			{time.Minute, "192.0.2.1 t@x.example r@y.example", 5 * time.Minute}, {time.Minute, "192.0.2.1 s@x.example q@y.example", 5 * time.Minute},
			{time.Minute, "192.0.2.1 <> r@y.example", 5 * time.Minute}, {5 * time.Minute, usual, 0}}},
		{"neighbours, cases, lists", Params{}, []step{
			{0, "192.0.2.1 bounce-123-a+1=z@x.example r@y.example", 5 * time.Minute},
			{5 * time.Minute, "192.0.2.254 Bounce-4567-A+2=q@X.example R@Y.example", 0},
			{5 * time.Minute, "192.0.2.254 bounce-a4567-a@x.example r@y.example", 5 * time.Minute},
			{0, "192.0.2.1 prvs=1234abcdef=joe@x.example r@y.example", 5 * time.Minute}, {5 * time.Minute, "192.0.2.1 prvs=joe=2345abcdef@x.example r@y.example", 0},
			{5 * time.Minute, "192.0.2.1 joe@x.example r@y.example", 0}}},
		{"a clock that was wrong", Params{}, []step{
			{24 * time.Hour, usual, 5 * time.Minute}, {0, usual, 5 * time.Minute}, {5 * time.Minute, usual, 0}}},
		{"IPv6 and mapped", Params{}, []step{
			{0, "2001:db8::1 s@x.example r@y.example", 5 * time.Minute}, {6 * time.Minute, "2001:db8::ffff:2 s@x.example r@y.example", 0},
			{6 * time.Minute, "2001:db8:0:1::1 s@x.example r@y.example", 5 * time.Minute},
			{0, usual, 5 * time.Minute}, {6 * time.Minute, "::ffff:192.0.2.9 s@x.example r@y.example", 0}}},
		{"other prefixes", Params{IPv4Prefix: 32, IPv6Prefix: 128, Delay: time.Second}, []step{
			{0, usual, time.Second}, {2 * time.Second, "192.0.2.2 s@x.example r@y.example", time.Second}}},
		// Two triples make the network pass, but no two in one hour.
		{"a network that passes", Params{AutoAllow: 2, Delay: time.Minute}, []step{
			{0, "192.0.2.1 a@x r@y", time.Minute}, {0, "192.0.2.1 b@x r@y", time.Minute}, {0, "192.0.2.1 c@x r@y", time.Minute},
			{time.Minute, "192.0.2.1 a@x r@y", 0}, {time.Minute, "192.0.2.1 a@x r@y", 0}, {2 * time.Minute, "192.0.2.1 b@x r@y", 0},
			{2 * time.Minute, "192.0.2.1 d@x r@y", time.Minute}, {time.Hour + time.Minute, "192.0.2.1 a@x r@y", 0},
			{time.Hour + time.Minute, "192.0.2.1 d@x r@y", 0}, // the second
			{time.Hour + time.Minute, "192.0.2.200 new@x r@y", 0}, {time.Hour + time.Minute, "192.0.3.1 new@x r@y", time.Minute},
			{30 * day, "192.0.2.1 newer@x r@y", 0}, {60 * day, "192.0.2.1 newest@x r@y", 0}, {95*day + time.Hour, "192.0.2.1 late@x r@y", time.Minute}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			l, began := newList(t, c, tt.p, ""), c.Now()
			for i, s := range tt.steps {
				c.set(began.Add(s.at))
				w := strings.Fields(s.who)
				client, sender, rcpt := netip.MustParseAddr(w[0]), mail.SplitAddress(strings.Trim(w[1], "<>")), mail.SplitAddress(w[2])
				known := l.Known(client, sender, rcpt)
				got := l.Check(client, sender, rcpt)
				if got = max(got, 0); got != s.want {
					t.Errorf("step %d (%s, %s): wait %s, want %s", i, s.at, s.who, got, s.want)
				}
				if known && got > 0 {
					t.Errorf("step %d (%s, %s): known, and has to wait", i, s.at, s.who)
				}
			}
		})
	}
}

// model is postgrey's rule in its own words, without its bounds.
type model struct {
	p        Params
	triples  map[string][2]time.Time
	networks map[string]struct {
		n    int
		last time.Time
	}
}

func (m *model) check(now time.Time, network, triple string) time.Duration {
	n := m.networks[network]
	if n.n >= m.p.AutoAllow && now.Sub(n.last) < m.p.Expire {
		if now.Sub(n.last) >= time.Hour {
			n.last = now
			m.networks[network] = n
		}
		return 0
	}
	s, known := m.triples[triple]
	success := known && s[1].Sub(s[0]) >= m.p.Delay
	switch {
	case !known, success && now.Sub(s[1]) >= m.p.Expire, !success && now.Sub(s[0]) > m.p.RetryWindow:
		s[0], success = now, false
	}
	s[1] = now
	m.triples[triple] = s
	wait := m.p.Delay - now.Sub(s[0])
	if wait <= 0 && !success && (n.n == 0 || now.Sub(n.last) >= time.Hour) {
		if now.Sub(n.last) >= m.p.Expire {
			n.n = 0
		}
		n.n++
		n.last = now
		m.networks[network] = n
	}
	return max(wait, 0)
}

// Random mail of few clients, with restarts and cleanups in between, is answered as by the
// model.
func TestCheckLikeModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	p := Params{AutoAllow: 3, Delay: 5 * time.Minute, RetryWindow: 6 * time.Hour, Expire: 36 * time.Hour}
	m := &model{p: p, triples: map[string][2]time.Time{}, networks: map[string]struct {
		n    int
		last time.Time
	}{}}
	c, file := newClock(), filepath.Join(t.TempDir(), "greylist")
	l := newList(t, c, p, file)
	for i := range 20_000 {
		c.set(c.Now().Add(time.Duration(rnd.IntN(400)) * time.Second))
		switch rnd.IntN(500) {
		case 0:
			l.Close()
			l = newList(t, c, p, file)
		case 1:
			l.clean(c.Now())
		case 2:
			c.set(c.Now().Add(time.Duration(rnd.IntN(40)) * time.Hour))
		}
		client, s, r := byte(rnd.IntN(4)), rnd.IntN(5), rnd.IntN(3)
		sender, rcpt := mail.Address{Local: fmt.Sprint("s", s), Domain: "x"}, mail.Address{Local: fmt.Sprint("r", r), Domain: "y"}
		want := m.check(c.Now(), fmt.Sprint(client), fmt.Sprint(client, s, r))
		if got := max(l.Check(netip.AddrFrom4([4]byte{192, 0, client, byte(rnd.IntN(256))}), sender, rcpt), 0); got != want {
			t.Fatalf("seed %d, step %d: wait %s, want %s", seed, i, got, want)
		}
	}
}

func TestBounded(t *testing.T) {
	c := newClock()
	l := New(Options{Now: c.Now, MaxEntries: 100, Params: Params{Delay: time.Second, AutoAllow: 1}})
	t.Cleanup(l.Close)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}) }
	known := mail.Address{Local: "known", Domain: "x"}
	for i := range 3000 {
		l.Check(at(i), known, known)
		c.set(c.Now().Add(2 * time.Second))
		l.Check(at(i), known, known)
	}
	if len(l.triples) > 100 || len(l.networks) > 100 {
		t.Errorf("%d triples and %d networks", len(l.triples), len(l.networks))
	}
	if !l.Known(at(2999), known, known) {
		t.Error("the newest has gone")
	}
}

// A file that is damaged is warned of, by nobody taken for the truth, and replaced.
func TestDamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "greylist")
	c, a := newClock(), mail.Address{Local: "a", Domain: "x"}
	client := netip.MustParseAddr("192.0.2.1")
	l := newList(t, c, Params{}, file)
	l.Check(client, a, a)
	c.set(c.Now().Add(time.Hour))
	l.Check(client, a, a)
	l.Close()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if l := newList(t, c, Params{}, file); !l.Known(client, a, a) {
		t.Fatal("not known after a restart")
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(good), "176400", "176300", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l = newList(t, c, Params{}, file)
	if l.Known(client, a, a) {
		t.Error("a damaged file is believed")
	}
	if l.Check(client, a, a) == 0 {
		t.Error("a damaged file lets mail in")
	}
}

func FuzzFile(f *testing.F) {
	c := newClock()
	for _, n := range []int{0, 1, 3} {
		triples, networks := map[triple]stamps{}, map[netip.Prefix]passes{}
		for i := range n {
			network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24)
			triples[triple{network, fmt.Sprint("s \"", i), "r\n@y"}] = stamps{c.Now(), c.Now().Add(time.Minute)}
			networks[network] = passes{i + 1, c.Now()}
		}
		f.Add(encode(triples, networks))
	}
	f.Add([]byte("aliasmx greylist 1 0\ntriple 192.0.2.0/24 \"a\" \"b\" 1 2\nend 1 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		triples, networks, err := decode(b)
		if err != nil {
			return
		}
		again, nets, err := decode(encode(triples, networks))
		if err != nil || !maps.Equal(again, triples) || !maps.Equal(nets, networks) {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

func TestHideNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "joe": "joe", "12": "#", "list-12-34": "list-#-#", "a1": "a1", "1a": "1a", "a_1": "a_1", "a.1.b": "a.#.b", "-9": "-#", "ü1": "ü1", "1=2": "#=#",
	} {
		if got := hideNumbers(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
