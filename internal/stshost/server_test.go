package stshost

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mtasts"
)

// pipes is a listener whose clients are in this process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func testOptions(t *testing.T) Options {
	t.Helper()
	p, err := NewPolicy("Testing", []string{"MX.example.com", "*.example.net"}, 7*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t)
	return Options{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
		Hosted: func(_ context.Context, domain string) (bool, error) {
			if domain == "away.example" {
				return false, errors.New("table away")
			}
			return domain == "a.example" || domain == "xn--grn-ioa.example", nil
		},
		Policy: p,
	}
}

// serve runs a server over pipes for the length of a test. It is called in a bubble.
func serve(t *testing.T, o Options) (*Server, *pipes) {
	s, p := New(o), newPipes()
	done := make(chan error, 1)
	go func() { done <- s.Serve(p) }()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, p
}

// ask sends the bytes of a request and returns all that comes back.
func ask(t *testing.T, p *pipes, request string) string {
	t.Helper()
	c := tls.Client(p.dial(), &tls.Config{InsecureSkipVerify: true})
	defer c.Close()
	go io.WriteString(c, request)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

const policyText = "version: STSv1\r\nmode: testing\r\nmx: mx.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n"

func TestServe(t *testing.T) {
	const path = "/.well-known/mta-sts.txt"
	for _, c := range []struct {
		name, line, host string
		status           int
	}{
		{"GET", "GET " + path, "mta-sts.a.example", 200},
		{"HEAD", "HEAD " + path, "mta-sts.a.example", 200},
		{"case, port and dot", "GET " + path, "MTA-STS.A.Example.:443", 200},
		{"A-labels", "GET " + path, "mta-sts.xn--grn-ioa.example", 200},
		{"U-labels", "GET " + path, "mta-sts.Grün.example", 400}, // no host of HTTP has them
		{"absolute form", "GET https://mta-sts.a.example" + path, "mta-sts.a.example", 200},
		{"another domain", "GET " + path, "mta-sts.b.example", 404},
		{"the domain itself", "GET " + path, "a.example", 404},
		{"another host of it", "GET " + path, "www.a.example", 404},
		{"below it", "GET " + path, "mta-sts.x.a.example", 404},
		{"an address", "GET " + path, "192.0.2.1", 404},
		{"an address behind the label", "GET " + path, "mta-sts.192.0.2.1", 404},
		{"nothing behind the label", "GET " + path, "mta-sts.", 404},
		{"no host", "GET " + path, "", 404},
		{"table away", "GET " + path, "mta-sts.away.example", 503},
		{"POST", "POST " + path, "mta-sts.a.example", 404},
		{"OPTIONS", "OPTIONS *", "mta-sts.a.example", 200}, // net/http answers it itself, with nothing
		{"root", "GET /", "mta-sts.a.example", 404},
		{"deeper", "GET " + path + "/", "mta-sts.a.example", 404},
		{"above", "GET /x/..%2f" + path, "mta-sts.a.example", 404},
		{"two slashes", "GET /" + path, "mta-sts.a.example", 404},
		{"escaped", "GET /%2ewell-known/mta-sts.txt", "mta-sts.a.example", 404},
		{"other case", "GET /.well-known/MTA-STS.txt", "mta-sts.a.example", 404},
		{"query", "GET " + path + "?x", "mta-sts.a.example", 404},
		{"bare query", "GET " + path + "?", "mta-sts.a.example", 404},
		{"a file", "GET /etc/passwd", "mta-sts.a.example", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := serve(t, testOptions(t))
				answer := ask(t, p, c.line+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
				method, _, _ := strings.Cut(c.line, " ")
				r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), &http.Request{Method: method})
				if err != nil {
					t.Fatalf("%v: %q", err, answer)
				}
				body, _ := io.ReadAll(r.Body)
				want := ""
				if c.status == 200 && method == "GET" {
					want = policyText
				}
				if r.StatusCode != c.status || c.status == 200 && string(body) != want || c.status != 200 && bytes.Contains(body, []byte("STSv1")) {
					t.Errorf("%d %q, want %d %q", r.StatusCode, body, c.status, want)
				}
				if method != "OPTIONS" && c.status == 200 && (r.Header.Get("Content-Type") != "text/plain" || r.ContentLength != int64(len(policyText))) {
					t.Errorf("%v, %d bytes", r.Header, r.ContentLength)
				}
				if c.status != 400 && !r.Close {
					t.Errorf("the connection is kept: %q", answer)
				}
			})
		})
	}
}

