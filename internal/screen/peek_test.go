//go:build unix

package screen

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair is a connection over loopback.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

// What is peeked at stays to be read, from a socket and from what is none.
func TestPeek(t *testing.T) {
	near, far := pair(t)
	pn, pf := net.Pipe()
	defer pn.Close()
	defer pf.Close()
	for name, c := range map[string][2]net.Conn{"socket": {near, far}, "pipe": {pn, pf}} {
		near, far := c[0], c[1]
		near.SetReadDeadline(past())
		if _, _, err := peek(near); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: without words: %v", name, err)
		}
		near.SetReadDeadline(time.Time{})
		go io.WriteString(far, "HELO a\r\n")
		said, on, err := peek(near)
		if err != nil || string(said) != "HELO a\r\n" {
			t.Errorf("%s: %q, %v", name, said, err)
		}
		buf := make([]byte, 8)
		if _, err := io.ReadFull(on, buf); err != nil || string(buf) != "HELO a\r\n" {
			t.Errorf("%s: %q, %v", name, buf, err)
		}
		if _, wrapped := on.(*unread); wrapped != (name == "pipe") {
			t.Errorf("%s is handed on as %T", name, on)
		}
		go func() {
			io.WriteString(far, strings.Repeat("x", 5000))
			far.Close()
		}()
		if name == "socket" { // all of it is there when the peer has gone
			waitFor(t, near, 5000)
		}
		if said, on, err = peek(on); err != nil || len(said) != peekSize {
			t.Errorf("%s: %d bytes, %v", name, len(said), err)
		}
		if rest, err := io.ReadAll(on); err != nil || len(rest) != 5000 {
			t.Errorf("%s: %d bytes are left, %v", name, len(rest), err)
		}
		if _, _, err := peek(on); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// waitFor waits until that much has come.
func waitFor(t *testing.T, nc net.Conn, n int) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for end, got := time.Now().Add(time.Minute), 0; got < n; runtime.Gosched() {
		raw.Control(func(fd uintptr) {
			got, _, _ = syscall.Recvfrom(int(fd), make([]byte, n), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
	}
}

// A client that is waited for costs a goroutine and no buffer.
func TestWaitingIsCheap(t *testing.T) {
	const clients = 300
	p := &place{t: t, log: newLines(), lists: newFakeLists()}
	shared := NewClients(ClientsOptions{})
	t.Cleanup(shared.Close)
	p.open(shared, func(o *Options) { o.GreetWait, o.PreQueueLimit = time.Hour, 10*clients })
	var near []net.Conn
	for range clients {
		n, _ := pair(t)
		near = append(near, n)
	}
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := inUse()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, nc := range near {
		peer := nc.RemoteAddr().(*net.TCPAddr).AddrPort()
		all.Go(func() { p.d.Admit(ctx, nc, peer, peer) })
	}
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		p.log.mu.Lock()
		n := len(*p.log.all)
		p.log.mu.Unlock()
		if n == clients {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d clients", n)
		}
	}
	each := (int64(inUse()) - int64(before)) / clients
	t.Logf("%d bytes each", each)
	if each > 12<<10 {
		t.Errorf("a client that waits costs %d bytes", each)
	}
	cancel()
	all.Wait()
}
