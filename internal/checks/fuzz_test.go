package checks

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
)

// FuzzIdentity: a message that no rule matches passes byte for byte, for every split, and
// the tables are asked the same.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{
		"Subject: a\r\n b\r\n\r\nbody\r\n",
		"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nX: 1\r\n\r\nx\r\n--B--\r\n",
		"Content-Type: message/rfc822\r\n\r\nX: 1\r\n\r\n",
		"From a b\r\n\r\n", " \r\n", "\r\r\n\r", "X: 123456789\r\r\n", "--\n--\n", ":",
		"Content-Type: multipart/x; boundary=\"\"\n\n--\nX:\n--x\n", strings.Repeat("a", 40) + "\r\n",
	} {
		f.Add([]byte(seed), uint8(1), uint8(8), true)
		f.Add([]byte(seed), uint8(3), uint8(200), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, split, limit uint8, body bool) {
		o := func(asked *asked) Options {
			o := Options{
				Header: []Table{asked}, MIME: []Table{asked}, Nested: []Table{asked},
				HeaderSizeLimit: 1 + int(limit)*2, LineLengthLimit: 1 + int(limit), NestingLimit: 2, BoundaryLengthLimit: 1 + int(limit)/2,
				BodySizeLimit: int64(split) * 8,
			}
			if body {
				o.Body = []Table{asked}
			}
			return o
		}
		var whole, parts asked
		_, out := pass(t, o(&whole), Message{}, string(in), 0)
		if out != string(in) {
			t.Fatalf("at once: %q became %q", in, out)
		}
		g, out := pass(t, o(&parts), Message{}, string(in), 1+int(split))
		if out != string(in) {
			t.Fatalf("in pieces of %d: %q became %q", 1+int(split), in, out)
		}
		if fmt.Sprintf("%q", whole) != fmt.Sprintf("%q", parts) {
			t.Fatalf("at once the tables were asked for %q, in pieces for %q", whole, parts)
		}
		for _, key := range whole {
			if len(key) > g.o.HeaderSizeLimit+len(mboxName)+2 && len(key) > g.o.LineLengthLimit {
				t.Fatalf("a key of %d bytes", len(key))
			}
		}
		if len(g.within) > g.o.NestingLimit+2 {
			t.Fatalf("%d boundaries", len(g.within))
		}
	})
}

// asked keeps what it was asked for, and knows nothing.
type asked []string

func (a *asked) Name() string { return "test:asked" }

func (a *asked) Lookup(_ context.Context, key string) (string, bool, error) {
	*a = append(*a, key)
	return "", false, nil
}

// FuzzActions: whatever the tables say, what is held stays bounded, what comes out does not
// depend on the split, and each string is asked for once.
func FuzzActions(f *testing.F) {
	f.Add([]byte("Subject: a\r\nX: b\r\n\r\nbody\r\n"), []byte("IGNORE\nREPLACE X: 1\nREJECT\nPREPEND y"), uint8(2))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nX: 1\r\n\r\nx\r\n"), []byte("WARN\nIGNORE\nBCC a@b\nFILTER a:b"), uint8(0))
	f.Fuzz(func(t *testing.T, in, values []byte, split uint8) {
		table := chosen(bytes.Split(values, []byte{'\n'}))
		o := Options{
			Header: []Table{table}, MIME: []Table{table}, Nested: []Table{table}, Body: []Table{table},
			HeaderSizeLimit: 40, LineLengthLimit: 20,
		}
		for _, returnable := range []bool{true, false} {
			m := Message{Returnable: returnable}
			a, whole := pass(t, o, m, string(in), 0)
			b, parts := pass(t, o, m, string(in), 1+int(split))
			if whole != parts || fmt.Sprint(a.Refused(), a.Handling(), a.Hops()) != fmt.Sprint(b.Refused(), b.Handling(), b.Hops()) {
				t.Fatalf("at once %q %v, in pieces %q %v", whole, a.Handling(), parts, b.Handling())
			}
			if cap(b.field.raw) > 4*o.HeaderSizeLimit || cap(b.line) > 4*(o.LineLengthLimit+2) {
				t.Fatalf("holds %d bytes of a field and %d of a line", cap(b.field.raw), cap(b.line))
			}
		}
	})
}

// chosen answers with one of its values, by the key.
type chosen [][]byte

func (c chosen) Name() string { return "test:chosen" }

func (c chosen) Lookup(_ context.Context, key string) (string, bool, error) {
	sum := 0
	for i := range key {
		sum += int(key[i])
	}
	value := string(c[sum%len(c)])
	return value, sum%3 == 0 && value != "", nil
}
