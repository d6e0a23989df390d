package tlsrpt

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	netmail "net/mail"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// world is all that a Reporter meets: names, HTTPS servers, a queue and a log.
type world struct {
	t    *testing.T
	file string
	pool *x509.CertPool
	cert tls.Certificate

	mu      sync.Mutex // guards what follows
	records map[string][]string
	dnsDown bool
	lookups map[string]int // by domain and day
	status  func(host string) string
	full    error // of the queue
	got     []arrival
	log     bytes.Buffer
	nextID  mail.QueueID
}

// arrival is one report that came.
type arrival struct {
	at   time.Time
	to   string
	raw  []byte
	doc  Report
	env  *mail.Envelope // by mail
	text []byte         // likewise
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, file: filepath.Join(t.TempDir(), "tlsrpt"), lookups: map[string]int{}, records: map[string][]string{}, nextID: 1 << 40}
	w.pool, w.cert = certificate(t, "reports.example")
	return w
}

// certificate is one that is good for a name, and those who trust it.
func certificate(t *testing.T, name string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (w *world) options() Options {
	return Options{
		Queue: w, File: w.file, RootCAs: w.pool, Dial: w.dial,
		Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})),
		Params: Params{
			TXT: w.txt, Resolve: w.resolve,
			Addrs: func(_ context.Context, host string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("192.0.2.80")}, nil
			},
			Organization: "Aliases, Inc. \u2028", Contact: "tls@alias.example", From: "tls-from@alias.example",
			MyHostname: "mx.alias.example", MailName: "Postfix", Location: time.UTC,
		},
	}
}

// Write takes lines of the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) arrived() []arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

func (w *world) txt(_ context.Context, name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	domain := strings.TrimPrefix(name, "_smtp._tls.")
	if domain == name {
		w.t.Errorf("TXT of %s is asked", name)
	}
	w.lookups[domain+time.Now().UTC().Format(" 2006-01-02")]++
	if w.dnsDown {
		return nil, errors.New("no name server answers")
	}
	return w.records[domain], nil
}

func (w *world) resolve(_ context.Context, req mail.RcptRequest) ([]mail.Recipient, error) {
	return []mail.Recipient{{Final: req.Addr, Orig: req.Addr, ORcpt: req.ORcpt, Notify: req.Notify, Dest: mail.MakeDest("smtp", req.Addr.Domain)}}, nil
}

func (w *world) Admit(int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full
}

func (w *world) NewID() mail.QueueID {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextID++
	return w.nextID
}

func (w *world) Stage(context.Context) (mail.Draft, error) { return &draft{w: w}, nil }

type draft struct {
	bytes.Buffer
	w *world
}

func (d *draft) Body() (mail.Body, error) { return nil, errors.ErrUnsupported }
func (d *draft) Abort()                   {}

func (d *draft) Commit(_ context.Context, env *mail.Envelope) error {
	a := arrival{at: time.Now(), env: env, text: slices.Clone(d.Bytes()), to: "mailto:" + env.Rcpts[0].Final.String()}
	a.raw = attached(d.w.t, a.text)
	d.w.take(a)
	return nil
}

func (w *world) take(a arrival) {
	if err := json.Unmarshal(a.raw, &a.doc); err != nil {
		w.t.Errorf("%s gets no JSON: %v", a.to, err)
	}
	w.set(func() { w.got = append(w.got, a) })
}

// attached is the report in a letter.
func attached(t *testing.T, text []byte) []byte {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatalf("no report in the letter: %v\n%s", err, text)
		}
		if part.Header.Get("Content-Type") == "application/tlsrpt+gzip" {
			return gunzip(t, base64.NewDecoder(base64.StdEncoding, part))
		}
	}
}

func gunzip(t *testing.T, packed io.Reader) []byte {
	t.Helper()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Errorf("no gzip: %v", err)
		return nil
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Errorf("broken gzip: %v", err)
	}
	return raw
}

// dial is the network: a server that has w.cert, and answers what w.status says.
func (w *world) dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	if to.String() != "192.0.2.80:443" {
		w.t.Errorf("connects to %v", to)
	}
	here, there := net.Pipe()
	go w.serve(tls.Server(there, &tls.Config{Certificates: []tls.Certificate{w.cert}}))
	return here, nil
}

func (w *world) serve(conn *tls.Conn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return // it did not like the certificate
	}
	packed, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
		w.t.Errorf("%s with %v", req.Method, req.Header)
	}
	status := "201 Created"
	w.mu.Lock()
	if w.status != nil {
		status = cmp.Or(w.status(req.Host), status)
	}
	w.mu.Unlock()
	if status == "never" {
		conn.Read(make([]byte, 1))
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 %s\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
	if strings.HasPrefix(status, "2") {
		w.take(arrival{at: time.Now(), to: "https://" + req.Host + req.RequestURI, raw: gunzip(w.t, bytes.NewReader(packed))})
	}
}

// running is a Reporter at work.
type running struct {
	*Reporter
	end func() // as a daemon ends it
}

func (w *world) run(o Options) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := New(o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return &running{r, func() { cancel(); <-done }}
}

func (r *running) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// session is a session with a domain now.
func session(domain, result string, policies ...mail.TLSPublished) mail.TLSSession {
	return mail.TLSSession{
		At:   time.Now(),
		Peer: mail.TLSPeer{NextHop: domain, Domain: domain, Host: "mx." + domain, Port: 25, ByMX: true},
		Helo: "helo." + domain, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("::ffff:198.51.100.7"),
		Result: result, Policies: policies,
	}
}

func sts(domain string) mail.TLSPublished {
	return mail.TLSPublished{
		Type: "sts", Domain: domain, Hosts: []string{"mx." + domain, "*." + domain},
		Strings: []string{"version: STSv1", "mode: enforce", "mx: mx." + domain, "mx: *." + domain, "max_age: 604800"},
	}
}

func tlsa(host string) mail.TLSPublished {
	return mail.TLSPublished{Type: "tlsa", Domain: host, Strings: []string{"3 1 1 " + strings.Repeat("0123456789ABCDEF", 4)}}
}
