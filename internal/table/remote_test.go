package table

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"time"
)

// server answers each request that read takes with what reply says; an empty reply
// closes the connection.
type server struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	n     int // connections so far
	wg    sync.WaitGroup
}

func serve(t *testing.T, network, address string, read func(*bufio.Reader) (string, error), reply func(request string) string) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.n++
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					request, err := read(r)
					if err != nil {
						return
					}
					answer := reply(request)
					if answer == "" {
						return
					}
					fmt.Fprint(c, answer)
				}
			})
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	s.Close()
	s.hangUp()
	s.wg.Wait()
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func netstring(s string) string { return fmt.Sprintf("%d:%s,", len(s), s) }

func readLine(r *bufio.Reader) (string, error) { return r.ReadString('\n') }

func socketmapReply(request string) string {
	name, key, _ := strings.Cut(request, " ")
	switch key {
	case "a@x":
		return netstring("OK one@" + name)
	case "CASE":
		return netstring("OK upper")
	case "temp":
		return netstring("TEMP come back")
	case "perm":
		return netstring("PERM never")
	case "odd":
		return netstring("WHAT")
	case "long":
		return "100001:"
	case "number":
		return "12x:"
	case "comma":
		return "2:OK;"
	case "twice":
		return netstring("OK a") + netstring("OK b")
	case "bye":
		return ""
	}
	return netstring("NOTFOUND ")
}

func TestSocketmap(t *testing.T) {
	inet := serve(t, "tcp", "127.0.0.1:0", readNetstring, socketmapReply)
	path := filepath.Join(t.TempDir(), "s")
	serve(t, "unix", path, readNetstring, socketmapReply)
	for _, spec := range []string{"socketmap:inet:" + inet.Addr().String() + ":m", "socketmap:unix:" + path + ":m"} {
		tb := open(t, spec, Options{})
		for key, want := range map[string]string{
			"a@x": "one@m", "CASE": "upper", "none": "(none)", "a b": "(none)",
			"temp": "TEMP: come back", "perm": "PERM: never", "odd": `unexpected reply "WHAT"`,
			"long": errNetstring.Error(), "number": errNetstring.Error(), "comma": errNetstring.Error(),
			"twice": "more than one reply", "bye": "lost connection",
		} {
			if got := answer(tb, key); got != want && !(strings.HasPrefix(got, "error: server ") && strings.Contains(got, want)) {
				t.Errorf("%s: %q is %q, want %q", spec, key, got, want)
			}
		}
	}
}

func TestTCPTable(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", readLine, func(request string) string {
		switch request {
		case "get a@x\n":
			return "200 one@x,%20two@x\n"
		case "get a%20b%25%C3%A9\n":
			return "200 quoted as is\n"
		case "get later\n":
			return "400 come%20back\n"
		case "get bad\n":
			return "200 %4\n"
		case "get odd\n":
			return "what\n"
		case "get long\n":
			return strings.Repeat("x", 5000) + "\n"
		case "get bye\n":
			return ""
		}
		return "500 not here\n"
	})
	tb := open(t, "tcp:"+s.Addr().String(), Options{})
	for key, want := range map[string]string{
		"a@x": "one@x, two@x", "a b%é": "quoted as is", "none": "(none)", "later": "come back",
		"bad": "bad reply", "odd": "bad reply", "long": "reply of more than 4096 bytes", "bye": "lost connection",
	} {
		if got := answer(tb, key); got != want && !(strings.HasPrefix(got, "error: TCP map ") && strings.Contains(got, want)) {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
}

// One connection serves many lookups; when the server closed it, the next lookup does
// not notice. A server that is away is an error until it is back, not at open.
func TestRemoteConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	tb := open(t, "socketmap:unix:"+path+":m", Options{})
	if got := answer(tb, "a@x"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("away: %q", got)
	}
	s := serve(t, "unix", path, readNetstring, socketmapReply)
	for range 10 {
		wantAnswer(t, tb, "a@x", "one@m")
	}
	if n := s.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	s.hangUp()
	wantAnswer(t, tb, "a@x", "one@m")
	s.stop()
	if got := answer(tb, "a@x"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("away again: %q", got)
	}
	serve(t, "unix", path, readNetstring, socketmapReply)
	wantAnswer(t, tb, "a@x", "one@m")
	tb.Close()
	if got := answer(tb, "a@x"); !strings.Contains(got, "table is closed") {
		t.Errorf("closed: %q", got)
	}
}

func TestRemoteTimeout(t *testing.T) {
	hang := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", readLine, func(string) string { <-hang; return "" })
	defer close(hang)
	tb := open(t, "tcp:"+s.Addr().String(), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, found, err := tb.Lookup(ctx, "k"); err == nil || found {
		t.Error("no error from a server that does not answer")
	}
}

func TestRemoteNames(t *testing.T) {
	for spec, want := range map[string]string{
		"socketmap:foo":        "socketmap requires server:socketmap argument",
		"socketmap:inet:foo":   "socketmap requires server:socketmap argument",
		"socketmap:inet::25:n": "bad server address",
		"socketmap:foo:bar:n":  `invalid socketmap server name "foo"`,
		"tcp:host:":            `bad server address "host:": need host:port`,
	} {
		if _, err := Open(spec, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %v", spec, err)
		}
	}
	for _, spec := range []string{"socketmap:inet:[::1]:9999:n", "tcp:9999", "tcp:localhost:9999"} {
		if tb := open(t, spec, Options{}); tb.Name() != spec {
			t.Errorf("Name() = %q", tb.Name())
		}
	}
}

func TestTCPQuotingRoundTrip(t *testing.T) {
	if err := quick.Check(func(s string) bool {
		back, ok := unquoteTCP(quoteTCP(s))
		return ok && back == s && !strings.ContainsAny(quoteTCP(s), " \n\r\t")
	}, nil); err != nil {
		t.Error(err)
	}
}
