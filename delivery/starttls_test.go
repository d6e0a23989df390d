package delivery

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// selfSigned makes a certificate for a name, and the pool that trusts it.
func selfSigned(t *testing.T, name string) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestSTARTTLS(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	_, otherPool := selfSigned(t, "other.example")
	const line = " TLS connection TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits) key-exchange X25519MLKEM768 server-signature ECDSA (P-256)"
	for _, c := range []struct {
		name    string
		cert    *tls.Certificate
		answers map[string]string
		o       Options
		want    string
		overTLS bool
		conns   int
		log     string // trust that is logged
	}{
		{"may, offered", cert, nil, Options{TLSLevel: "may"}, "sent 2.0.0", true, 1, "Untrusted"},
		{"may, trusted", cert, nil, Options{TLSLevel: "may", RootCAs: pool}, "sent 2.0.0", true, 1, "Trusted"},
		{"may, of another authority", cert, nil, Options{TLSLevel: "may", RootCAs: otherPool}, "sent 2.0.0", true, 1, "Untrusted"},
		{"may, not offered", nil, nil, Options{TLSLevel: "may"}, "sent 2.0.0", false, 1, ""},
		{"none, offered", cert, nil, Options{TLSLevel: "none"}, "sent 2.0.0", false, 1, ""},
		{"encrypt, offered", cert, nil, Options{TLSLevel: "encrypt"}, "sent 2.0.0", true, 1, "Untrusted"},
		{"encrypt, not offered", nil, nil, Options{TLSLevel: "encrypt"}, "deferred 4.7.4 " + sinkRelay + " (TLS is required, but was not offered by host 192.0.2.1[192.0.2.1])", false, 1, ""},
		{"may, refused", cert, map[string]string{"STARTTLS": "454 4.7.0 no TLS today"}, Options{TLSLevel: "may"}, "sent 2.0.0", false, 1, ""},
		{"encrypt, refused", cert, map[string]string{"STARTTLS": "454 4.7.0 no TLS today"}, Options{TLSLevel: "encrypt"}, "deferred 4.7.0 " + sinkRelay + " (TLS is required, but host 192.0.2.1[192.0.2.1] refused to start TLS: 454 4.7.0 no TLS today)", false, 1, ""},
		{"may, broken: plain text at once", cert, map[string]string{"STARTTLS": "220 go\nthis is no TLS"}, Options{TLSLevel: "may"}, "sent 2.0.0", false, 2, ""},
		{"may, broken: plain text not yet", cert, map[string]string{"STARTTLS": "220 go\nthis is no TLS"}, Options{TLSLevel: "may", MinimalBackoff: time.Minute}, "deferred 4.7.5 " + sinkRelay + " (Cannot start TLS: handshake failure)", false, 1, ""},
		{"may, hangs up: plain text at once", cert, map[string]string{"STARTTLS": "220 go| close"}, Options{TLSLevel: "may"}, "sent 2.0.0", false, 2, ""},
		{"encrypt, broken", cert, map[string]string{"STARTTLS": "220 go| close"}, Options{TLSLevel: "encrypt"}, "deferred 4.7.5 " + sinkRelay + " (Cannot start TLS: handshake failure)", false, 1, ""},
		{"lost at STARTTLS", cert, map[string]string{"STARTTLS": "close"}, Options{TLSLevel: "encrypt"}, "deferred 4.4.2 " + sinkRelay + " (lost connection with 192.0.2.1[192.0.2.1] while receiving the STARTTLS response)", false, 1, ""},
		{"a level that nobody can keep", cert, nil, Options{TLSLevel: "secure"}, "deferred 4.7.5 none (client TLS configuration problem: security level \"secure\" needs a policy that verifies)", false, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: []string{"PIPELINING"}, cert: c.cert, on: script(c.answers)}
			o := c.o
			o.TLSLogLevel = 1
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, o)
			s.net.tcp = true
			src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
			if got := fates(src.results[0]); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if m := p.got(); len(m) > 0 && m[0].tls != c.overTLS {
				t.Errorf("over TLS: %v, want %v", m[0].tls, c.overTLS)
			}
			if p.count() != c.conns {
				t.Errorf("%d connections, want %d", p.count(), c.conns)
			}
			wantLog := ""
			if c.log != "" {
				wantLog = mail.EventTLS + " tls_level=" + c.log + " relay=" + sinkRelay + " tls=" + strings.TrimPrefix(line, " TLS connection ")
			}
			if has := strings.Contains(s.log.String(), mail.EventTLS+" tls_level"); has != (wantLog != "") || !strings.Contains(s.log.String(), wantLog) {
				t.Errorf("log\n%s\nwant %q", s.log, wantLog)
			}
		})
	}
}

