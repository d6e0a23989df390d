package wire

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// dotWrite sends message in blocks cut at the given places.
func dotWrite(message []byte, limit int, cuts ...int) (sent []byte, d DotWriter) {
	var out bytes.Buffer
	w := bufio.NewWriterSize(&out, 64)
	d.Reset(w, limit)
	at := 0
	for _, c := range append(cuts, len(message)) {
		d.Write(message[at:c])
		at = c
	}
	d.Close()
	w.Flush()
	return out.Bytes(), d
}

func TestDotWriter(t *testing.T) {
	for _, c := range []struct {
		name, message, want string
		changed             int
	}{
		{"empty", "", ".\r\n", 0},
		{"plain", "a\r\nb\r\n", "a\r\nb\r\n.\r\n", 0},
		{"no line end", "a\r\nb", "a\r\nb\r\n.\r\n", 0},
		{"dot first", ".a\r\n", "..a\r\n.\r\n", 0},
		{"only a dot", ".", "..\r\n.\r\n", 0},
		{"line of one dot", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", 0},
		{"dots inside", "a.b\r\nc.\r\n", "a.b\r\nc.\r\n.\r\n", 0},
		{"two dots", "..\r\n", "...\r\n.\r\n", 0},
		{"empty lines", "\r\n\r\n", "\r\n\r\n.\r\n", 0},
		{"bare LF", "a\nb\r\n", "a\r\nb\r\n.\r\n", 1},
		{"LF first", "\na\r\n", "\r\na\r\n.\r\n", 1},
		{"stray CR", "a\rb\r\n", "a b\r\n.\r\n", 1},
		{"CR CRLF", "a\r\r\n", "a \r\n.\r\n", 1},
		{"CR last", "a\r", "a \r\n.\r\n", 1},
		{"NUL and 8-bit", "\x00\xff\r\n", "\x00\xff\r\n.\r\n", 0},
		{"NULs alone", "\x00\x00\r\n\x00", "\x00\x00\r\n\x00\r\n.\r\n", 0},
		{"NUL before a dot", "\x00.\r\na\r\n\x00\x00.b\r\n", " .\r\na\r\n  .b\r\n.\r\n", 3},
		{"NUL after a dot", ".\x00\r\n", "..\x00\r\n.\r\n", 0},
		{"NUL and a dot inside", "a\x00.\r\n", "a\x00.\r\n.\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for cut := range len(c.message) + 1 {
				got, d := dotWrite([]byte(c.message), 0, cut)
				if string(got) != c.want || d.Changed != c.changed {
					t.Errorf("%q cut at %d\n got %q, %d changed\nwant %q, %d", c.message, cut, got, d.Changed, c.want, c.changed)
				}
			}
		})
	}
}

// Each of these was taken for the end of data by some server (SMTP smuggling). None may
// leave, whatever block border it straddles.
func TestNoEndOfDataInsideMessage(t *testing.T) {
	for _, seq := range []string{
		"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n\x00.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\n.\n", "\r\n.\r", "\r\n.\r\n",
	} {
		message := []byte("Subject: x\r\n\r\nbefore" + seq + "MAIL FROM:<evil@example.net>\r\n")
		for cut := range len(message) + 1 {
			got, _ := dotWrite(message, 0, cut)
			body, ok := bytes.CutSuffix(got, []byte("\r\n.\r\n"))
			if !ok {
				t.Fatalf("%q: no end of data in %q", seq, got)
			}
			rest := strings.ReplaceAll(string(body), "\r\n", "\x01")
			if strings.ContainsAny(rest, "\r\n") {
				t.Errorf("%q cut at %d: a bare CR or LF left in %q", seq, cut, got)
			}
			if strings.Contains(rest, "\x01.\x01") || strings.Contains(rest, "\x01\x00.") || strings.Contains(rest, "\x01.M") {
				t.Errorf("%q cut at %d: an unstuffed dot left in %q", seq, cut, got)
			}
		}
	}
}

func TestDotWriterLineLimit(t *testing.T) {
	for _, c := range []struct {
		name, message, want string
		broken              int
	}{
		{"shorter", "abc\r\n", "abc\r\n.\r\n", 0},
		{"just so long", "abcde\r\n", "abcde\r\n.\r\n", 0},
		{"one longer", "abcdef\r\n", "abcde\r\n f\r\n.\r\n", 1},
		{"twice", "abcdefghijk\r\n", "abcde\r\n fghi\r\n jk\r\n.\r\n", 2},
		{"dot at the break", "abcde.f\r\n", "abcde\r\n .f\r\n.\r\n", 1},
		{"stuffed dot does not count", ".bcde\r\n", "..bcde\r\n.\r\n", 0},
		{"NULs", "\x00\x00\x00\x00\x00\x00.\r\n", "     \r\n  .\r\n.\r\n", 1},
		{"each line anew", "abcd\r\nabcde\r\n", "abcd\r\nabcde\r\n.\r\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for cut := range len(c.message) + 1 {
				got, d := dotWrite([]byte(c.message), 5, cut)
				if string(got) != c.want || d.Broken != c.broken {
					t.Errorf("%q cut at %d\n got %q, %d broken\nwant %q, %d", c.message, cut, got, d.Broken, c.want, c.broken)
				}
			}
		})
	}
}

