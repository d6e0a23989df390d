package queue_test

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/queue"
)

func TestBodyScan(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, body string
		want       mail.Flags
	}{
		{"empty", "", 0},
		{"plain", "Subject: a\r\n\r\nb.c\r\n", 0},
		{"dot first", ".a\r\n", mail.FlagDotLines},
		{"dot alone", "a\r\n.\r\nb\r\n", mail.FlagDotLines},
		{"dot after bare LF", "a\n.b\r\n", mail.FlagDotLines | mail.FlagStrayEnds},
		{"dot after bare CR", "a\r.b\r\n", mail.FlagStrayEnds},
		{"dot inside", "a.\r\nb.\r\n", 0},
		{"eight bit late", x(70) + "\r\n\xc3\xa4\r\n", mail.FlagEightBit},
		{"eight bit last byte", x(8) + "\x80", mail.FlagEightBit | mail.FlagStrayEnds},
		{"998 octets", x(998) + "\r\n" + x(998) + "\r\n", 0},
		{"999 octets", x(999) + "\r\n", mail.FlagLongLines},
		{"999 octets before bare LF", x(999) + "\n", mail.FlagLongLines | mail.FlagStrayEnds},
		{"998 octets before bare LF", x(998) + "\n", mail.FlagStrayEnds},
		{"998 octets without line end", x(998), mail.FlagStrayEnds},
		{"998 octets and CR", x(998) + "\r", mail.FlagStrayEnds},
		{"999 octets without line end", "a\r\n" + x(999), mail.FlagLongLines | mail.FlagStrayEnds},
		{"CR CRLF", "a\r\r\nb\r\n", mail.FlagStrayEnds},
		{"CR first", "\ra\r\n", mail.FlagStrayEnds},
		{"CRLF LF", "a\r\n\nb\r\n", mail.FlagStrayEnds},
		{"a CR for an LF elsewhere", "a\rb\nc\r\n", mail.FlagStrayEnds},
		{"empty lines", "\r\n\r\n\r\n", 0},
		{"all", ".\xff" + x(999) + "\r\n", mail.FlagLongLines | mail.FlagEightBit | mail.FlagDotLines},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			for split := range 20 { // the flags do not depend on how the bytes arrive
				var scan queue.BodyScan
				rest := []byte(tt.body)
				for len(rest) > 0 {
					n := len(rest)
					if split > 0 {
						n = 1 + rng.IntN(min(len(rest), 600))
					}
					_, _ = scan.Write(rest[:n])
					rest = rest[n:]
				}
				env := mail.Envelope{Flags: mail.FlagSubmitted}
				scan.Fill(&env)
				if want := tt.want | mail.FlagSubmitted; env.Flags != want {
					t.Errorf("body %.40q, split %d: flags %b, want %b", tt.body, split, env.Flags, want)
				}
				if env.Size != int64(len(tt.body)) || scan.Size() != env.Size {
					t.Errorf("size %d, want %d", env.Size, len(tt.body))
				}
				if want := crc32.Checksum([]byte(tt.body), crc32.MakeTable(crc32.Castagnoli)); env.CRC != want {
					t.Errorf("crc %08x, want %08x", env.CRC, want)
				}
			}
		})
	}
}

func BenchmarkBodyScan(b *testing.B) {
	body := bytes.Repeat([]byte(strings.Repeat("x", 72)+"\r\n"), 1000)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var scan queue.BodyScan
		_, _ = scan.Write(body)
	}
}
