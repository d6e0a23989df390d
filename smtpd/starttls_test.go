package smtpd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

// certificate makes one that nobody has signed but itself, and the pool that trusts it.
func certificate(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
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
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// secured is the usual configuration with TLS.
func secured(t *testing.T, change func(*TLS)) *world {
	cert, _ := certificate(t, "mx.example.com")
	w := usual(t)
	w.o.TLS = &TLS{Config: &tls.Config{Certificates: []tls.Certificate{cert}}, LogLevel: 1, ReceivedHeader: true, Timeout: time.Minute}
	if change != nil {
		change(w.o.TLS)
	}
	return w.start()
}

// handshake goes on over TLS. It is false when the server did not.
func (c *client) handshake(cfg *tls.Config) bool {
	cfg.InsecureSkipVerify = true
	// Whoever writes to the pipe is done: every line was answered.
	conn := tls.Client(c.nc, cfg)
	if err := conn.Handshake(); err != nil {
		return false
	}
	old := c.out
	c.nc, c.out = conn, make(chan string, 1000)
	close(old)
	c.r.Reset(conn)
	go func(out <-chan string) {
		for s := range out {
			io.WriteString(conn, s)
		}
	}(c.out)
	return true
}

const keywordsTLS = "250-mx.example.com\n250-PIPELINING\n250-SIZE 10240000\n250-VRFY\n250-ETRN\n250-STARTTLS\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250-DSN\n250-SMTPUTF8\n250 CHUNKING"

func TestSTARTTLS(t *testing.T) {
	w := secured(t, nil)
	c := w.dial("127.0.0.2").greeting()
	c.expect("EHLO plain.example.net", keywordsTLS, "STARTTLS now", "501 5.5.4 Syntax: STARTTLS",
		"MAIL FROM:<s@example.net>", "250", "STARTTLS", "220 2.0.0 Ready to start TLS")
	if !c.handshake(&tls.Config{}) {
		t.Fatal("no handshake")
	}
	// All that was said before is forgotten, and TLS is not offered again.
	c.expect("RCPT TO:<a@virt.example>", "503 5.5.1 Error: need MAIL command",
		"EHLO client.example.net", strings.Replace(keywordsTLS, "250-STARTTLS\n", "", 1),
		"STARTTLS", "554 5.5.1 Error: TLS already active",
		"MAIL FROM:<s@example.net>", "250", "RCPT TO:<a@virt.example>", "250", "DATA", "354")
	c.send(crlf("Subject: x\n\nhello\n"))
	if got := c.reply(); !strings.HasPrefix(got, "250 2.0.0") {
		t.Error(got)
	}
	c.expect("QUIT", "221")
	w.conns.Wait()
	m := w.store.messages[0]
	if m.env.Client.Protocol != "ESMTPS" {
		t.Errorf("protocol %s", m.env.Client.Protocol)
	}
	const want = "Received: from client.example.net (unknown [127.0.0.2])\r\n" +
		"\t(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)\r\n" +
		"\t key-exchange X25519MLKEM768)\r\n" +
		"\t(No client certificate requested)\r\n" +
		"\tby mx.example.com (Postfix) with ESMTPS id "
	if got := string(m.env.Prepend); !strings.HasPrefix(got, want) {
		t.Errorf("got %q", got)
	}
	if log := strings.Join(w.log.all(), "\n"); !strings.Contains(log, "Anonymous") || !strings.Contains(log, "starttls=1/3") {
		t.Errorf("log:\n%s", log)
	}
}

// What comes in the clear behind STARTTLS is an attack: it must not be read as if it had
// come over TLS.
func TestSTARTTLSInjection(t *testing.T) {
	w := secured(t, nil)
	w.o.ForbidUnauthPipelining = false
	w.srv.Update(w.o)
	c := w.dial("127.0.0.2").greeting()
	c.expect("EHLO x.example.net", "250")
	c.send("STARTTLS\r\nRSET\r\nMAIL FROM:<evil@example.net>\r\n")
	for got := c.reply(); got != ""; got = c.reply() {
		if !strings.HasPrefix(got, "220 2.0.0") {
			t.Errorf("got %q", got)
		}
	}
}

func TestSTARTTLSNotOffered(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no TLS":    func(o *Options) { o.TLS = nil },
		"discarded": func(o *Options) { o.DiscardEhloKeywords = []string{"starttls"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := secured(t, nil)
			change(&w.o)
			w.srv.Update(w.o)
			c := w.dial("127.0.0.2").greeting()
			if got := c.do("EHLO x.example.net"); strings.Contains(got, "STARTTLS") {
				t.Error(got)
			}
			c.expect("STARTTLS", "502 5.5.1 Error: command not implemented", "QUIT", "221")
		})
	}
}

