package header

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// dropOurs takes out the fields of two names that say "ours", and notes what it is asked.
func dropOurs(asked *[]string) Options {
	return Options{MayDrop: []string{"authentication-results", "X-Seal"}, HeaderSizeLimit: 200,
		Drop: func(name string, field []byte) bool {
			if asked != nil {
				*asked = append(*asked, name+"|"+string(field))
			}
			return bytes.Contains(field, []byte("ours"))
		}}
}

func TestDrop(t *testing.T) {
	long := strings.Repeat("y", 300)
	for _, c := range []struct{ name, in, want, asked string }{
		{"not asked", "Subject: ours\n\nours\n", "Subject: ours\n\nours\n", ""},
		{"kept", "Authentication-Results: x; none\nTo: a\n\n", "Authentication-Results: x; none\nTo: a\n\n",
			"authentication-results|Authentication-Results: x; none\n"},
		{"dropped", "A: b\nAUTHENTICATION-RESULTS: ours; none\nTo: a\n\n", "A: b\nTo: a\n\n",
			"authentication-results|AUTHENTICATION-RESULTS: ours; none\n"},
		{"folded", "A: b\nAuthentication-Results:\n\tours;\n\tnone\nTo: a\n\nx\n", "A: b\nTo: a\n\nx\n",
			"authentication-results|Authentication-Results:\n\tours;\n\tnone\n"},
		{"space before the colon", "x-seal \t: ours\nTo: a\n\n", "To: a\n\n", "X-Seal|x-seal \t: ours\n"},
		{"one after the other", "X-Seal: a\nX-Seal: ours\nX-Seal: b\n c\nX-Seal: ours\n\n", "X-Seal: a\nX-Seal: b\n c\n\n",
			"X-Seal|X-Seal: a\n,X-Seal|X-Seal: ours\n,X-Seal|X-Seal: b\n c\n,X-Seal|X-Seal: ours\n"},
		{"last, no body", "To: a\nX-Seal: ours\n", "To: a\n", "X-Seal|X-Seal: ours\n"},
		{"last, no line end", "To: a\nX-Seal: ours", "To: a\n", "X-Seal|X-Seal: ours\n"},
		{"kept, no line end", "To: a\nX-Seal: b", "To: a\nX-Seal: b\n", "X-Seal|X-Seal: b\n"},
		{"then no header", "X-Seal: ours\nbody\n", "\nbody\n", "X-Seal|X-Seal: ours\n"},
		{"too long to judge", "X-Seal: " + long + "\n z\nTo: a\n\n", "To: a\n\n", ""},
		{"too long in its second line", "X-Seal: a\n " + long + "\nX-Seal: b\n\n", "X-Seal: b\n\n", "X-Seal|X-Seal: b\n"},
		{"too long and last", "To: a\nX-Seal: " + long, "To: a\n", ""},
		{"long, of another name", "X-Other: " + long + "\n\n", "X-Other: " + long + "\n\n", ""},
		{"another name that begins alike", "X-Sealed: ours\n\n", "X-Sealed: ours\n\n", ""},
		{"in the body", "A: b\n\nX-Seal: ours\n", "A: b\n\nX-Seal: ours\n", ""},
		{"below an mbox line", "From x\nX-Seal: ours\nA: b\n\n", "X-Mailbox-Line: From x\nA: b\n\n", "X-Seal|X-Seal: ours\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
			in := crlf(c.in)
			for cut := 1; cut <= len(in); cut++ {
				var asked []string
				var out bytes.Buffer
				w := NewWriter(&out, dropOurs(&asked))
				w.Write([]byte(in[:cut]))
				w.Write([]byte(in[cut:]))
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if out.String() != crlf(c.want) {
					t.Fatalf("cut at %d: got %q, want %q", cut, out.String(), crlf(c.want))
				}
				if got := strings.Join(asked, ","); got != crlf(c.asked) {
					t.Fatalf("cut at %d: asked %q, want %q", cut, got, crlf(c.asked))
				}
			}
			for size := 1; size < 8; size++ {
				if got, _ := write(t, dropOurs(nil), in, size); got != crlf(c.want) {
					t.Fatalf("in pieces of %d: got %q, want %q", size, got, crlf(c.want))
				}
			}
		})
	}
}

