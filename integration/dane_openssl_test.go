package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aliasmx/integration/peers"
	"aliasmx/internal/dane"
	ourdns "aliasmx/internal/dns"
	"aliasmx/internal/mail"

	"github.com/miekg/dns"
)

// TestDANEAsOpenSSL asks OpenSSL, which judges for Postfix, what it makes of a server and a
// record, and wants the same verdict of ours: for every server each kind of record, for each
// certificate of its chain and for others.
func TestDANEAsOpenSSL(t *testing.T) {
	t.Parallel()
	now := time.Now()
	issue := func(by *peers.Cert, name string, change func(*x509.Certificate)) *peers.Cert {
		c, err := peers.Issue(by, name, change)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	expired := func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }
	root, late := issue(nil, "root", nil), issue(nil, "late", expired)
	inter, lateInter := issue(root, "inter", nil), issue(root, "lateinter", expired)
	noCA := issue(root, "noca", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
	server := func(by *peers.Cert, change func(*x509.Certificate)) *peers.Cert {
		return issue(by, daneHost, change)
	}
	leaf, self := server(inter, nil), server(nil, nil)
	chain := func(c ...*peers.Cert) []*peers.Cert { return c }
	for _, s := range []struct {
		name         string
		chain, other []*peers.Cert
	}{
		{"whole chain", chain(leaf, inter, root), chain(server(inter, nil))},
		{"no root", chain(leaf, inter), chain(root)},
		{"no chain", chain(leaf), chain(root, inter)},
		{"signed by itself", chain(self), chain(root)},
		{"sent twice", chain(self, self), nil},
		{"expired", chain(server(inter, expired), inter, root), nil},
		{"not yet", chain(server(inter, early), inter, root), nil},
		{"expired root", chain(server(late, nil), late), nil},
		{"expired root, not sent", chain(server(late, nil)), chain(late)},
		{"expired intermediate", chain(server(lateInter, nil), lateInter, root), nil},
		{"expired intermediate, not sent", chain(server(lateInter, nil)), chain(lateInter)},
		{"signed by no authority", chain(server(noCA, nil), noCA, root), nil},
		{"other name", chain(issue(inter, "mx.other.example", nil), inter, root), nil},
		{"any host", chain(issue(inter, "*.dest.example", nil), inter, root), nil},
		{"common name", chain(server(inter, func(c *x509.Certificate) { c.DNSNames = nil }), inter, root), nil},
		{"common name beside another", chain(server(inter, func(c *x509.Certificate) { c.DNSNames = []string{"mx.other.example"} }), inter, root), nil},
		{"for clients", chain(server(inter, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), inter, root), nil},
	} {
		addr := showChain(t, peers.ShowChain(s.chain...))
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		conn.Close()
		for _, c := range append(s.chain, s.other...) {
			for kind := range 8 {
				usage, selector, match := uint8(2+kind/4), uint8(kind/2%2), uint8(kind%2)
				data, err := dns.CertificateToDANE(selector, match, c.Certificate)
				if err != nil {
					t.Fatal(err)
				}
				ours := oneRecord{Usage: usage, Selector: selector, MatchingType: match, Certificate: data}.judge(t, &state)
				rdata := fmt.Sprintf("%d %d %d %s", usage, selector, match, data)
				if ok, why := openSSLJudges(t, addr, rdata); ok != ours.Matched {
					t.Errorf("%s, %d %d %d of %s: OpenSSL says %t (%s), we %+v", s.name, usage, selector, match, c.Subject.CommonName, ok, why, ours)
				}
			}
		}
	}
}

const daneHost = "mx.dest.example"

// oneRecord is a name system with a host and one record of it.
type oneRecord dns.TLSA

func (r oneRecord) judge(t *testing.T, state *tls.ConnectionState) mail.TLSVerdict {
	t.Helper()
	choice, err := dane.New(dane.Options{Names: r}).TLS(context.Background(), mail.TLSPeer{Domain: daneHost, Host: daneHost, Port: 25})
	if err != nil || choice.Verify == nil {
		t.Fatalf("%+v: %+v, %v", r, choice, err)
	}
	return choice.Verify(state)
}

func (r oneRecord) Query(_ context.Context, name string, qtype uint16) (ourdns.Answer, error) {
	a := ourdns.Answer{Name: name, Secure: true}
	switch qtype {
	case dns.TypeA:
		a.RRs = []dns.RR{&dns.A{}}
	case dns.TypeTLSA:
		rr := dns.TLSA(r)
		a.RRs = []dns.RR{&rr}
	default:
		return a, &ourdns.Error{Name: name, Type: dns.TypeToString[qtype], Kind: ourdns.NoData}
	}
	return a, nil
}

// showChain is a TLS server that does nothing but show who it is.
func showChain(t *testing.T, cfg *tls.Config) string {
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the client, or at the deadline
				defer c.Close()
				c.SetDeadline(time.Now().Add(limit))
				c.(*tls.Conn).Handshake()
				c.Read(make([]byte, 1))
			}()
		}
	}()
	return ln.Addr().String()
}

// openSSLJudges tells whether OpenSSL accepts a server by a record, and if not, why.
func openSSLJudges(t *testing.T, addr, rdata string) (ok bool, why string) {
	if _, err := hex.DecodeString(rdata[6:]); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "s_client", "-connect", addr, "-no-CAfile", "-no-CApath", "-no-CAstore",
		"-dane_ee_no_namechecks", "-dane_tlsa_domain", daneHost, "-dane_tlsa_rrdata", rdata)
	cmd.Stdin = bytes.NewReader(nil)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if rest, is := strings.CutPrefix(line, "verify error:"); is && why == "" {
			why = strings.TrimSpace(rest)
		}
	}
	if !bytes.Contains(out, []byte("Verify return code: ")) {
		t.Fatalf("openssl, which integration/test installs: %v\n%s", err, out)
	}
	return bytes.Contains(out, []byte("Verify return code: 0 (ok)")), why
}
