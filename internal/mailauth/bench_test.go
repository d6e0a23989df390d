package mailauth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dkim"
)

// BenchmarkVerifier judges a message of 4 KiB, from MAIL to the verdict. Names are in memory,
// and answered from the cache after the first message.
func BenchmarkVerifier(b *testing.B) {
	w := newWorld(b)
	w.zone.AddTXT("_dmarc.a.example", "v=DMARC1; p=reject")
	w.zone.AddTXT("mx.a.example", "v=spf1 ip4:192.0.2.1 -all")
	w.zone.AddTXT("_dmarc.example", "of no meaning") // the zone has no SOA, so that what is not there would be asked for again
	plain := "Received: from x by mx.a.example; Tue, 14 Nov 2023 22:13:20 +0000\r\n" +
		strings.TrimSuffix(letter("News <news@a.example>"), "body\r\n") + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64)
	sealed := w.sealed("b.example", plain) // makes the RSA key, too
	rsa := dkim.Key{Domain: "a.example", Selector: "rsa", Private: w.seal}
	der, err := x509.MarshalPKIXPublicKey(w.seal.Public())
	if err != nil {
		b.Fatal(err)
	}
	w.zone.AddTXT("rsa._domainkey.a.example", "v=DKIM1; k=rsa; p="+base64.StdEncoding.EncodeToString(der))
	ed := dkim.Key{Domain: "a.example", Selector: "s", Private: ed25519.PrivateKey(w.key)}
	signed := func(text string, keys ...dkim.Key) string {
		fields, err := dkim.Make(strings.NewReader(text), keys, dkim.Fields{Oversign: strings.Fields("From To Subject Date Message-ID")}, w.o.Now(), 0)
		if err != nil {
			b.Fatal(err)
		}
		return string(fields) + text
	}
	for _, c := range []struct{ name, text, want string }{
		{"unsigned", plain, "dkim=none"},
		{"rsa2048", signed(plain, rsa), "dkim=pass"},
		{"ed25519", signed(plain, ed), "dkim=pass"},
		{"both", signed(plain, rsa, ed), "dkim=pass"},
		{"rsa2048+arc", signed(sealed, rsa), "arc=pass"},
	} {
		b.Run(c.name, func(b *testing.B) {
			w.zone.Asked()
			v := w.verifier()
			r := request("192.0.2.1", "mx.a.example", "bounces@a.example")
			judge := func() mail.AuthVerdict {
				tx := v.Begin(context.Background(), r)
				defer tx.Close()
				return tx.Message(context.Background(), mail.AuthMessage{Body: bodyOf(c.text)})
			}
			got := judge()
			if got.Refused != nil || got.Auth.DMARC != mail.AuthPass || !bytes.Contains(got.Prepend, []byte(c.want)) {
				b.Fatalf("%+v\n%s", got, got.Prepend)
			}
			cold := len(w.zone.Asked())
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				judge()
				n++
			}
			b.ReportMetric(float64(cold), "questions-cold")
			b.ReportMetric(float64(len(w.zone.Asked()))/float64(n), "questions-warm")
		})
	}
}