// What message_drop_headers takes out is asked about by nobody.
func TestDropOfDroppedFields(t *testing.T) {
	o := dropOurs(nil)
	o.DropFields = []string{"x-seal"}
	o.Drop = func(string, []byte) bool { t.Error("asked"); return false }
	if got, _ := write(t, o, "X-Seal: a\r\n\r\n", 3); got != "\r\n" {
		t.Errorf("got %q", got)
	}
}

// A field that is asked about and stays is rewritten as ever.
func TestDropThenRewrite(t *testing.T) {
	o := Options{MayDrop: []string{"from"}, Drop: func(_ string, f []byte) bool { return bytes.Contains(f, []byte("evil")) },
		Rewrite: func(a mail.Address, _ bool) (mail.Address, error) { a.Domain = "b.example"; return a, nil }}
	in := "From: x@evil.example\r\nTo: r@a.example\r\nFrom: y@a.example\r\n\r\n"
	want := "To: r@b.example\r\nFrom: y@b.example\r\n\r\n"
	for size := 1; size <= len(in); size++ {
		if got, _ := write(t, o, in, size); got != want {
			t.Fatalf("in pieces of %d: got %q, want %q", size, got, want)
		}
	}
}

// 8-bit bytes count where they go on, and only there.
func TestDropEightBit(t *testing.T) {
	for in, want := range map[string]bool{
		"X-Seal: ours ü\r\n\r\n":                            false,
		"X-Seal: ü\r\n\r\n":                                 true,
		"X-Seal: ü" + strings.Repeat("x", 300) + "\r\n\r\n": false,
		"X-Seal: ours\r\nA: ü\r\n\r\n":                      true,
	} {
		for size := 1; size < 20; size++ {
			if _, w := write(t, dropOurs(nil), in, size); w.EightBit() != want {
				t.Errorf("%q in pieces of %d: %v", in, size, w.EightBit())
			}
		}
	}
}

// What is held back is bounded by header_size_limit.
func TestDropMemory(t *testing.T) {
	w := NewWriter(writerFunc(func(p []byte) (int, error) { return len(p), nil }), dropOurs(nil))
	w.Write([]byte("X-Seal: "))
	for range 1000 {
		w.Write(bytes.Repeat([]byte("y"), 100))
	}
	if cap(w.asked.field) > 1024 {
		t.Errorf("%d bytes are held", cap(w.asked.field))
	}
}

// How a message is cut makes no difference; and without a field that is asked about and
// taken out, nothing is different from no asking at all.
func FuzzDrop(f *testing.F) {
	for _, s := range []string{
		"X-Seal: ours\r\n\r\nx", "X-Seal : a\r\n b\r\nAuthentication-Results: ours\r\n\r\n", "X-Seal", "From x\r\nX-Seal: \r\n ours\r\nx\r\n",
		"Message-Id: a\r\nX-Seal: ours\r\nReceived: b\r\n\r\n", "X-Seal: " + strings.Repeat("ü", 150) + "\r\n\r\n",
	} {
		f.Add(s, 1)
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size <= 0 {
			return
		}
		whole, w := write(t, dropOurs(nil), in, len(in)+1)
		cut, w2 := write(t, dropOurs(nil), in, size)
		if whole != cut || w.Hops() != w2.Hops() || !slices.Equal(w.MessageIDs(), w2.MessageIDs()) || w.EightBit() != w2.EightBit() {
			t.Fatalf("%q in pieces of %d: %q, whole %q", in, size, cut, whole)
		}
		o := dropOurs(nil)
		o.Drop, o.HeaderSizeLimit = func(string, []byte) bool { return false }, len(in)+100
		kept, k := write(t, o, in, size)
		plain, p := write(t, Options{}, in, size)
		if kept != plain || k.EightBit() != p.EightBit() {
			t.Fatalf("%q with nothing taken out: %q, want %q", in, kept, plain)
		}
	})
}
