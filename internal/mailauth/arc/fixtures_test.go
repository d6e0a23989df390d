package arc

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// letter is a message as it comes to the first sealer.
const letter = "Received: from a.example by mx.one.example; Tue, 14 Nov 2023 22:13:20 +0000\r\n" +
	"From: Ann <ann@author.example>\r\n" +
	"To: info@one.example\r\n" +
	"Subject: a  letter\r\n\twith a long subject\r\n" +
	"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n" +
	"\r\n" +
	"Hello  there.\r\n\r\n.dots\r\n \r\n\r\n"

const results = "spf=pass smtp.mailfrom=author.example; dmarc=pass header.from=author.example"

var at = time.Unix(1700000000, 0)

func clock() time.Time { return at }

// rsaKeyOnce is slow to make.
var rsaKeyOnce = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// edKey is a key that is always the same.
func edKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
}

// record is what is published of a key.
func record(t testing.TB, key crypto.Signer) string {
	t.Helper()
	if k, ok := key.Public().(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(k)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// world is a zone with sealers in it: rsa.example and ed.example.
type world struct {
	*dnstest.Zone
	rsa, ed *Sealer
}

func newWorld(t testing.TB) *world {
	w := &world{Zone: dnstest.New(t, "")}
	w.rsa = w.sealer(t, "rsa.example", rsaKeyOnce())
	w.ed = w.sealer(t, "ed.example", edKey())
	return w
}

func (w *world) sealer(t testing.TB, domain string, key crypto.Signer) *Sealer {
	t.Helper()
	w.AddTXT("sel._domainkey."+domain, record(t, key))
	s, err := NewSealer(SealerOptions{Domain: domain, Selector: "sel", Key: key, AuthservID: "mx." + domain, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) verify(t testing.TB, message string) Chain {
	t.Helper()
	c, err := Verify(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: w.Resolver(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealed adds a set to a message that is as status says.
func sealed(t testing.TB, s *Sealer, message string, status mail.AuthResult) string {
	t.Helper()
	seal, err := s.Seal(t.Context(), strings.NewReader(message), results, status)
	if err != nil || seal.Fields == nil {
		t.Fatalf("not sealed: %v, %s", err, seal.Reason)
	}
	return string(seal.Fields) + message
}

// chain is a letter with n sets, by both sealers in turns, each below a Received field.
func (w *world) chain(t testing.TB, n int) string {
	t.Helper()
	m, status := letter, mail.AuthNone
	for i := range n {
		s := w.rsa
		if i%2 == 1 {
			s = w.ed
		}
		m = sealed(t, s, "Received: from somewhere by mx; Tue, 14 Nov 2023 22:13:21 +0000\r\n"+m, status)
		status = mail.AuthPass
	}
	return m
}
