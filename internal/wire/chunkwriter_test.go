package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// chunkWrite sends a message in blocks cut at a place, as a chunk of size octets.
func chunkWrite(message []byte, size int64, cut int) (sent []byte, err error) {
	var out bytes.Buffer
	var c ChunkWriter
	c.Reset(&out, size)
	if _, err = c.Write(message[:cut]); err == nil {
		if _, err = c.Write(message[cut:]); err == nil {
			err = c.Close()
		}
	}
	return out.Bytes(), err
}

func TestChunkWriter(t *testing.T) {
	for _, c := range []struct {
		name, message string
		size          int // more than the message has
		ok            bool
	}{
		{"nothing", "", 0, true},
		{"one line", "a\r\n", 0, true},
		{"only a line end", "\r\n", 0, true},
		{"dots stay", ".\r\n..\r\n.a\r\n", 0, true},
		{"NUL and 8-bit", "\x00\xff\r\n", 0, true},
		{"empty lines", "\r\n\r\n\r\n", 0, true},
		{"too short", "a\r\n", 1, false},
		{"too long", "a\r\nb\r\n", -3, false},
		{"one too long", "a\r\n", -1, false},
		{"no line end", "a\r\nb", 0, false},
		{"CR last", "a\r\nb\r", 0, false},
		{"bare LF", "a\nb\r\n", 0, false},
		{"bare LF last", "a\r\nb\n", 0, false},
		{"LF first", "\na\r\n", 0, false},
		{"stray CR", "a\rb\r\n", 0, false},
		{"CR CRLF", "a\r\r\n", 0, false},
		{"CRLF LF", "a\r\n\nb\r\n", 0, false},
		{"a CR for a LF elsewhere", "a\rb\nc\r\n", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			size := len(c.message) + c.size
			for cut := range len(c.message) + 1 {
				sent, err := chunkWrite([]byte(c.message), int64(size), cut)
				if c.ok && (err != nil || string(sent) != c.message) {
					t.Errorf("cut at %d: %q, %v", cut, sent, err)
				}
				if !c.ok && (!errors.Is(err, ErrChunk) || len(sent) >= size) {
					t.Errorf("cut at %d: sent %q of %d octets, %v", cut, sent, size, err)
				}
			}
		})
	}
}

// FuzzChunkWriter: what is sent without an error is the message, in as many octets as
// were announced, and has no CR and no LF but in CRLF; with an error the chunk is never
// whole, and never has an octet too many.
func FuzzChunkWriter(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n.b\r\n"), uint(3), 0)
	f.Add([]byte("a\r\r\n\nb\r"), uint(2), 1)
	f.Add([]byte("\r\n"), uint(1), -1)
	f.Fuzz(func(t *testing.T, message []byte, cut uint, more int) {
		size := len(message) + more%3
		if size < 0 {
			return
		}
		sent, err := chunkWrite(message, int64(size), int(cut%uint(len(message)+1)))
		if err != nil {
			if len(sent) >= size && size > 0 {
				t.Fatalf("%q: %d octets sent of a chunk of %d that failed", message, len(sent), size)
			}
			return
		}
		if len(sent) != size || !bytes.Equal(sent, message) {
			t.Fatalf("%q: sent %q, announced %d", message, sent, size)
		}
		if strings.ContainsAny(strings.ReplaceAll(string(sent), "\r\n", ""), "\r\n") {
			t.Fatalf("bare CR or LF in %q", sent)
		}
	})
}
