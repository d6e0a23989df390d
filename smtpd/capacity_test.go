package smtpd

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller is a client of a real listener.
type caller struct {
	nc net.Conn
	r  *bufio.Reader
}

func call(t *testing.T, addr string) *caller {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &caller{nc, bufio.NewReader(nc)}
}

// hears expects the whole of a line, and with end that the connection ends behind it.
func (c *caller) hears(t *testing.T, want string, end bool) {
	t.Helper()
	line, err := c.r.ReadString('\n')
	if !strings.HasPrefix(line, want) || err != nil {
		t.Fatalf("%q, %v; want %q", line, err, want)
	}
	if end {
		if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
			t.Fatalf("after %q: %q, %v", line, rest, err)
		}
	}
}

func (c *caller) says(t *testing.T, line, want string) {
	t.Helper()
	io.WriteString(c.nc, line+"\r\n")
	c.hears(t, want, false)
}

// leaves goes and waits until the server has noticed.
func (c *caller) leaves(t *testing.T, w *world) {
	t.Helper()
	c.says(t, "QUIT", "221 ")
	io.Copy(io.Discard, c.r)
	c.nc.Close()
	for range 2000 {
		w.srv.room.mu.Lock()
		n := w.srv.room.open
		w.srv.room.mu.Unlock()
		w.srv.mu.Lock()
		open := len(w.srv.conns)
		w.srv.mu.Unlock()
		if n == open {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Fatal("a connection is still counted")
}

func count(lines []string, part string) (n int) {
	for _, l := range lines {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

// Beyond the cap a client hears 421, even one that has sent something already; the log has
// it once; when somebody has gone the next one is served.
func TestTurnedAway(t *testing.T) {
	w := usual(t)
	w.o.MaxConnections = 1
	addr := listen(t, w)
	first := call(t, addr)
	first.hears(t, "220 ", false)
	for range 20 {
		c := call(t, addr)
		io.WriteString(c.nc, "EHLO early.example\r\n")
		c.hears(t, "421 4.7.0 mx.example.com Error: too many connections\r\n", true)
	}
	if n := count(w.log.all(), "smtpd_client_limit_total: all 1 connections are in use"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, strings.Join(w.log.all(), "\n"))
	}
	first.leaves(t, w)
	call(t, addr).hears(t, "220 ", false)
}

// A client that has sent something before it was accepted, as a proxy does, still sees why
// it is turned away: no reset overtakes the reply.
func TestTurnedAwayWhileTalking(t *testing.T) {
	w := usual(t)
	w.o.MaxConnections = 1
	w.start()
	w.srv.room.open = 1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all []*caller
	for range 10 {
		c := call(t, l.Addr().String())
		io.WriteString(c.nc, "PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n")
		all = append(all, c)
	}
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(l) }()
	for _, c := range all {
		c.hears(t, "421 4.7.0 mx.example.com Error: too many connections\r\n", true)
		c.nc.Close()
	}
	w.srv.room.leave()
	if err := w.srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// With no memory for a message more, who comes is turned away, and who is here is told 452
// at DATA and keeps the session.
func TestNoMemory(t *testing.T) {
	w := usual(t)
	w.o.DataMemoryLimit = dataReserve
	addr := listen(t, w)
	busy, here := call(t, addr), call(t, addr)
	for _, c := range []*caller{busy, here} {
		c.hears(t, "220 ", false)
		c.says(t, "MAIL FROM:<s@example.net>", "250 ")
		c.says(t, "RCPT TO:<a@virt.example>", "250 ")
	}
	busy.says(t, "DATA", "354 ")
	call(t, addr).hears(t, "421 4.7.0 mx.example.com Error: too much mail under way\r\n", true)
	here.says(t, "DATA", "452 4.3.1 ")
	busy.says(t, "x\r\n.", "250 ")
	here.says(t, "DATA", "354 ")
	here.says(t, "x\r\n.", "250 ")
	call(t, addr).hears(t, "220 ", false)
}

// On a port of TLS nothing is said in the clear.
func TestTurnedAwayFromTLS(t *testing.T) {
	w := usual(t)
	w.o.MaxConnections = 1
	w.o.TLS = &TLS{Wrapper: true}
	addr := listen(t, w)
	w.srv.room.mu.Lock()
	w.srv.room.open = 1
	w.srv.room.mu.Unlock()
	defer w.srv.room.leave()
	if got, err := io.ReadAll(call(t, addr).nc); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// When most connections are taken, new clients get the options for that, in all their
// transactions, and old ones keep theirs.
func TestStress(t *testing.T) {
	w := usual(t)
	w.o.MaxConnections, w.o.HardErrorLimit = 5, 20
	stressed := w.o
	stressed.HardErrorLimit = 1
	w.o.UnderStress = &stressed
	addr := listen(t, w)
	var all []*caller
	for range 4 {
		c := call(t, addr)
		c.hears(t, "220 ", false)
		all = append(all, c)
	}
	all[2].says(t, "FOO", "500 ")
	all[2].says(t, "NOOP", "250 ")
	all[3].says(t, "MAIL FROM:<s@example.net>", "250 ")
	all[3].says(t, "RSET", "250 ")
	all[3].says(t, "FOO", "500 ")
	all[3].hears(t, "421 4.7.0 mx.example.com Error: too many errors\r\n", true)
	if n := count(w.log.all(), "has 4 of 5 connections in use (smtpd_client_limit_total): new clients are served with stress=yes"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, strings.Join(w.log.all(), "\n"))
	}
}

// When stress begins and ends, and what is written about it.
func TestStressBorders(t *testing.T) {
	now := time.Unix(0, 0)
	w := usual(t)
	w.o.MaxConnections, w.o.Now = 10, func() time.Time { return now }
	o := w.o.withDefaults()
	var c Capacity
	for i, step := range []struct {
		event string // "+": one comes, "-": one goes, "m": a minute passes
		want  string // of the last "+"
	}{
		{"+++++++", "calm"}, {"+", "stress"}, {"--+", "stress"}, {"--+", "stress"}, {"--+", "calm"}, {"+++", "stress"},
		{"++", "stress"}, {"+", "too many connections"}, {"++", "too many connections"}, {"m+", "too many connections"}, {"-+", "stress"},
	} {
		got := ""
		for _, e := range step.event {
			switch e {
			case '+':
				stressed, refused := c.admit(o)
				if got = refused; refused == "" {
					got = map[bool]string{false: "calm", true: "stress"}[stressed]
				}
			case '-':
				c.leave()
			case 'm':
				now = now.Add(time.Minute)
			}
		}
		if got != step.want {
			t.Errorf("step %d: %s, want %s (%d open)", i, got, step.want, c.open)
		}
	}
	if n := count(w.log.all(), "stress=yes"); n != 1 {
		t.Errorf("stress is written about %d times", n)
	}
	if first, again := count(w.log.all(), "in use; 1 new clients"), count(w.log.all(), "in use; 3 new clients"); first != 1 || again != 1 {
		t.Errorf("refusals: %s", strings.Join(w.log.all(), "\n"))
	}
}

// Any number of clients at once: never more than the cap are served, and in the end
// nothing is counted.
func TestCapacityConcurrent(t *testing.T) {
	o := Options{MaxConnections: 3, DataMemoryLimit: 2 * dataReserve}.withDefaults()
	var (
		c    Capacity
		mu   sync.Mutex
		in   int
		done sync.WaitGroup
	)
	for range 50 {
		done.Go(func() {
			for range 50 {
				if _, refused := c.admit(o); refused != "" {
					continue
				}
				mu.Lock()
				if in++; in > 3 {
					t.Errorf("%d at a time", in)
				}
				mu.Unlock()
				if n := c.reserve(o); n > 0 {
					c.release(n)
				}
				mu.Lock()
				in--
				mu.Unlock()
				c.leave()
			}
		})
	}
	done.Wait()
	if c.open != 0 || c.inMemory != 0 {
		t.Errorf("%d connections, %d bytes are left", c.open, c.inMemory)
	}
}

// The proxy is heard before anything is said, over a real connection too, and its client
// is who the Received field names.
func TestUpstreamReceived(t *testing.T) {
	w := usual(t)
	w.o.Upstream = &Upstream{Hosts: networks{netip.MustParseAddr("127.0.0.1")}}
	c := call(t, listen(t, w))
	io.WriteString(c.nc, "PROXY TCP4 192.0.2.7 198.51.100.2 12345 25\r\n")
	c.hears(t, "220 ", false)
	for _, s := range [][2]string{{"HELO x", "250 "}, {"MAIL FROM:<s@example.net>", "250 "}, {"RCPT TO:<a@virt.example>", "250 "}, {"DATA", "354 "}, {"x\r\n.", "250 "}} {
		c.says(t, s[0], s[1])
	}
	if got := string(w.store.messages[0].env.Prepend); !strings.HasPrefix(got, "Received: from x (unknown [192.0.2.7])\r\n") {
		t.Errorf("%q", got)
	}
	if env := w.store.messages[0].env; env.Client.Port != 12345 {
		t.Errorf("port %d", env.Client.Port)
	}
}
