package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDotReader(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      string
		mode    BareLF
		replace bool
		want    string
		left    string // what is not part of the message
		bareLFs int
	}{
		{name: "empty message", in: ".\r\nQUIT\r\n", left: "QUIT\r\n"},
		{name: "one line", in: "hi\r\n.\r\n", want: "hi\r\n"},
		{name: "no line end before the dot is no end", in: "hi.\r\n.\r\n", want: "hi.\r\n"},
		{name: "stuffed dots", in: "..\r\n.x\r\n...y\r\n.\r\n", want: ".\r\nx\r\n..y\r\n"},
		{name: "empty lines", in: "\r\n\r\n.\r\n", want: "\r\n\r\n"},
		{name: "what follows stays", in: "a\r\n.\r\nRSET\r\n", want: "a\r\n", left: "RSET\r\n"},
		{name: "NUL and 8-bit", in: "a\x00\xff\r\n.\r\n", want: "a\x00\xff\r\n"},

		{name: "LF becomes CRLF", in: "one\ntwo\r\n.\r\n", want: "one\r\ntwo\r\n", bareLFs: 1},
		{name: "LF.LF is no end", in: "one\n.\ntwo\r\n.\r\n", want: "one\r\ntwo\r\n", bareLFs: 2},
		{name: "LF.CRLF is no end", in: "one\n.\r\ntwo\r\n.\r\n", want: "one\r\ntwo\r\n", bareLFs: 1},
		{name: "CRLF.LF is no end", in: "one\r\n.\ntwo\r\n.\r\n", want: "one\r\ntwo\r\n", bareLFs: 1},
		{name: "dot lines in a row", in: "one\r\n.\n.\r\n.\r\n", want: "one\r\n", bareLFs: 1},
		{name: "CR.CR is no end", in: "one\r.\rtwo\r\n.\r\n", want: "one\r.\rtwo\r\n"},
		{name: "CRLF.CR is no end", in: "one\r\n.\rtwo\r\n.\r\n", want: "one\r\n\rtwo\r\n"},
		{name: "CR.CRLF is no end", in: "one\r.\r\n.\r\n", want: "one\r.\r\n"},
		{name: "CRLF.CRCRLF is no end", in: "one\r\n.\r\r\n.\r\n", want: "one\r\n\r\r\n"},
		{name: "NUL before the dot", in: "one\r\n\x00.\r\n.\r\n", want: "one\r\n\x00.\r\n"},
		{name: "NUL after the dot", in: "one\r\n.\x00\r\n.\r\n", want: "one\r\n\x00\r\n"},
		{name: "stuffed dot after bare LF", in: "one\n..\r\n.\r\n", want: "one\r\n.\r\n", bareLFs: 1},
		{name: "everything at once", in: "l\r\n\r\none\ntwo\n.\nthree\n.\r\nfour\r\n.\nfive\r\n.\r\n",
			want: "l\r\n\r\none\r\ntwo\r\nthree\r\nfour\r\nfive\r\n", bareLFs: 5},

		{name: "allowed LF.LF", mode: BareLFAllow, in: "one\n.\nRSET\r\n", want: "one\r\n", left: "RSET\r\n", bareLFs: 1},
		{name: "allowed LF.CRLF", mode: BareLFAllow, in: "one\n.\r\n", want: "one\r\n", bareLFs: 1},
		{name: "allowed CRLF.LF", mode: BareLFAllow, in: "one\r\n.\n", want: "one\r\n"},

		{name: "stray CR replaced", replace: true, in: "a\rb\r\n\r\none\rtwo\r\r\nx\r.\r\n.\r\n",
			want: "a b\r\n\r\none two \r\nx .\r\n"},
		{name: "CR before bare LF is CRLF", in: "a\r\nb\r\n.\r\n", want: "a\r\nb\r\n"},
		{name: "CR alone on a line", replace: true, in: "\r\r\n\rx\r\n.\r\n", want: " \r\n x\r\n"},
		{name: "CRs before CRLF, allowed", mode: BareLFAllow, replace: true, in: "\r\r\n\r\r\rx\r\ra\r\r\r\n\ry\r\n.\r\n", want: "\r\n   x  a\r\n y\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in); size++ {
				r := bufio.NewReaderSize(&pieces{tt.in, size}, 16)
				d := NewDotReader(r, tt.mode, tt.replace)
				got, err := io.ReadAll(struct{ io.Reader }{d})
				left, _ := io.ReadAll(r)
				if err != nil || string(got) != tt.want || string(left) != tt.left || !d.Ended() {
					t.Fatalf("in pieces of %d: %q, left %q, %v; want %q, left %q", size, got, left, err, tt.want, tt.left)
				}
				if d.BareLFs != tt.bareLFs || d.Bytes != int64(len(tt.want)) {
					t.Fatalf("in pieces of %d: %d bare LFs, %d bytes; want %d, %d", size, d.BareLFs, d.Bytes, tt.bareLFs, len(tt.want))
				}
			}
		})
	}
}

// A body that breaks off is an error and never looks like an end.
func TestDotReaderCutOff(t *testing.T) {
	whole := "Subject: x\r\n\r\n..text\r\n.\r\n"
	for n := range len(whole) {
		d := NewDotReader(bufio.NewReader(strings.NewReader(whole[:n])), BareLFNormalize, true)
		if _, err := io.Copy(io.Discard, d); !errors.Is(err, io.ErrUnexpectedEOF) || d.Ended() {
			t.Errorf("cut after %q: error %v", whole[:n], err)
		}
		if _, err := d.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %q: the next read says %v", whole[:n], err)
		}
	}
}

