package integration

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/miekg/dns"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/arc"
)

// The letters of the benchmark of authentication, as go-msgauth signs them, and the names of
// those who have written them.

// letterKind is how letters are signed.
type letterKind int

const (
	letterUnsigned letterKind = iota
	letterRSA                 // with 2048 bits
	letterEd                  // Ed25519
	letterSealed              // RSA, and one ARC set above
	letterKinds
)

// benchPost is a letter and its way.
type benchPost struct {
	helo     string
	envelope []byte // MAIL, RCPT, DATA
	content  []byte // with the final dot
}

// newLetters makes a letter of 4 KiB for each domain, of each kind. One pair of keys is
// published for all domains: whose it is makes no difference to what it costs.
func newLetters(b *testing.B) (*benchNames, [letterKinds][]benchPost) {
	names := newBenchNames(b)
	var letters [letterKinds][]benchPost
	for i := range authDomains {
		domain := fmt.Sprintf("d%d.example", i)
		text := fmt.Sprintf("From: The News <news@%[1]s>\r\nTo: info@alias.example\r\nSubject: what has happened\r\n"+
			"Date: Mon, 30 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@%[1]s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
			domain) + strings.Repeat(strings.Repeat("x", 30)+" "+strings.Repeat("y", 31)+"\r\n", benchSize/64)
		signed := signedBy(b, domain, "rsa", names.rsa, text)
		for kind, text := range [letterKinds]string{text, signed, signedBy(b, domain, "ed", names.ed, text), sealedBy(b, domain, names.rsa, signed)} {
			letters[kind] = append(letters[kind], benchPost{
				helo:     "mx." + domain,
				envelope: []byte("MAIL FROM:<bounces@" + domain + ">\r\nRCPT TO:<info@alias.example>\r\nDATA\r\n"),
				content:  []byte(text + ".\r\n"),
			})
		}
	}
	return names, letters
}

func signedBy(b *testing.B, domain, selector string, key crypto.Signer, text string) string {
	var out bytes.Buffer
	err := msgauth.Sign(&out, strings.NewReader(text), &msgauth.SignOptions{
		Domain: domain, Selector: selector, Signer: key,
		HeaderCanonicalization: msgauth.CanonicalizationRelaxed, BodyCanonicalization: msgauth.CanonicalizationRelaxed,
	})
	if err != nil {
		b.Fatal(err)
	}
	return out.String()
}

func sealedBy(b *testing.B, domain string, key crypto.Signer, text string) string {
	s, err := arc.NewSealer(arc.SealerOptions{Domain: domain, Selector: "rsa", Key: key, AuthservID: domain})
	if err != nil {
		b.Fatal(err)
	}
	seal, err := s.Seal(b.Context(), strings.NewReader(text), "spf=pass", mail.AuthNone)
	if err != nil {
		b.Fatal(err)
	}
	return string(seal.Fields) + text
}

// benchNames is a name server that answers and counts. What it says holds for a day.
type benchNames struct {
	addr    string
	rsa     *rsa.PrivateKey
	ed      ed25519.PrivateKey
	asked   atomic.Int64
	records map[string][]dns.RR // nil: the name is there because of those below it
	soa     dns.RR
}

func newBenchNames(b *testing.B) *benchNames {
	s := &benchNames{records: map[string][]dns.RR{}}
	var err error
	if s.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
		_, s.ed, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		b.Fatal(err)
	}
	zone := "$TTL 86400\n"
	for i := range authDomains {
		domain := fmt.Sprintf("d%d.example.", i)
		zone += strings.ReplaceAll(`
@ TXT "v=spf1 ip4:192.0.2.0/24 include:_spf.@ -all"
_spf.@ TXT "v=spf1 ip4:127.0.0.0/24 -all"
mx.@ TXT "v=spf1 a -all"
mx.@ A 127.0.0.1
_dmarc.@ TXT "v=DMARC1; p=reject; rua=mailto:dmarc"
`, "@", domain)
		for selector, key := range map[string]crypto.Signer{"rsa": s.rsa, "ed": s.ed} {
			text := publicRecord(b, key)
			split := min(len(text), 250)
			zone += fmt.Sprintf("%s._domainkey.%s TXT %q %q\n", selector, domain, text[:split], text[split:])
		}
	}
	parser := dns.NewZoneParser(strings.NewReader(zone), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := rr.Header().Name
		s.records[name] = append(s.records[name], rr)
		for i, end := dns.NextLabel(name, 0); !end; i, end = dns.NextLabel(name, i) {
			if _, is := s.records[name[i:]]; !is {
				s.records[name[i:]] = nil
			}
		}
	}
	if s.soa, err = dns.NewRR("example. 86400 SOA ns.example. root.example. 1 3600 600 86400 86400"); err == nil {
		err = parser.Err()
	}
	var conn net.PacketConn
	if err == nil {
		conn, err = net.ListenPacket("udp", "127.0.0.1:0")
	}
	if err != nil {
		b.Fatal(err)
	}
	s.addr = conn.LocalAddr().String()
	server := &dns.Server{PacketConn: conn, Handler: s}
	served := make(chan error, 1)
	go func() { served <- server.ActivateAndServe() }()
	b.Cleanup(func() {
		conn.Close()
		<-served
	})
	return s
}

// ServeDNS answers one question.
func (s *benchNames) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.asked.Add(1)
	reply := new(dns.Msg).SetReply(q)
	records, exists := s.records[strings.ToLower(q.Question[0].Name)]
	for _, rr := range records {
		if rr.Header().Rrtype == q.Question[0].Qtype {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{s.soa}
	}
	w.WriteMsg(reply)
}
