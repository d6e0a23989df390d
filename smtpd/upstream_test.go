package smtpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// What a proxy says of both ends takes the place of what the connection has; for itself it
// changes nothing, and nobody is believed when the list cannot answer.
func TestProxied(t *testing.T) {
	proxy := Peer{Addr: netip.MustParseAddr("127.0.0.9"), Port: 4711, Server: netip.MustParseAddrPort("127.0.0.1:25")}
	for _, tt := range []struct {
		name, header, want string
		hosts              Networks
	}{
		{"IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 587\r\n", "192.0.2.1 12345 198.51.100.2:587 true", nil},
		{"IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 25\r\n", "2001:db8::1 12345 [2001:db8::2]:25 true", nil},
		{"itself", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.9 4711 127.0.0.1:25 true", nil},
		{"nothing", "", "127.0.0.9 4711 127.0.0.1:25 false", nil},
		{"a list that cannot answer", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 587\r\n", "127.0.0.9 4711 127.0.0.1:25 false", brokenNetworks{}},
	} {
		w := usual(t)
		w.o.Upstream = &Upstream{Hosts: networks{proxy.Addr}}
		if tt.hosts != nil {
			w.o.Upstream.Hosts = tt.hosts
		}
		w.start()
		near, far := net.Pipe()
		go func() {
			io.WriteString(near, tt.header)
			near.Close()
		}()
		p, ok := w.srv.proxied(w.srv.options.Load(), far, proxy)
		far.Close()
		if got := fmt.Sprint(p.Addr, p.Port, p.Server, ok); got != tt.want {
			t.Errorf("%s: %s, want %s\n%v", tt.name, got, tt.want, w.log.all())
		}
	}
}

// A shutdown that waits no longer does not wait for a proxy.
func TestProxiedAtTheEnd(t *testing.T) {
	w := usual(t)
	w.o.Upstream = &Upstream{Hosts: networks{netip.MustParseAddr("127.0.0.1")}, Timeout: 1 << 50}
	w.start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(l) }()
	c := call(t, l.Addr().String())
	io.WriteString(c.nc, "PROXY ")
	for open := 0; open == 0; <-time.After(time.Millisecond) {
		w.srv.room.mu.Lock()
		open = w.srv.room.open
		w.srv.room.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.srv.Shutdown(ctx)
	if err := <-served; err != nil {
		t.Error(err)
	}
	w.srv.running.Wait() // or the test does not end
}