func TestDotReaderDrain(t *testing.T) {
	long := strings.Repeat("0123456789\r\n", 1000) + ".\r\nNOOP\r\n"
	r := bufio.NewReader(strings.NewReader(long))
	d := NewDotReader(r, BareLFNormalize, false)
	if _, err := io.CopyN(io.Discard, struct{ io.Reader }{d}, 5); err != nil {
		t.Fatal(err)
	}
	if err := d.Drain(1 << 20); err != nil || !d.Ended() {
		t.Errorf("Drain: %v", err)
	}
	if left, _ := io.ReadAll(r); string(left) != "NOOP\r\n" {
		t.Errorf("left %q", left)
	}
	d = NewDotReader(bufio.NewReader(strings.NewReader(long)), BareLFNormalize, false)
	if err := d.Drain(100); err != ErrNotEnded || d.Ended() {
		t.Errorf("Drain within a limit: %v", err)
	}
}

// A message with bare LFs is read to its end, and then refused.
func TestDotReaderReject(t *testing.T) {
	for in, want := range map[string]error{"a\r\n.\r\nQUIT": nil, "a\n.\nb\r\n.\r\nQUIT": ErrBareLF} {
		r := bufio.NewReader(strings.NewReader(in))
		d := NewDotReader(r, BareLFReject, false)
		_, err := io.Copy(io.Discard, d)
		left, _ := io.ReadAll(r)
		if err != want || !d.Ended() || string(left) != "QUIT" {
			t.Errorf("%q: %v, ended %v, left %q; want %v", in, err, d.Ended(), left, want)
		}
		if err := d.Drain(0); err != nil {
			t.Errorf("%q: Drain after the end: %v", in, err)
		}
	}
}

// pieces gives at most n bytes at a time.
type pieces struct {
	s string
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.s == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.s)
	p.s = p.s[n:]
	return n, nil
}

// naiveDots is what DotReader does, line by line and without haste.
func naiveDots(in string, mode BareLF, replace bool) (out string, left string, ended bool) {
	before := true // the line before ended in CRLF
	for {
		i := strings.IndexByte(in, '\n')
		if i < 0 {
			return out, "", false
		}
		line, properly := in[:i], false
		in = in[i+1:]
		if strings.HasSuffix(line, "\r") {
			line, properly = line[:len(line)-1], true
		}
		if line == "." {
			if properly && before || mode == BareLFAllow {
				return out, in, true
			}
			before = properly
			continue
		}
		before = properly
		line = strings.TrimPrefix(line, ".")
		if replace {
			if mode == BareLFAllow {
				line = strings.TrimRight(line, "\r")
			}
			line = strings.ReplaceAll(line, "\r", " ")
		}
		out += line + "\r\n"
	}
}

// However the input is cut into packets, the message is what the naive model makes of
// it, and nothing behind its end is touched.
func FuzzDotReader(f *testing.F) {
	for _, s := range []string{
		"a\r\n.\r\nx", "..\r\n.\n\r.\r\n.\r\n", "one\n.\ntwo\r\n.\r\n", "\r\r\r\n.\r\r\n.\r\n", ".\r\r\n..\r\n\n.\r\n.\r\n",
		strings.Repeat("0123456789abcdef", 5) + "\r\n.\r\n", strings.Repeat("\r", 40) + "\n.\r\n",
	} {
		f.Add(s, uint8(0), []byte{1, 2, 3})
		f.Add(s, uint8(5), []byte{16})
	}
	f.Fuzz(func(t *testing.T, in string, how uint8, cuts []byte) {
		mode, replace := BareLF(how%3), how&4 != 0
		r := bufio.NewReaderSize(&cutReader{in, cuts, 0}, 16)
		d := NewDotReader(r, mode, replace)
		var got bytes.Buffer
		_, err := d.WriteTo(&got)
		want, left, ended := naiveDots(in, mode, replace)
		if ended != d.Ended() || ended == errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q: error %v, want the end: %v", in, err, ended)
		}
		if !ended {
			if !strings.HasPrefix(got.String(), want) {
				t.Fatalf("%q: %q, want %q and perhaps more", in, got.String(), want)
			}
			return
		}
		rest, _ := io.ReadAll(r)
		if got.String() != want || string(rest) != left {
			t.Fatalf("%q:\n got %q, left %q\nwant %q, left %q", in, got.String(), rest, want, left)
		}
	})
}

// cutReader gives as many bytes at a time as cuts says, over and over.
type cutReader struct {
	s    string
	cuts []byte
	i    int
}

func (c *cutReader) Read(b []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := len(c.s)
	if len(c.cuts) > 0 {
		n = int(c.cuts[c.i%len(c.cuts)])%32 + 1
		c.i++
	}
	n = copy(b[:min(len(b), n)], c.s)
	c.s = c.s[n:]
	return n, nil
}

func BenchmarkDotReader(b *testing.B) {
	text := strings.Repeat("This is a line of a message as messages have lines, 76 bytes with CR and LF\r\n", 14000) + ".\r\n"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	r := bufio.NewReaderSize(nil, bufferSize)
	for b.Loop() {
		r.Reset(strings.NewReader(text))
		d := NewDotReader(r, BareLFNormalize, true)
		if _, err := d.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