// One connection is one request: what is sent behind it is not looked at.
func TestOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serve(t, testOptions(t))
		one := "GET " + Path + " HTTP/1.1\r\nHost: mta-sts.a.example\r\n\r\n"
		if answer := ask(t, p, one+one); strings.Count(answer, "HTTP/1.1 200") != 1 {
			t.Errorf("%q", answer)
		}
	})
}

// Who is slow loses the connection within the time-out, wherever he stops, and his place
// with it.
func TestSlowClients(t *testing.T) {
	for _, c := range []struct {
		name string
		tls  bool
		send string
	}{
		{"nothing at all", false, ""},
		{"a handshake that stops", false, "\x16\x03\x01\x02\x00\x01"},
		{"no request", true, ""},
		{"a header that stops", true, "GET " + Path + " HTTP/1.1\r\nHost: mta-sts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := testOptions(t)
				o.Timeout, o.Connections = 3*time.Second, 1
				s, p := serve(t, o)
				start := time.Now()
				conn := p.dial()
				defer conn.Close()
				if c.tls {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				io.WriteString(conn, c.send)
				io.Copy(io.Discard, conn)
				if took := time.Since(start); took > 7*time.Second {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				if s.doors.all != 0 || len(s.doors.byClient) != 0 {
					t.Errorf("%d places are taken", s.doors.all)
				}
			})
		})
	}
}

func TestBigHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serve(t, testOptions(t))
		head := "GET " + Path + " HTTP/1.1\r\nHost: mta-sts.a.example\r\nX: "
		if answer := ask(t, p, head+strings.Repeat("x", 2000)+"\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("2000 bytes: %q", answer)
		}
		if answer := ask(t, p, head+strings.Repeat("x", 20_000)+"\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 431") {
			t.Errorf("20000 bytes: %q", answer)
		}
	})
}

// Connections over the limit are closed; a place that becomes free can be taken.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		o.ClientConnections = 2
		_, p := serve(t, o)
		request := "GET " + Path + " HTTP/1.1\r\nHost: mta-sts.a.example\r\n\r\n"
		first, second := p.dial(), p.dial()
		defer second.Close()
		synctest.Wait()
		if answer := ask(t, p, request); answer != "" {
			t.Errorf("a third is answered %q", answer)
		}
		first.Close()
		synctest.Wait()
		if answer := ask(t, p, request); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("in the free place: %q", answer)
		}
	})
}

// A policy that has changed is served at once, and without a table that is gone.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := testOptions(t)
		s, p := serve(t, o)
		o.Policy.Mode = mtasts.ModeEnforce
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		s.Update(o)
		answer := ask(t, p, "GET "+Path+" HTTP/1.1\r\nHost: mta-sts.a.example\r\n\r\n")
		if _, body, _ := strings.Cut(answer, "\r\n\r\n"); body != strings.Replace(policyText, "testing", "enforce", 1) {
			t.Errorf("%q", answer)
		}
		ask(t, p, "GET "+Path+" HTTP/1.1\r\nHost: mta-sts.b.example\r\n\r\n")
		ask(t, p, "GET / HTTP/1.1\r\nHost: mta-sts.a.example\r\n\r\n")
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "policy of a.example to []: mode=enforce, id="+ID(o.Policy)) || !strings.Contains(lines[0], "daemon=mta-sts") ||
			!strings.Contains(lines[1], "no policy of b.example") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}

// A fault of our own ends one connection, and is told; one of a stranger is not.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := testOptions(t)
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.Hosted = func(context.Context, string) (bool, error) { panic("of this test") }
		_, p := serve(t, o)
		if answer := ask(t, p, "GET "+Path+" HTTP/1.1\r\nHost: mta-sts.a.example\r\n\r\n"); answer != "" {
			t.Errorf("%q", answer)
		}
		c := p.dial()
		go io.WriteString(c, strings.Repeat("no handshake", 10))
		io.Copy(io.Discard, c)
		synctest.Wait()
		if lines := strings.TrimSpace(log.String()); strings.Count(lines, "\n") != 0 || !strings.Contains(lines, "of this test") {
			t.Errorf("log:\n%s", lines)
		}
	})
}

// Shutdown lets nobody in any more, and does not wait for who is slow.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := New(testOptions(t)), newPipes()
		done := make(chan error, 1)
		go func() { done <- s.Serve(p) }()
		conn := p.dial()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes", n)
		}
		if err := s.Serve(newPipes()); err != nil {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}
