package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestChunkReader(t *testing.T) {
	r := bufio.NewReaderSize(&pieces{"hello\r\n.\r\nBDAT 3\r\nabcQUIT\r\n", 4}, 16)
	c := NewChunkReader(r, 10)
	got, err := io.ReadAll(c)
	if string(got) != "hello\r\n.\r\n" || err != nil || c.Left() != 0 {
		t.Errorf("first chunk %q, %v, %d left", got, err, c.Left())
	}
	r.Discard(len("BDAT 3\r\n"))
	var b bytes.Buffer
	if _, err := NewChunkReader(r, 3).WriteTo(&b); b.String() != "abc" || err != nil {
		t.Errorf("second chunk %q, %v", b.String(), err)
	}
	if left, _ := io.ReadAll(r); string(left) != "QUIT\r\n" {
		t.Errorf("left %q", left)
	}
}

func TestChunkReaderCutOff(t *testing.T) {
	for _, read := range []func(c *ChunkReader) error{
		func(c *ChunkReader) error { _, err := io.ReadAll(c); return err },
		func(c *ChunkReader) error { _, err := c.WriteTo(io.Discard); return err },
	} {
		c := NewChunkReader(bufio.NewReader(strings.NewReader("hel")), 5)
		if err := read(c); !errors.Is(err, io.ErrUnexpectedEOF) || c.Left() != 2 {
			t.Errorf("error %v, %d left", err, c.Left())
		}
	}
}

// A writer that fails in the middle leaves a count that the rest can be skipped by.
func TestChunkReaderRefused(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("0123456789NOOP\r\n"))
	c := NewChunkReader(r, 10)
	if _, err := c.WriteTo(failingWriter{}); err == nil {
		t.Error("no error")
	}
	if _, err := c.WriteTo(io.Discard); err != nil {
		t.Error(err)
	}
	if left, _ := io.ReadAll(r); string(left) != "NOOP\r\n" {
		t.Errorf("left %q", left)
	}
}

type failingWriter struct{}

func (failingWriter) Write(p []byte) (int, error) { return 0, errors.New("no") }

func TestLineWriter(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		replace  bool
		want     string
	}{
		{name: "nothing"},
		{name: "proper", in: "a\r\nb\r\n", want: "a\r\nb\r\n"},
		{name: "no line end at the end", in: "a\r\nb", want: "a\r\nb\r\n"},
		{name: "dots stay", in: "hi.\r\n.", want: "hi.\r\n.\r\n"},
		{name: "bare LF", in: "a\nb\n\n", want: "a\r\nb\r\n\r\n"},
		{name: "LF first", in: "\na", want: "\r\na\r\n"},
		{name: "stray CR stays", in: "a\rb\r\r\nc\r", want: "a\rb\r\r\nc\r\r\n"},
		{name: "stray CR replaced", replace: true, in: "a\rb\r\r\nc\r\rd\r", want: "a b \r\nc  d \r\n"},
		{name: "end of data is data", in: "a\r\n.\r\nb\r\n", want: "a\r\n.\r\nb\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in)+1; size++ {
				var got bytes.Buffer
				l := NewLineWriter(&got, tt.replace)
				if _, err := io.Copy(struct{ io.Writer }{l}, struct{ io.Reader }{&pieces{tt.in, size}}); err != nil {
					t.Fatal(err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if got.String() != tt.want || l.Bytes != int64(len(tt.want)) {
					t.Errorf("in pieces of %d: %q, %d bytes; want %q", size, got.String(), l.Bytes, tt.want)
				}
			}
		})
	}
}

// Whatever comes in chunks, only CRLF ends a line in what is written, nothing else is
// changed, and it does not matter where the chunks end.
func FuzzLineWriter(f *testing.F) {
	f.Add("a\r\nb\nc\rd\r\r\n", true, []byte{1, 2})
	f.Add("\n\r\n\r", false, []byte{0})
	f.Fuzz(func(t *testing.T, in string, replace bool, cuts []byte) {
		var got bytes.Buffer
		l := NewLineWriter(&got, replace)
		io.Copy(struct{ io.Writer }{l}, struct{ io.Reader }{&cutReader{in, cuts, 0}})
		l.Close()
		want := ""
		for line := range strings.SplitAfterSeq(in, "\n") {
			if line == "" {
				continue
			}
			text, ended := strings.CutSuffix(line, "\n")
			if ended {
				text = strings.TrimSuffix(text, "\r")
			}
			if replace {
				text = strings.ReplaceAll(text, "\r", " ")
			}
			want += text + "\r\n"
		}
		if got.String() != want {
			t.Errorf("%q: %q, want %q", in, got.String(), want)
		}
	})
}
