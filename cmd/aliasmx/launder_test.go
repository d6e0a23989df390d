package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dkim"
	"aliasmx/internal/mailauth/spf"
)

// laundry is a relay of a configuration made by chance, and mail made by chance, for the rule
// of docs/laundering.md: verdict, rewriter and signers together.
type laundry struct {
	t    *testing.T
	rnd  *mathrand.Rand
	zone *dnstest.Zone
	keys map[string]dkim.Key
	file map[string]string
}

const laundryOwn, laundryClient, laundryTheirs = "192.0.2.200", "192.0.2.1", "192.0.2.5"

// All may send from their own address, and many let us: those of ours, and customers.
var laundryDomains = []string{"hosted.example", "sub.hosted.example", "mail.corp.example", "corp.example", "srs.corp.example", "srs.example", "mx.own.example",
	"own.example", "included.example", "evil.example", "other.example"}

func newLaundry(t *testing.T, rnd *mathrand.Rand) *laundry {
	l := &laundry{t: t, rnd: rnd, zone: dnstest.New(t, ""), keys: map[string]dkim.Key{}, file: map[string]string{}}
	dir := t.TempDir()
	for _, domain := range laundryDomains {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		l.file[domain] = filepath.Join(dir, domain)
		if err := os.WriteFile(l.file[domain], pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		l.keys[domain] = dkim.Key{Domain: domain, Selector: "s", Private: private}
		record, err := dkim.Record(private.Public(), "")
		if err != nil {
			t.Fatal(err)
		}
		l.zone.AddTXT("s._domainkey."+domain, record)
		theirs := laundryTheirs
		if domain == "evil.example" {
			theirs = laundryClient
		}
		l.zone.AddTXT(domain, "v=spf1 ip4:"+theirs+l.pick(" ip4:"+laundryOwn, " ip4:"+laundryOwn, "")+l.pick(" -all", " ~all", ""))
		l.zone.AddTXT("_dmarc."+domain, "v=DMARC1; p="+l.pick("none", "none", "reject", "none; adkim=s; aspf=s", "none; psd=n"))
	}
	return l
}

func (l *laundry) pick(list ...string) string { return list[l.rnd.IntN(len(list))] }

// config is one made by chance.
func (l *laundry) config() string {
	secrets := filepath.Join(l.t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte("a secret of the tests\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	srs := l.pick("srs.example", "srs.corp.example", "hosted.example", "sub.hosted.example", "corp.example")
	keys := []string{fmt.Sprintf("{%s = s %s}", srs, l.file[srs])}
	for _, domain := range laundryDomains {
		if domain != srs && l.rnd.IntN(2) == 0 {
			keys = append(keys, fmt.Sprintf("{%s = s %s}", domain, l.file[domain]))
			if domain == "corp.example" || domain == "hosted.example" {
				keys = append(keys, fmt.Sprintf("{.%s = s %s}", domain, l.file[domain]))
			}
		}
	}
	return "dns_servers = 127.0.0.1:9\nvirtual_alias_domains = hosted.example mail.corp.example\nvirtual_alias_maps = inline:{info@hosted.example=target@dest.example}\n" +
		"srs_domain = " + srs + "\nsrs_secrets_file = " + secrets + "\nsrs_domain_allow_aligned = yes\n" +
		"dkim_keys = inline:{ " + strings.Join(keys, ", ") + " }\ndkim_sign_forwarded = " + l.pick("yes", "no") + "\n" +
		"srs_exclude = " + l.pick("", "included.example", "included.example evil.example other.example") + "\n" +
		"hosted_author_action = " + l.pick("reject", "tag", "ignore", "hold") + "\nhosted_author_temperror_action = " + l.pick("defer", "tag") + "\n" +
		"dmarc_reject_action = " + l.pick("reject", "tag") + "\ndmarc_no_author_action = " + l.pick("reject", "tag") + "\n" +
		"spf_verify = " + l.pick("yes", "yes", "no") + "\ndkim_verify = " + l.pick("yes", "yes", "no") + "\n"
}

// message is one made by chance, and the domains of all From fields in it.
func (l *laundry) message() (message []byte, authors []string) {
	authors = []string{l.pick(laundryDomains...)}
	header := "From: " + l.pick("", "Boss ") + "<x@" + l.pick(authors[0], authors[0], strings.ToUpper(authors[0]), authors[0]+".") + ">\r\n"
	if l.rnd.IntN(10) == 0 {
		second := l.pick(laundryDomains...)
		authors = append(authors, second)
		header += l.pick("From: <y@", "from : <y@", "X: a\r\n\r\r\nFrom: <y@") + second + ">\r\n"
	}
	message = []byte(header + "To: <info@hosted.example>\r\nSubject: s\r\n\r\nbody\r\n")
	for range l.rnd.IntN(3) {
		fields, err := dkim.Make(bytes.NewReader(message), []dkim.Key{l.keys[l.pick(append(laundryDomains, authors...)...)]}, dkim.Fields{}, time.Now(), 0)
		if err != nil {
			l.t.Fatal(err)
		}
		message = append(fields, message...)
	}
	if l.rnd.IntN(6) == 0 { // then it is another
		message = bytes.Replace(message, []byte("body"), []byte("text"), 1)
	}
	return message, authors
}

// passes are the organisations that SPF or DKIM passes for; all here have two labels.
func (l *laundry) passes(ip, helo string, from mail.Address, message []byte) (orgs []string) {
	org := func(domain string) string {
		labels := strings.Split(domain, ".")
		return strings.Join(labels[max(len(labels)-2, 0):], ".")
	}
	names := l.zone.Resolver()
	if r := spf.Check(l.t.Context(), names, spf.Request{IP: netip.MustParseAddr(ip), Helo: helo, Sender: from}); r.Result == mail.AuthPass {
		if from.IsNull() {
			from.Domain = helo
		}
		orgs = append(orgs, org(from.Domain))
	}
	list, err := dkim.Verify(l.t.Context(), bytes.NewReader(message), dkim.VerifyOptions{Resolver: names, Max: 20})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range list {
		if s.Result == mail.AuthPass {
			orgs = append(orgs, org(s.Domain))
		}
	}
	return orgs
}

// The rule, as a property.
func TestNoLaundering(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	rnd := mathrand.New(mathrand.NewPCG(seed, 1))
	refused, kept, proven, signed := 0, 0, 0, 0
	for range 25 {
		l := newLaundry(t, rnd)
		text := l.config()
		v := checkedView(t, text)
		verifier, err := v.verifier(&tables{cfg: v.cfg, opts: v.tables.opts}, l.zone.Resolver(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for range 80 {
			message, authors := l.message()
			r := mail.AuthRequest{Client: mail.Client{Name: "unknown", Addr: netip.MustParseAddr(l.pick(laundryClient, laundryTheirs)), Helo: l.pick("evil.example", "mx.own.example", "hosted.example")}}
			if rnd.IntN(4) > 0 {
				r.Sender = mail.Address{Local: "x", Domain: l.pick(append(laundryDomains, authors[0], authors[0], "evil.example")...)}
			}
			tx := verifier.Begin(t.Context(), r)
			verdict := tx.Message(t.Context(), mail.AuthMessage{Body: memoryBody(message)})
			tx.Close()
			if verdict.Refused != nil {
				refused++
				continue
			}
			env := &mail.Envelope{Sender: r.Sender, Auth: verdict.Auth, Prepend: verdict.Prepend,
				Rcpts: []mail.Recipient{{Final: mail.SplitAddress("target@dest.example"), Orig: mail.SplitAddress("info@hosted.example")}}}
			leaves, err := v.srs.RewriteSender(t.Context(), env, 0)
			if err != nil {
				t.Fatal(err)
			}
			fields, err := v.delivery.Signer.Sign(t.Context(), mail.Outgoing{Env: env, Sender: leaves, Rcpts: []int{0}, Prepend: env.Prepend, Body: memoryBody(message)})
			if err != nil {
				t.Fatal(err)
			}
			before := l.passes(r.Client.Addr.String(), r.Client.Helo, r.Sender, message)
			leaving := slices.Concat(fields, env.Prepend, message)
			after := l.passes(laundryOwn, "mx.own.example", leaves, leaving)
			if leaves == r.Sender && !leaves.IsNull() {
				kept++
			}
			if len(fields) > 0 {
				signed++
			}
			for _, author := range authors {
				labels := strings.Split(author, ".")
				org := strings.Join(labels[len(labels)-2:], ".")
				switch {
				case !slices.Contains(after, org):
				case slices.Contains(before, org):
					proven++
				default:
					t.Fatalf("laundered: %s: came from <%s> by %s (HELO %s), passing %q; leaves from <%s>, passing %q\n%s\n%s\n%s", author, r.Sender, r.Client.Addr, r.Client.Helo, before, leaves, after, verdict.Reason, text, leaving)
				}
			}
		}
	}
	t.Logf("%d refused, %d with their sender, %d proven, %d signed", refused, kept, proven, signed)
	if refused < 50 || kept < 50 || proven < 50 || signed < 50 {
		t.Error("the test says little")
	}
}
