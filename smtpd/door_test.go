package smtpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// gate is a Door that is opened by a test.
type gate struct {
	here    chan knock   // clients that have come
	waiting atomic.Int32 // let in, and not taken yet
}

type knock struct {
	client netip.AddrPort
	open   chan bool // whether to let it in
}

func newGate() *gate { return &gate{here: make(chan knock, 10)} }

func (g *gate) Admit(ctx context.Context, nc net.Conn, client, _ netip.AddrPort) (net.Conn, func()) {
	k := knock{client, make(chan bool, 1)}
	g.here <- k
	select {
	case in := <-k.open:
		if in {
			g.waiting.Add(1)
			return nc, func() { g.waiting.Add(-1) }
		}
	case <-ctx.Done():
		io.WriteString(nc, "421 the door is closed\r\n")
	}
	nc.Close()
	return nil, nil
}

func dialLine(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c, bufio.NewReader(c)
}

// A client at the door is not counted, has no session and takes nobody's place.
func TestDoor(t *testing.T) {
	w, g := usual(t), newGate()
	w.o.Door, w.o.MaxConnections, w.o.ClientConnectionLimit = g, 1, 1
	addr := listen(t, w)
	first, _ := dialLine(t, addr)
	k := <-g.here
	if k.client.String() != first.LocalAddr().String() {
		t.Errorf("the door sees %v, not %v", k.client, first.LocalAddr())
	}
	second := smtp.NewClient(dialGreeted(t, addr, g))
	if err := second.Noop(); err != nil {
		t.Fatalf("the second is not served while the first is at the door: %v", err)
	}
	k.open <- false
	if n, err := first.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the first: %d bytes, %v", n, err)
	}
	// Another is let in, and there is no room behind the door.
	_, third := dialLine(t, addr)
	(<-g.here).open <- true
	if line, _ := third.ReadString('\n'); line != "421 4.7.0 mx.example.com Error: too many connections\r\n" {
		t.Errorf("heard %q", line)
	}
	if n := g.waiting.Load(); n != 0 {
		t.Errorf("%d let in, and neither served nor sent away", n)
	}
	if err := second.Quit(); err != nil {
		t.Fatal(err)
	}
}

// dialGreeted comes through the door.
func dialGreeted(t *testing.T, addr string, g *gate) net.Conn {
	c, _ := dialLine(t, addr)
	(<-g.here).open <- true
	return c
}

// A shutdown is told to who is at the door, and to who waits behind it.
func TestDoorShutdown(t *testing.T) {
	w, g := usual(t), newGate()
	w.o.Door = g
	addr := listen(t, w)
	inside := smtp.NewClient(dialGreeted(t, addr, g))
	if err := inside.Noop(); err != nil {
		t.Fatal(err)
	}
	_, before := dialLine(t, addr)
	<-g.here
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if line, err := before.ReadString('\n'); line != "421 the door is closed\r\n" {
		t.Errorf("heard %q, %v", line, err)
	}
	if err := inside.Noop(); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("inside: %v", err)
	}
	if n := g.waiting.Load(); n != 0 {
		t.Errorf("%d were not taken", n)
	}
}
