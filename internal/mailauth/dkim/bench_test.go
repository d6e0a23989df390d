package dkim

import (
	"strings"
	"testing"
	"time"
)

// A message of 4 KiB and one of 32 KiB. The zone is in memory, and answers from the cache
// after the first.

// benchFields are what mail has of a header.
const benchFields = "Received: from a by b; Tue, 14 Nov 2023 22:13:20 +0000\r\n" + plainHeader +
	"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@a.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"

func benchText(size int) string {
	const line = "a line of some length, as mail has them, and more\r\n"
	return strings.Repeat(line, size/len(line))
}

func benchVerify(b *testing.B, size int, tags map[string]string, keys ...Key) {
	z := zoneOf(b, keys...)
	header, text := benchFields, benchText(size)
	var m string
	for _, k := range keys {
		m = forge(b, k, tags, header, text)
		header, _, _ = strings.Cut(m, "\r\n\r\n")
		header += "\r\n"
	}
	o := VerifyOptions{Resolver: z.Resolver(), Now: func() time.Time { return now }}
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		sigs, err := Verify(b.Context(), strings.NewReader(m), o)
		if err != nil || len(sigs) != len(keys) {
			b.Fatal(sigs, err)
		}
		for _, s := range sigs {
			if s.Result != "pass" {
				b.Fatal(s.Reason)
			}
		}
	}
	b.ReportMetric(float64(len(z.Asked())), "questions-cold") // whatever b.N is: the others are answered from the cache
}

func BenchmarkVerify(b *testing.B) {
	two, _ := twoKeys(b, "a.example")
	rsa, ed := two[0], two[1]
	tags := map[string]string{"h": "from:to:subject:date:message-id:mime-version:content-type:from:to:subject"}
	simple := map[string]string{"h": tags["h"], "c": "simple/simple"}
	b.Run("rsa2048", func(b *testing.B) { benchVerify(b, 4<<10, tags, rsa) })
	b.Run("rsa2048-simple", func(b *testing.B) { benchVerify(b, 4<<10, simple, rsa) })
	b.Run("rsa2048-32KiB", func(b *testing.B) { benchVerify(b, 32<<10, tags, rsa) })
	b.Run("ed25519", func(b *testing.B) { benchVerify(b, 4<<10, tags, ed) })
	b.Run("both", func(b *testing.B) { benchVerify(b, 4<<10, tags, rsa, ed) })
}

func BenchmarkMake(b *testing.B) {
	two, _ := twoKeys(b, "a.example")
	m := benchFields + "\r\n" + benchText(4<<10)
	f := Fields{Oversign: strings.Fields("From To Cc Subject Date Reply-To Message-ID MIME-Version Content-Type")}
	for i, name := range []string{"rsa2048", "ed25519"} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Make(strings.NewReader(m), two[i:i+1], f, now, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