// EHLO is said again inside, and what was offered in the clear does not count.
func TestExtensionsAreForgottenAtSTARTTLS(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	ehlos := 0
	p := &peer{cert: cert, on: func(_ int, cmd string) string {
		if cmd != "EHLO mx.example.com" {
			return ""
		}
		if ehlos++; ehlos == 1 {
			return "250-sink\n250-SIZE 1\n250-DSN\n250 STARTTLS"
		}
		return "250-sink\n250 SIZE 5000"
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "may"})
	s.net.tcp = true
	src := s.send("smtp:[192.0.2.1]", letter("r@dest.example"))
	if got := fates(src.results[0]); !strings.HasPrefix(got, "sent") {
		t.Fatal(got)
	}
	if m := p.got()[0]; !m.tls || m.to[0] != "<r@dest.example>" || !strings.Contains(m.from, "SIZE=") {
		t.Errorf("got %+v", m)
	}
}

// Replies that came in the clear together with that to STARTTLS are injection: they are not
// taken for replies to what is said inside, and no reason to do without TLS.
func TestRepliesInjectedBeforeTLS(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	p := &peer{cert: cert, on: func(conn int, cmd string) string {
		if cmd == "STARTTLS" && conn == 1 {
			return "220 go\n250-evil\n250 SMTPUTF8"
		}
		return ""
	}}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "encrypt"})
	s.net.tcp = true
	if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, "sent 2.0.0") {
		t.Error(got)
	}
	if m := p.got(); len(m) != 1 || !m[0].tls || strings.Contains(m[0].from, "SMTPUTF8") {
		t.Errorf("came: %+v", m)
	}
}

// A connection that breaks inside TLS: optional TLS is left aside at the next try.
func TestLostInsideTLS(t *testing.T) {
	cert, _ := selfSigned(t, "mx.dest.example")
	for _, c := range []struct {
		at   string
		want string
	}{
		{"MAIL", "sent 2.0.0"},
		{".", "deferred 4.4.2"}, // it may have been delivered
	} {
		p := &peer{cert: cert, on: func(conn int, cmd string) string {
			if conn == 1 && strings.HasPrefix(cmd, c.at) {
				return "close"
			}
			return ""
		}}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "may"})
		s.net.tcp = true
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); !strings.HasPrefix(got, c.want) {
			t.Errorf("lost at %s: got %s, want %s", c.at, got, c.want)
		}
	}
}

func TestHandshakeStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{keywords: []string{"STARTTLS"}, on: script(map[string]string{"STARTTLS": "220 go| stall"})}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{TLSLevel: "encrypt", Timeouts: Timeouts{StartTLS: time.Minute}})
		began := time.Now()
		got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0])
		if !strings.HasPrefix(got, "deferred 4.7.5") || time.Since(began) != time.Minute {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
	})
}

// policy is a TLSPolicy.
type policy struct {
	choice mail.TLSChoice
	err    error
	asked  []mail.TLSPeer
}

func (p *policy) TLS(_ context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	p.asked = append(p.asked, peer)
	return p.choice, p.err
}

// wants is a choice that asks for a certificate with a name.
func wants(pool *x509.CertPool, name string) mail.TLSChoice {
	return mail.TLSChoice{Level: mail.TLSSecure, Verify: verifyName(pool, name)}
}

