package arc

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// A message of 32 KiB. The zone is in memory, and answers from the cache after the first.

func benchVerify(b *testing.B, n int, s func(*world) *Sealer) {
	w := newWorld(b)
	m, status := letter+strings.Repeat("a line of some length, as mail has them\r\n", 800), mail.AuthNone
	for range n {
		m = sealed(b, s(w), m, status)
		status = mail.AuthPass
	}
	resolver := w.Resolver()
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := Verify(b.Context(), strings.NewReader(m), VerifyOptions{Resolver: resolver, Now: clock})
		if err != nil || c.CV != mail.AuthPass {
			b.Fatal(c, err)
		}
	}
	b.ReportMetric(float64(len(w.Asked())), "questions-cold") // whatever b.N is: the others are answered from the cache
}

func ofRSA(w *world) *Sealer { return w.rsa }
func ofEd(w *world) *Sealer  { return w.ed }

func BenchmarkVerifyOneSet(b *testing.B)   { benchVerify(b, 1, ofRSA) }
func BenchmarkVerifyFiveSets(b *testing.B) { benchVerify(b, 5, ofRSA) }
func BenchmarkVerifyEd25519(b *testing.B)  { benchVerify(b, 1, ofEd) }

func benchSeal(b *testing.B, s func(*world) *Sealer) {
	sealer := s(newWorld(b))
	m := letter + strings.Repeat("a line of some length, as mail has them\r\n", 800)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sealer.Seal(b.Context(), strings.NewReader(m), results, mail.AuthNone); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealRSA2048(b *testing.B) { benchSeal(b, ofRSA) }
func BenchmarkSealEd25519(b *testing.B) { benchSeal(b, ofEd) }