// A handshake that fails is the end of the connection, not a return to plain text.
func TestSTARTTLSFails(t *testing.T) {
	w := secured(t, nil)
	c := w.dial("127.0.0.2").greeting()
	c.expect("EHLO x.example.net", "250", "STARTTLS", "220")
	c.send("MAIL FROM:<s@example.net>\r\n")
	rest, _ := io.ReadAll(c.r)
	if strings.Contains(string(rest), "250") {
		t.Errorf("got %q", rest)
	}
	c.hangUp()
	w.conns.Wait()
	if log := strings.Join(w.log.all(), "\n"); !strings.Contains(log, "SSL_accept error from unknown[127.0.0.2]") {
		t.Errorf("log:\n%s", log)
	}
}

func TestTLSRequired(t *testing.T) {
	w := secured(t, func(o *TLS) { o.Required = true })
	c := w.dial("127.0.0.2").greeting()
	const must = "530 5.7.0 Must issue a STARTTLS command first"
	c.expect("EHLO x.example.net", "250", "NOOP", "250", "MAIL FROM:<s@example.net>", must, "VRFY a@virt.example", must,
		"RSET", must, "STARTTLS", "220")
	if !c.handshake(&tls.Config{}) {
		t.Fatal("no handshake")
	}
	c.expect("EHLO x.example.net", "250", "MAIL FROM:<s@example.net>", "250", "QUIT", "221")
}

func TestTLSWrapper(t *testing.T) {
	w := secured(t, func(o *TLS) { o.Wrapper, o.Required = true, true })
	c := w.dial("127.0.0.2")
	if !c.handshake(&tls.Config{}) {
		t.Fatal("no handshake")
	}
	c.greeting().expect("MAIL FROM:<s@example.net>", "250", "EHLO x.example.net", strings.Replace(keywordsTLS, "250-STARTTLS\n", "", 1), "QUIT", "221")
}

func TestClientCertificates(t *testing.T) {
	mine, pool := certificate(t, "client.example.net")
	other, _ := certificate(t, "stranger.example.net")
	for name, c := range map[string]struct {
		cert    []tls.Certificate
		require bool
		want    string // the reply to EHLO
		log     string
	}{
		"none":                 {nil, false, "250", "Anonymous"},
		"trusted":              {[]tls.Certificate{mine}, false, "250", "Trusted"},
		"not trusted":          {[]tls.Certificate{other}, false, "250", "Untrusted"},
		"required":             {[]tls.Certificate{mine}, true, "250", "Trusted"},
		"required, none":       {nil, true, "421 4.7.1 mx.example.com Error: No client certificate presented", "abort: TLS from unknown[127.0.0.2]: No client certificate presented"},
		"required, a stranger": {[]tls.Certificate{other}, true, "421 4.7.1 mx.example.com Error: Client certificate not trusted", "Client certificate not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := secured(t, func(o *TLS) {
				o.Required, o.RequireCert = c.require, c.require
				o.Config.ClientAuth, o.Config.ClientCAs = tls.RequestClientCert, pool
			})
			conn := w.dial("127.0.0.2").greeting()
			conn.expect("EHLO x.example.net", "250", "STARTTLS", "220")
			if !conn.handshake(&tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.cert == nil {
					return new(tls.Certificate), nil
				}
				return &c.cert[0], nil
			}}) {
				t.Fatal("no handshake")
			}
			if got := conn.do("EHLO x.example.net"); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			conn.hangUp()
			w.conns.Wait()
			if log := strings.Join(w.log.all(), "\n"); !strings.Contains(log, c.log) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// New sessions are counted, resumed ones are not.
func TestTLSSessionRate(t *testing.T) {
	w := secured(t, func(o *TLS) { o.SessionRate = 2 })
	for i, want := range []string{"220", "220", "220", "454 4.7.0 Error: too many new TLS sessions from unknown[127.0.0.2]"} {
		c := w.dial("127.0.0.2").greeting()
		c.expect("EHLO x.example.net", "250", "STARTTLS", want)
		if want == "220" {
			if !c.handshake(&tls.Config{}) {
				t.Errorf("connection %d: no handshake", i)
			}
			// The handshake is counted when the server speaks again.
			if i < 2 {
				c.expect("EHLO x.example.net", "250")
			} else if got := c.reply(); !strings.HasPrefix(got, "421 4.7.0 mx.example.com Error: too many new TLS sessions") {
				t.Errorf("connection %d: got %q", i, got)
			}
		}
		c.hangUp()
	}
}
