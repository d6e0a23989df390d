package dkim

import (
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// What a message costs, small and with 1 MiB of body. Keys come from the cache, as those of
// large senders do.

func benchMessages() map[string]string {
	line := strings.Repeat("0123456789", 7) + "\r\n"
	header := plainHeader + "Date: Mon, 30 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@a.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	return map[string]string{
		"small": header + "\r\n" + strings.Repeat(line, 30),
		"1MiB":  header + "\r\n" + strings.Repeat(line, 1<<20/len(line)),
	}
}

func benchKeys() map[string]Key {
	return map[string]Key{"rsa2048": {"a.example", "rsa", rsaKey()}, "ed25519": {"a.example", "ed", edKey()}}
}

func BenchmarkVerify(b *testing.B) {
	for name, message := range benchMessages() {
		for kind, k := range benchKeys() {
			b.Run(kind+"/"+name, func(b *testing.B) { benchVerify(b, makeFor(b, []Key{k}, fields(), message)+message, zoneOf(b, k), 1) })
		}
		b.Run("none/"+name, func(b *testing.B) { benchVerify(b, message, dnstest.New(b, ""), 0) })
		b.Run("ten/"+name, func(b *testing.B) {
			k := Key{"a.example", "ed", edKey()}
			benchVerify(b, strings.Repeat(makeFor(b, []Key{k}, fields(), message), 10)+message, zoneOf(b, k), 10)
		})
	}
}

func benchVerify(b *testing.B, message string, z *dnstest.Zone, want int) {
	o := VerifyOptions{Resolver: z.Resolver()}
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		sigs, err := Verify(b.Context(), strings.NewReader(message), o)
		if err != nil || len(sigs) != want || want > 0 && sigs[0].Result != mail.AuthPass {
			b.Fatal(sigs, err)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	for name, message := range benchMessages() {
		for kind, k := range benchKeys() {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Make(strings.NewReader(message), []Key{k}, fields(), now, 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
