package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// stsWorld is where MTA-STS policies are found: a zone at port 53 and an HTTPS server at
// port 443 of one loopback address. Both ports are fixed by the protocols.
type stsWorld struct {
	ip     string
	port   string // of mail exchangers
	dns    *peers.DNS
	ca     *stsAuthority
	caFile string

	mu    sync.Mutex // guards what follows
	pages map[string]http.HandlerFunc
	certs map[string]*tls.Certificate // by name; nil: a good one is made
	gets  map[string]int

	server *http.Server
}

func newSTSWorld(t *testing.T) *stsWorld {
	t.Helper()
	w := &stsWorld{
		port: "25", ca: newSTSAuthority(t, "a test authority"), pages: map[string]http.HandlerFunc{}, certs: map[string]*tls.Certificate{}, gets: map[string]int{},
	}
	var ln net.Listener
	var err error
	for range 10 {
		w.ip = fmt.Sprintf("127.%d.%d.%d", 100+mathrand.IntN(100), mathrand.IntN(256), 1+mathrand.IntN(254))
		if ln, err = net.Listen("tcp", w.ip+":443"); err != nil {
			continue
		}
		if w.dns, err = peers.NewDNSAt(w.ip+":53", ""); err == nil {
			break
		}
		ln.Close()
	}
	if err != nil {
		t.Fatalf("ports 443 and 53 on loopback, for which this test must run as root: %v", err)
	}
	w.caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(w.caFile, w.ca.pem, 0o644); err != nil {
		t.Fatal(err)
	}
	w.server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			page := w.pages[r.Host]
			w.gets[r.Host]++
			w.mu.Unlock()
			if page == nil || r.URL.Path != "/.well-known/mta-sts.txt" {
				http.NotFound(rw, r)
				return
			}
			page(rw, r)
		}),
	}
	config := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return w.cert(t, h.ServerName), nil }}
	go w.server.Serve(tls.NewListener(ln, config))
	t.Cleanup(func() {
		w.server.Close()
		w.dns.Close()
	})
	return w
}

// cert is what a host shows: what was set, or a good one.
func (w *stsWorld) cert(t *testing.T, name string) *tls.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.certs[name] == nil {
		w.certs[name] = w.ca.cert(t, time.Hour, name)
	}
	return w.certs[name]
}

func (w *stsWorld) show(name string, cert *tls.Certificate) {
	w.mu.Lock()
	w.certs[name] = cert
	w.mu.Unlock()
}

func (w *stsWorld) page(domain string, page http.HandlerFunc) {
	w.mu.Lock()
	w.pages["mta-sts."+domain] = page
	w.mu.Unlock()
}

func stsPage(text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, text)
	}
}

func (w *stsWorld) fetched(domain string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gets["mta-sts."+domain]
}

// stsAuthority issues certificates.
type stsAuthority struct {
	key *ecdsa.PrivateKey
	own *x509.Certificate
	pem []byte
}

func newSTSAuthority(t *testing.T, name string) *stsAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := x509.ParseCertificate(der)
	return &stsAuthority{key, own, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// cert is a certificate for names that is valid until then, counted from now.
func (a *stsAuthority) cert(t *testing.T, until time.Duration, names ...string) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Error(err)
		return nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: "a test server"}, DNSNames: names,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(until), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.own, &key.PublicKey, a.key)
	if err != nil {
		t.Error(err)
		return nil
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