// undot is what a receiver makes of it, naively.
func undot(sent []byte) (message []byte, rest []byte, ok bool) {
	for {
		line, after, found := bytes.Cut(sent, []byte("\r\n"))
		if !found {
			return nil, nil, false
		}
		sent = after
		if string(line) == "." {
			return message, sent, true
		}
		message = append(message, bytes.TrimPrefix(line, []byte("."))...)
		message = append(message, "\r\n"...)
	}
}

// A message with CRLF line ends arrives as it was, byte for byte.
func TestDotWriterRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{".", "..", "\r\n", "\r\n.", "a", "a\x00", "\r\n\x00a", "ü", strings.Repeat("x", 100)}
	for range 2000 {
		var b strings.Builder
		for range rnd.IntN(12) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		message := []byte(b.String())
		if len(message) > 0 && !bytes.HasSuffix(message, []byte("\r\n")) {
			message = append(message, "\r\n"...)
		}
		cut := rnd.IntN(len(message) + 1)
		sent, d := dotWrite(message, 0, cut, cut+rnd.IntN(len(message)-cut+1))
		got, rest, ok := undot(sent)
		if !ok || len(rest) > 0 || !bytes.Equal(got, message) || d.Changed > 0 {
			t.Fatalf("seed %d: %q became %q (%q left, %d changed)", seed, message, got, rest, d.Changed)
		}
	}
}

// FuzzDotWriter: whatever goes in, any server sees one message of CRLF lines, strict or
// lax, and it is the same for every way in which the blocks were cut. What is in the
// message is what a naive model makes of it.
func FuzzDotWriter(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n.b\r\n"), []byte{3}, 0)
	f.Add([]byte("\r\n.\r\r\n\n.\n\r.\r"), []byte{1, 0}, 0)
	f.Add([]byte("abcdefgh.ijkl\r\n."), []byte{4}, 3)
	f.Add([]byte("\x00.\r\n\x00\x00.\n\x00\r.\r\n\x00"), []byte{0}, 0)
	servers := everyServer()
	f.Fuzz(func(t *testing.T, message []byte, cuts []byte, limit int) {
		if limit = max(limit, 0) % 50; limit == 1 {
			limit = 2
		}
		whole, d := dotWrite(message, limit)
		var at []int
		for i, n := 0, 0; len(cuts) > 0 && n < len(message); i++ {
			n = min(n+1+int(cuts[i%len(cuts)])%32, len(message))
			at = append(at, n)
		}
		parts, d2 := dotWrite(message, limit, at...)
		if !bytes.Equal(whole, parts) || d.Changed != d2.Changed || d.Broken != d2.Broken {
			t.Fatalf("%q: whole %q, in parts %q", message, whole, parts)
		}
		got, rest, ok := undot(whole)
		if !ok || len(rest) > 0 {
			t.Fatalf("%q: sent %q ends at %q", message, whole, rest)
		}
		if strings.ContainsAny(strings.ReplaceAll(string(whole), "\r\n", ""), "\r\n") {
			t.Fatalf("%q: bare CR or LF in %q", message, whole)
		}
		for _, s := range servers {
			if _, rest, ended := s.Split(string(whole)); !ended || strings.Trim(rest, "\r\n") != "" {
				t.Fatalf("%q: sent %q, of which a server that %s takes %q for commands", message, whole, s.Name, rest)
			}
		}
		if limit == 0 && string(got) != naiveSent(string(message)) {
			t.Fatalf("%q arrived as %q", message, got)
		}
	})
}

// naiveSent is what a message is made for the way: CRLF line ends, spaces for stray CRs and
// for NULs before a dot.
func naiveSent(message string) string {
	sent := ""
	for line := range strings.SplitAfterSeq(message, "\n") {
		if line == "" {
			continue
		}
		text, ended := strings.CutSuffix(line, "\n")
		if ended {
			text = strings.TrimSuffix(text, "\r")
		}
		text = strings.ReplaceAll(text, "\r", " ")
		if rest := strings.TrimLeft(text, "\x00"); strings.HasPrefix(rest, ".") {
			text = strings.Repeat(" ", len(text)-len(rest)) + rest
		}
		sent += text + "\r\n"
	}
	return sent
}

func BenchmarkDotWriter(b *testing.B) {
	line := strings.Repeat("x", 70) + "\r\n"
	plain := []byte(strings.Repeat(line, 1<<20/len(line)))
	dotted := []byte(strings.Repeat(strings.Repeat(line, 20)+".dot\r\n", 1<<20/(20*len(line))))
	for _, c := range []struct {
		name    string
		message []byte
	}{{"plain", plain}, {"dots", dotted}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.message)))
			b.ReportAllocs()
			var d DotWriter
			w := bufio.NewWriterSize(discard{}, bufferSize)
			for b.Loop() {
				d.Reset(w, 0)
				for m := c.message; len(m) > 0; m = m[min(len(m), 32<<10):] {
					d.Write(m[:min(len(m), 32<<10)])
				}
				d.Close()
				w.Flush()
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
