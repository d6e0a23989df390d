package dmarc

import (
	"testing"

	"aliasmx/internal/mail"
)

// A forwarder's daily case: a subdomain writes, its bounces have a name of their own.
func BenchmarkCheck(b *testing.B) {
	z := zone(b, "a.example v=DMARC1; p=reject; sp=reject; rua=mailto:dmarc@a.example; ruf=mailto:dmarc@a.example; fo=1")
	r := resolver(z)
	spf := Identity{"bounces.a.example", mail.AuthPass}
	dkim := []Identity{{"a.example", mail.AuthPass}, {"mailer.test", mail.AuthPass}}
	check := func() {
		if res := Check(b.Context(), r, "news.a.example", spf, dkim); res.Result != mail.AuthPass {
			b.Fatalf("%+v", res)
		}
	}
	check()
	cold := len(z.Asked())
	b.ReportAllocs()
	for b.Loop() {
		check()
	}
	b.ReportMetric(float64(cold), "questions-cold")
	b.ReportMetric(float64(len(z.Asked()))/float64(b.N), "questions-warm")
}

func BenchmarkAuthorDomains(b *testing.B) {
	header := []byte("Received: from a by b; Sat, 01 Nov 2025 10:00:00 +0000\r\nSubject: hello\r\nTo: c@d.example\r\n" +
		"From: \"A. B. (C)\" <a@one.example>\r\nDate: Sat, 01 Nov 2025 10:00:00 +0000\r\n\r\n")
	b.SetBytes(int64(len(header)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AuthorDomains(header); err != nil {
			b.Fatal(err)
		}
	}
}