func TestTLSPolicy(t *testing.T) {
	cert, pool := selfSigned(t, "mx.dest.example")
	for _, c := range []struct {
		name string
		p    policy
		want string
		log  string
	}{
		{"verified", policy{choice: wants(pool, "mx.dest.example")}, "sent 2.0.0", "tls_level=Verified"},
		{"not verified", policy{choice: wants(pool, "other.example")}, "deferred 4.7.5 mx.dest.example[192.0.2.1]:25 (Server certificate not verified)", "tls_level=Untrusted"},
		{"half-dane", policy{choice: mail.TLSChoice{Level: mail.TLSHalfDANE, Verify: verifyName(pool, "mx.dest.example")}}, "sent 2.0.0", "tls_level=Trusted"},
		{"on trial", policy{choice: mail.TLSChoice{Level: mail.TLSMay, Testing: true, Verify: verifyName(pool, "other.example")}}, "sent 2.0.0", "tls_level=Trusted"},
		{"whose", policy{choice: mail.TLSChoice{Level: mail.TLSSecure, Verify: func(*tls.ConnectionState) mail.TLSVerdict {
			return mail.TLSVerdict{Whose: "CA", Reason: "certificate has expired"}
		}}}, "deferred 4.7.5 mx.dest.example[192.0.2.1]:25 (Server certificate not verified)",
			"CA certificate verification failed for mx.dest.example[192.0.2.1]:25: certificate has expired"},
		{"nobody's", policy{choice: mail.TLSChoice{Level: mail.TLSSecure, Verify: func(*tls.ConnectionState) mail.TLSVerdict {
			return mail.TLSVerdict{Reason: "self-signed certificate"}
		}}}, "deferred 4.7.5 mx.dest.example[192.0.2.1]:25 (Server certificate not verified)",
			"certificate verification failed for mx.dest.example[192.0.2.1]:25: self-signed certificate"},
		{"none", policy{choice: mail.TLSChoice{Level: mail.TLSNone}}, "sent 2.0.0", ""},
		{"no answer", policy{err: errors.New("policy server is away")}, "deferred 4.7.5 none (policy server is away)", "TLS policy lookup for dest.example/mx.dest.example: policy server is away"},
		{"refused by policy", policy{err: &mail.Status{Enhanced: mail.Code(5, 7, 5), Text: "host is not in the policy"}}, "bounced 5.7.5 none (host is not in the policy)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{cert: cert}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{
				TLSLevel: "may", TLSLogLevel: 1, TLSPolicy: &c.p, MinimalBackoff: time.Hour, DNSEnabled: true,
				Resolver: fakeDNS{mx: map[string]string{"dest.example": "10 mx.dest.example"}, addrs: map[string]string{"mx.dest.example": "192.0.2.1"}},
			})
			s.net.tcp = true
			got := fates(s.send("smtp:dest.example", letter("r@dest.example")).results[0])
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if !strings.Contains(s.log.String(), c.log) {
				t.Errorf("log\n%s\nwant %s", s.log, c.log)
			}
			if len(c.p.asked) != 1 || c.p.asked[0] != (mail.TLSPeer{NextHop: "dest.example", Domain: "dest.example", Host: "mx.dest.example", Port: 25, ByMX: true}) {
				t.Errorf("asked %v", c.p.asked)
			}
		})
	}
}

func TestServerName(t *testing.T) {
	for param, want := range map[string]string{"": "", "hostname": "mx.example", "nexthop": "dest.example", "other.example": "other.example"} {
		s, h := newSettings(Options{TLSServerName: param}), &host{name: "mx.example"}
		if got := s.serverName(h, "dest.example"); got != want {
			t.Errorf("smtp_tls_servername = %q: got %q, want %q", param, got, want)
		}
	}
	if got := (&session{}).trust(&tls.ConnectionState{}, &mail.TLSChoice{}, mail.TLSVerdict{Matched: true}); got != "Anonymous" {
		t.Errorf("without a certificate: %s", got)
	}
}
