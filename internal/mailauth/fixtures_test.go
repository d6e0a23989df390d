package mailauth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/arc"
)

// The world of the tests: the author a.example, a stranger b.example, a domain of ours
// hosted.example, and clients: 192.0.2.1 is a.example's, 192.0.2.2 b.example's, 192.0.2.9
// nobody's.
const names = `
a.example. TXT "v=spf1 ip4:192.0.2.1 -all"
b.example. TXT "v=spf1 ip4:192.0.2.2 -all"
hosted.example. TXT "v=spf1 ip4:192.0.2.3 -all"
sub.hosted.example. A 192.0.2.80
mx.own.example. TXT "v=spf1 a -all"
`

type bodyOf string

func (b bodyOf) Size() int64                  { return int64(len(b)) }
func (b bodyOf) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(b))), nil }

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// world is a zone with a Verifier over it.
type world struct {
	t    testing.TB
	zone *dnstest.Zone
	key  ed25519.PrivateKey
	seal *rsa.PrivateKey
	o    Options
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, zone: dnstest.New(t, names)}
	var err error
	if _, w.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a.example", "b.example", "hosted.example"} {
		w.zone.AddTXT("s._domainkey."+d, w.keyRecord())
	}
	w.o = Options{
		MyHostname: "mx.own.example", AuthservID: "mx.own.example", SPF: true, DKIM: true, ARC: true, DMARC: true,
		MaxVerifications: 10, Timeout: 5 * time.Second, Now: func() time.Time { return time.Unix(1700000000, 0) },
		ResultsHeader: true, Policy: DefaultPolicy(), SenderDomain: "srs.example", HeloNames: []string{"mx.own.example"},
		Hosted: func(_ context.Context, domain string) (bool, error) {
			if domain == "broken.example" {
				return false, io.ErrUnexpectedEOF
			}
			return domain == "hosted.example", nil
		},
	}
	return w
}

// keyRecord is the record of the key that signs for all domains.
func (w *world) keyRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(w.key.Public().(ed25519.PublicKey))
}

// dmarc gives a domain a policy; "" none.
func (w *world) dmarc(domain, policy string) {
	w.zone.Remove("_dmarc." + domain)
	if policy != "" {
		w.zone.AddTXT("_dmarc."+domain, "v=DMARC1; p="+policy)
	}
}

func (w *world) verifier() *Verifier {
	o := w.o
	o.Resolver = w.zone.Resolver()
	return New(o)
}

// signed puts a DKIM signature of a domain on top of a message.
func (w *world) signed(domain, message string) string {
	header, body, _ := strings.Cut(message, "\r\n\r\n")
	sum := sha256.Sum256([]byte(strings.TrimRight(body, "\r\n") + "\r\n"))
	field := "DKIM-Signature: v=1; a=ed25519-sha256; c=simple/simple; d=" + domain + "; s=s; h=from; bh=" +
		base64.StdEncoding.EncodeToString(sum[:]) + "; b="
	h := sha256.New()
	for line := range strings.SplitSeq(header, "\r\n") {
		if strings.HasPrefix(line, "From:") {
			io.WriteString(h, line+"\r\n")
		}
	}
	io.WriteString(h, field)
	b, err := w.key.Sign(rand.Reader, h.Sum(nil), crypto.Hash(0))
	if err != nil {
		w.t.Fatal(err)
	}
	return field + base64.StdEncoding.EncodeToString(b) + "\r\n" + message
}

// sealed puts an ARC set on top of a message.
func (w *world) sealed(domain, message string) string {
	if w.seal == nil {
		var err error
		if w.seal, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			w.t.Fatal(err)
		}
	}
	w.zone.Remove("arc._domainkey." + domain)
	der, err := x509.MarshalPKIXPublicKey(w.seal.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	w.zone.AddTXT("arc._domainkey."+domain, "v=DKIM1; k=rsa; p="+base64.StdEncoding.EncodeToString(der))
	s, err := arc.NewSealer(arc.SealerOptions{Domain: domain, Selector: "arc", Key: w.seal, AuthservID: domain, Now: w.o.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	seal, err := s.Seal(context.Background(), strings.NewReader(message), "spf=pass", mail.AuthNone)
	if err != nil || seal.Fields == nil {
		w.t.Fatal(err, seal.Reason)
	}
	return string(seal.Fields) + message
}

func request(ip, helo, from string) mail.AuthRequest {
	return mail.AuthRequest{Client: mail.Client{Name: "unknown", Addr: netip.MustParseAddr(ip), Helo: helo}, Sender: mail.SplitAddress(from)}
}

// verdict judges one message.
func (w *world) verdict(r mail.AuthRequest, message string) mail.AuthVerdict {
	w.t.Helper()
	tx := w.verifier().Begin(context.Background(), r)
	defer tx.Close()
	return tx.Message(context.Background(), mail.AuthMessage{Body: bodyOf(message)})
}

// outcome is a verdict in a few words.
func outcome(v mail.AuthVerdict) string {
	switch {
	case v.Refused != nil:
		return fmt.Sprintf("%d %s", v.Refused.Code, v.Refused.Enhanced)
	case v.Hold:
		return "hold"
	}
	return "accept"
}

func letter(from string) string {
	return crlf("From: " + from + "\nTo: <x@hosted.example>\nSubject: s\n\nbody\n")
}

func unfolded(b []byte) string { return string(bytes.ReplaceAll(b, []byte("\r\n\t"), []byte(" "))) }
