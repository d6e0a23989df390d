package mtasts

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/dns"
)

// world is what a Source sees of the Internet: a zone, and the policy hosts in it, which
// are one server. All of it lives in the virtual time of a synctest bubble.
type world struct {
	t  *testing.T
	ca *authority

	mu    sync.Mutex // guards what follows
	txt   map[string][]string
	txtIs map[string]error // in place of an answer
	addrs map[string]error // nil: it has one
	cert  *tls.Certificate // nil: a good one for whatever name is asked for
	page  http.HandlerFunc
	asked []string // names of TXT questions
	gets  []string // hosts of requests
	dials []string
	slow  time.Duration // before DNS answers

	log syncBuffer
	ln  *pipeListener
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, ca: newAuthority(t), txt: map[string][]string{}, txtIs: map[string]error{}, addrs: map[string]error{},
		ln: &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})},
	}
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			w.gets = append(w.gets, r.Host)
			page := w.page
			w.mu.Unlock()
			if r.URL.Path != "/.well-known/mta-sts.txt" || r.TLS.ServerName != r.Host || r.Method != http.MethodGet {
				t.Errorf("request for %s %s%s, name %s", r.Method, r.Host, r.URL, r.TLS.ServerName)
			}
			page(rw, r)
		}),
	}
	config := &tls.Config{Time: time.Now, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		w.mu.Lock()
		cert := w.cert
		w.mu.Unlock()
		if cert == nil {
			cert = w.ca.cert(t, h.ServerName)
		}
		return cert, nil
	}}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(tls.NewListener(w.ln, config)) })
	t.Cleanup(func() {
		server.Close()
		served.Wait()
		time.Sleep(time.Minute) // virtual: what was said last to those who do not listen is given up
	})
	return w
}

// publish gives a domain a record, a policy host and, on every host, a file.
func (w *world) publish(domain, id, file string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.txt["_mta-sts."+domain] = []string{"v=STSv1; id=" + id}
	w.addrs["mta-sts."+domain] = nil
	w.page = text(file)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func text(file string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, file)
	}
}

// counts are how often DNS was asked for records, and policies were fetched.
func (w *world) counts() (txts, gets int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked), len(w.gets)
}

func (w *world) TXT(ctx context.Context, name string) ([]string, error) {
	w.mu.Lock()
	w.asked = append(w.asked, name)
	texts, err, slow := w.txt[name], w.txtIs[name], w.slow
	w.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, &dns.Error{Name: name, Type: "TXT", Cause: ctx.Err()}
		}
	}
	switch {
	case err != nil:
		return nil, err
	case texts == nil:
		return nil, &dns.Error{Name: name, Type: "TXT", Kind: dns.NoName}
	}
	return texts, nil
}

func (w *world) Addrs(_ context.Context, host string, _ dns.Family) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err, known := w.addrs[host]
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, &dns.Error{Name: host, Type: "A", Kind: dns.NoName}
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, nil
}

func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, network+" "+addr)
	first := len(w.dials)%2 == 1
	w.mu.Unlock()
	if first { // of the two addresses only the second works
		return nil, errors.New("connection refused")
	}
	ours, theirs := pipe()
	select {
	case w.ln.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *world) fetcher() *Fetcher {
	return &Fetcher{Resolver: w, Roots: w.ca.pool, Dial: w.dial, Now: time.Now}
}

func (w *world) source(o Options) *Source {
	o.Log = slog.New(slog.NewTextHandler(&w.log, nil))
	s := New(o)
	s.Update(w.fetcher())
	s.Start()
	w.t.Cleanup(s.Close)
	return s
}

// pipe is net.Pipe with buffers, as a network has them: who says goodbye to somebody who is
// no longer listening need not wait.
func pipe() (net.Conn, net.Conn) {
	a, b := net.Pipe()
	return buffered(a), buffered(b)
}

type bufferedConn struct {
	net.Conn
	once   sync.Once
	writes chan []byte
	closed chan struct{}
}

func buffered(c net.Conn) net.Conn {
	b := &bufferedConn{Conn: c, writes: make(chan []byte, 100), closed: make(chan struct{})}
	go func() {
		defer c.Close()
		for {
			select {
			case p := <-b.writes:
				c.Write(p)
				continue
			default:
			}
			select {
			case p := <-b.writes:
				c.Write(p)
			case <-b.closed:
				if len(b.writes) == 0 {
					return
				}
			}
		}
	}()
	return b
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	case b.writes <- bytes.Clone(p):
		return len(p), nil
	}
}

// What has been written is on its way: no deadline takes it back.
func (b *bufferedConn) SetWriteDeadline(time.Time) error { return nil }
func (b *bufferedConn) SetDeadline(t time.Time) error    { return b.SetReadDeadline(t) }

func (b *bufferedConn) Close() error {
	b.once.Do(func() {
		b.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		b.Conn.SetReadDeadline(time.Now())
		close(b.closed)
	})
	return nil
}

// pipeListener is a listener for pipes.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// authority issues certificates that hold for ten years from now.
type authority struct {
	key  *ecdsa.PrivateKey
	own  *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.own, _ = x509.ParseCertificate(der)
	a.pool.AddCert(a.own)
	return a
}

// cert is a certificate for DNS names; change may make it worse.
func (a *authority) cert(t *testing.T, name string, change ...func(*x509.Certificate)) *tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, f := range change {
		f(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.own, key.Public(), a.key)
	if err != nil {
		t.Error(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
	}
	return key
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
