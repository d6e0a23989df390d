package srs

import (
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func BenchmarkForward(b *testing.B) {
	c := benchCodec(b)
	for name, address := range map[string]string{"srs0": "bounces+a.reader=b.example@news.a.example", "srs1": "SRS0=HHHH=TT=a.example=reader@b.example"} {
		b.Run(name, func(b *testing.B) {
			a := mail.SplitAddress(address)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Forward(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReverse(b *testing.B) {
	c := benchCodec(b)
	for name, address := range map[string]string{"srs0": "bounces+a.reader=b.example@news.a.example", "srs1": "SRS0=HHHH=TT=a.example=reader@b.example"} {
		b.Run(name, func(b *testing.B) {
			a, err := c.Forward(mail.SplitAddress(address))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Reverse(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("forged", func(b *testing.B) { // what anybody can send us as often as he likes
		a := mail.SplitAddress("SRS0=HHHH=TT=a.example=reader@srs.example")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Reverse(a); err == nil {
				b.Fatal("believed")
			}
		}
	})
}

// benchCodec has three secrets, as while they are changed.
func benchCodec(b *testing.B) *Codec {
	c, err := New(Options{
		Domain: "srs.example", Secrets: []string{"a new secret", "the secret before", "an old secret"}, Separator: '=', HashLength: 4, HashMinimum: 4,
		MaxAge: 21 * 24 * time.Hour, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
