package wire

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"aliasmx/integration/smuggle"
)

// Command lines: what is read is what a naive reading finds, in whatever packets it comes
// and however small the buffer is, and nothing behind a line is touched.
func FuzzReadCommand(f *testing.F) {
	f.Add("NOOP\r\nQUIT\n\r\r\n\n", []byte{0}, uint8(10))
	f.Add(strings.Repeat("x", 100)+"\r\n"+strings.Repeat("y", 99)+"\r\n", []byte{15, 0, 31}, uint8(50))
	f.Add("half a li", []byte(nil), uint8(3))
	f.Fuzz(func(t *testing.T, in string, cuts []byte, most uint8) {
		c := &Conn{r: bufio.NewReaderSize(&cutReader{in, cuts, 0}, 16)}
		max, left := int(most), in
		for {
			line, err := c.ReadCommand(max)
			text, rest, found := strings.Cut(left, "\n")
			if !found {
				want := io.EOF
				if left != "" {
					want = io.ErrUnexpectedEOF
				}
				if err != want {
					t.Fatalf("%q: %v at %q", in, err, left)
				}
				return
			}
			left = rest
			text, crlf := strings.CutSuffix(text, "\r")
			cut := len(text) > max
			if err != nil || string(line.Text) != text[:min(len(text), max)] || line.Cut != cut || line.BareLF != !crlf {
				t.Fatalf("%q: %q %+v, %v; want %q", in, line.Text, line, err, text)
			}
		}
	})
}

// Chunks and commands in turn: each chunk is exactly its octets, read in either way and
// whatever they are, and what follows is the next command.
func FuzzChunks(f *testing.F) {
	f.Add("5 hello0 8 BDAT 1\r\nx", []byte{2}, uint8(0))
	f.Add("3 \r\n.2 \r\n", []byte{0}, uint8(3))
	f.Add("99 too short", []byte{0}, uint8(1))
	f.Fuzz(func(t *testing.T, in string, cuts []byte, how uint8) {
		r := bufio.NewReaderSize(&cutReader{in, cuts, 0}, 16)
		for left := in; ; {
			word, err := r.ReadString(' ')
			want, rest, found := strings.Cut(left, " ")
			size, bad := strconv.ParseUint(want, 10, 20)
			if !found || bad != nil {
				return
			}
			if err != nil || word != want+" " {
				t.Fatalf("%q: %q, %v; want %q", in, word, err, want)
			}
			chunk := NewChunkReader(r, int64(size))
			var got bytes.Buffer
			switch how & 3 {
			case 0:
				_, err = chunk.WriteTo(&got)
			case 1:
				_, err = io.Copy(&got, struct{ io.Reader }{chunk})
			case 2: // one half each way
				if _, err = io.CopyN(&got, struct{ io.Reader }{chunk}, int64(size/2)); err == nil {
					_, err = chunk.WriteTo(&got)
				}
			case 3: // refused, and thrown away
				chunk.WriteTo(failingWriter{})
				_, err = io.Copy(io.Discard, chunk)
			}
			if size > uint64(len(rest)) {
				if err != io.ErrUnexpectedEOF || chunk.Left() <= 0 {
					t.Fatalf("%q: a chunk of %d that is not there: %v, %d left", in, size, err, chunk.Left())
				}
				return
			}
			if err != nil || chunk.Left() != 0 || how&3 != 3 && got.String() != rest[:size] {
				t.Fatalf("%q: %q, %v, %d left; want %q", in, got.String(), err, chunk.Left(), rest[:size])
			}
			left = rest[size:]
		}
	})
}

// Both codecs, one behind the other, with any packets and blocks: what was kept of a
// message arrives, and a second way through them changes nothing any more.
func FuzzCodecs(f *testing.F) {
	for _, s := range smuggle.Own() {
		f.Add("x"+s.Bytes+"y\r\n.\r\n", true, []byte{0})
	}
	f.Add("a\r\n..\r\n\x00.\r\n.\r\n", false, []byte{3, 1})
	f.Fuzz(func(t *testing.T, in string, replace bool, cuts []byte) {
		want, _, ended := smuggle.Kept(in, replace)
		if !ended {
			return
		}
		// A bare CR that was kept becomes a space at the latest when it leaves.
		want = naiveSent(want)
		for way := range 2 {
			d := NewDotReader(bufio.NewReaderSize(&cutReader{in, cuts, 0}, 16), BareLFNormalize, replace)
			var out bytes.Buffer
			w := bufio.NewWriterSize(&out, 16)
			var dots DotWriter
			dots.Reset(w, 0)
			if _, err := d.WriteTo(&dots); err != nil {
				t.Fatalf("%q: %v", in, err)
			}
			dots.Close()
			w.Flush()
			got, rest, ok := undot(out.Bytes())
			if !ok || len(rest) > 0 || string(got) != want || way > 0 && (dots.Changed > 0 || d.BareLFs > 0 || d.StrayCRs > 0) {
				t.Fatalf("%q, way %d: sent %q, want %q", in, way, out.String(), want)
			}
			in = out.String()
		}
	})
}
