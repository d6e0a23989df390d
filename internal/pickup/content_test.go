package pickup

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func throughContent(t testing.TB, in string, piece int) string {
	t.Helper()
	var out bytes.Buffer
	c := newContent(&out)
	for len(in) > 0 {
		n := min(piece, len(in))
		if m, err := io.WriteString(c, in[:n]); m != n || err != nil {
			t.Fatalf("Write: %d, %v", m, err)
		}
		in = in[n:]
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.size != int64(out.Len()) {
		t.Errorf("size %d of %d bytes", c.size, out.Len())
	}
	return out.String()
}

func TestContent(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"\n", "\r\n"},
		{"a\nb\n", "a\r\nb\r\n"},
		{"a\r\nb\r\n", "a\r\nb\r\n"},
		{"no end", "no end\r\n"},
		{"no end\r", "no end\r\n"},
		{"\r", "\r\n"},
		{"bare\rCR\n", "bare CR\r\n"},
		{"\r\r\n", " \r\n"},
		{"\r\r\r", "  \r\n"},
		{"a\n.\r.\n", "a\r\n. .\r\n"},
		{"\n\r\n\n", "\r\n\r\n\r\n"},
		{"nul\x00 and \xff\n", "nul\x00 and \xff\r\n"},
	} {
		for _, piece := range []int{1, 2, 3, len(tc.in) + 1} {
			if got := throughContent(t, tc.in, piece); got != tc.want {
				t.Errorf("%q in pieces of %d: got %q, want %q", tc.in, piece, got, tc.want)
			}
		}
	}
}

// naive is content, written for reading.
func naive(in string) string {
	s := strings.ReplaceAll(in, "\r\n", "\n")
	s = strings.TrimSuffix(s, "\r")
	s = strings.ReplaceAll(s, "\r", " ")
	if len(in) > 0 && !strings.HasSuffix(in, "\n") {
		s += "\n"
	}
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func FuzzContent(f *testing.F) {
	for _, s := range []string{"a\r\nb\rc\n", "\r\r\n\r", "x", "\n.\r\n", "\r\n\r\r"} {
		f.Add(s, 1)
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, in string, piece int) {
		if piece < 1 {
			return
		}
		if got, want := throughContent(t, in, piece), naive(in); got != want {
			t.Errorf("%q in pieces of %d: got %q, want %q", in, piece, got, want)
		}
	})
}

func BenchmarkContent(b *testing.B) {
	in := []byte(strings.Repeat("an ordinary line of a message, neither short nor long\n", 1000))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	c := newContent(io.Discard)
	for b.Loop() {
		c.Write(in)
	}
}
