package header

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// complete is what the local rewriting context does, as far as testdata/fields.txt needs it.
func complete(a mail.Address, _ bool) (mail.Address, error) {
	switch {
	case a.Local == "@" && a.Domain == "":
		return mail.Address{}, nil
	case a.IsNull() || a.Domain == "" && strings.HasSuffix(a.Local, "@"):
		return a, nil
	case a.Domain != "":
	case strings.Contains(a.Local, "!"):
		a.Domain, a.Local, _ = strings.Cut(a.Local, "!")
	case strings.Contains(a.Local, "%"):
		i := strings.LastIndexByte(a.Local, '%')
		a = mail.Address{Local: a.Local[:i], Domain: a.Local[i+1:]}
	default:
		a.Domain = "mx.example.com"
	}
	if strings.HasSuffix(a.Domain, ".") && !strings.HasSuffix(a.Domain, "..") {
		a.Domain = a.Domain[:len(a.Domain)-1]
	}
	return a, nil
}

// generic is what smtp_generic_maps of the recording do.
func generic(a mail.Address, _ bool) (mail.Address, error) {
	switch {
	case a.Domain == "" && strings.EqualFold(a.Local, "bob"):
		return mail.Address{Local: "robert", Domain: "example.org"}, nil
	case !strings.EqualFold(a.Domain, "example.net"):
		return a, nil
	case strings.EqualFold(a.Local, "ann"):
		a.Local = "anna"
	}
	a.Domain = "example.org"
	return a, nil
}

func same(a mail.Address, _ bool) (mail.Address, error) { return a, nil }

// recorded reads testdata/fields.txt.
func recorded(t testing.TB) (fields [][4]string) {
	t.Helper()
	b, err := os.ReadFile("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var f [4]string
		for i, quoted := range strings.Split(strings.TrimSpace(line), "\t") {
			if f[i], err = strconv.Unquote(quoted); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			f[i] = strings.ReplaceAll(f[i], "\n", "\r\n")
		}
		fields = append(fields, f)
	}
	return fields
}

// What Postfix made of fields, in cleanup(8) and in smtp(8).
func TestRewriteAsPostfix(t *testing.T) {
	for _, f := range recorded(t) {
		t.Run(f[0], func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 1 << 20} {
				for _, c := range []struct {
					o    Options
					want string
				}{{Options{Rewrite: complete}, f[2]}, {Options{Rewrite: generic, KeepSpelling: true}, f[3]}} {
					got, _ := write(t, c.o, "Subject: x\r\n"+f[1]+"X: y\r\n\r\nTo: bob\r\n", size)
					if want := "Subject: x\r\n" + c.want + "X: y\r\n\r\nTo: bob\r\n"; got != want {
						t.Fatalf("in pieces of %d: %q\n got %q\nwant %q", size, f[1], got, want)
					}
				}
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name string
		o    Options
		in   string
		want string
	}{
		{"nothing to do", Options{Rewrite: same}, "To:  a ,\n b\n\n", "To:  a ,\n b\n\n"},
		{"no rewriting", Options{}, "To: a,b\n\n", "To: a,b\n\n"},
		{"the last field, no body", Options{Rewrite: complete}, "To: a\n", "To: a@mx.example.com\n"},
		{"the last field, no line end", Options{Rewrite: complete}, "To: a", "To: a@mx.example.com\n"},
		{"the last field, folded, no line end", Options{Rewrite: complete}, "To: a,\n b", "To: a@mx.example.com, b@mx.example.com\n"},
		{"no empty line before the body", Options{Rewrite: complete}, "To: a\nbody\n", "To: a@mx.example.com\n\nbody\n"},
		{"half a line behind", Options{Rewrite: complete}, "To: a\nbody", "To: a@mx.example.com\n\nbody"},
		{"two fields", Options{Rewrite: complete}, "To: a\nCc: b\nFrom: c@d\n\n", "To: a@mx.example.com\nCc: b@mx.example.com\nFrom: c@d\n\n"},
		{"mbox line above", Options{Rewrite: complete}, "From x\nTo: a\n\n", "X-Mailbox-Line: From x\nTo: a@mx.example.com\n\n"},
		{"dropped", Options{Rewrite: complete, DropFields: drop}, "Bcc: a\n b\nTo: c\nBcc: d\n\n", "To: c@mx.example.com\n\n"},
		{"dropped between", Options{Rewrite: complete, DropFields: drop}, "A: b\nBcc: a\nTo: c\nBcc: d\nE: f\n\n", "A: b\nTo: c@mx.example.com\nE: f\n\n"},
		{"with a NUL", Options{Rewrite: complete}, "To: a\x00b\n\n", "To: a\x00b\n\n"},
		{"as long as may be", Options{Rewrite: complete, HeaderSizeLimit: 8}, "To: ab\n\n", "To: ab@mx.example.com\n\n"},
		{"too long", Options{Rewrite: complete, HeaderSizeLimit: 8}, "To: abc\nCc: a\n\n", "To: abc\nCc: a@mx.example.com\n\n"},
		{"too long, folded", Options{Rewrite: complete, HeaderSizeLimit: 40}, "To: a,\n b, " + long + "\n c\nCc: a\n\n", "To: a,\n b, " + long + "\n c\nCc: a@mx.example.com\n\n"},
		{"too many tokens", Options{Rewrite: complete, TokenLimit: 3}, "To: a, b, c\n\n", "To: a@mx.example.com, b@mx.example.com\n\n"},
		{"too many tokens, complete", Options{Rewrite: complete, TokenLimit: 3}, "To: a@b, c@d\n\n", "To: a@b, c@d\n\n"},
		{"a name written differently", Options{Rewrite: same}, "To: \"a\"@b, c\n\n", "To: a@b, c\n\n"},
		{"a name written differently, by itself no change", Options{Rewrite: same, KeepSpelling: true}, "To: \"a\"@b, c\n\n", "To: \"a\"@b, c\n\n"},
		{"one changed, the other written differently", Options{Rewrite: complete, KeepSpelling: true}, "To: \"a\"@b, c\n\n", "To: a@b, c@mx.example.com\n\n"},
		// Postfix takes the @ in the quotes for the one before the domain, and makes
		// ""@one.example of the second.
		{"generic, an @ in quotes", Options{Rewrite: generic, KeepSpelling: true}, "To: \"bob, ann@example.net\n\n", "To: \"bob, ann@example.net\n\n"},
		{"generic, a source route", Options{Rewrite: generic, KeepSpelling: true}, "To: <@one.example,@two.example:bob@example.net>\n\n", "To: <bob@example.org>\n\n"},
		{"missing fields", Options{Rewrite: complete, AddMissing: true, ID: 1, MyHostname: "h", Now: noon, From: mail.Address{Local: "bob"}},
			"Message-ID: <x>\nDate: y\n\n", "Message-ID: <x>\nDate: y\nFrom: bob\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, want := strings.ReplaceAll(tt.in, "\n", "\r\n"), strings.ReplaceAll(tt.want, "\n", "\r\n")
			for size := 1; size <= len(in); size++ {
				if got, _ := write(t, tt.o, in, size); got != want {
					t.Fatalf("in pieces of %d:\n got %q\nwant %q", size, got, want)
				}
			}
		})
	}
}

// Who is asked, and about what.
func TestRewriteRoles(t *testing.T) {
	var asked []string
	o := Options{Rewrite: func(a mail.Address, sender bool) (mail.Address, error) {
		role := " to"
		if sender {
			role = " from"
		}
		asked = append(asked, a.String()+role)
		return a, nil
	}}
	write(t, o, "From: a@b, c\r\nREPLY-TO : d\r\nTo: x: \"e f\"@g, h;\r\nResent-Reply-To: i\r\nX-From: j\r\nReturn-Path: <>\r\nCc: \"\", k@\r\n\r\nTo: l\r\n", 1000)
	want := []string{"a@b from", "c from", "d from", `"e f"@g to`, "h to", "i to", " to", "k@ to"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}

// An error of Rewrite is that of Write, or of Close when the field ended the message.
func TestRewriteError(t *testing.T) {
	down := errors.New("no answer")
	o := Options{Rewrite: func(mail.Address, bool) (mail.Address, error) { return mail.Address{}, down }}
	for _, in := range []string{"To: a\r\nX: y\r\n", "To: a\r\n\r\n", "To: a\r\nbody"} {
		var out bytes.Buffer
		w := NewWriter(&out, o)
		if _, err := w.Write([]byte(in)); err != down && !errors.Is(w.Close(), down) || w.Close() != down {
			t.Errorf("%q: Write: %v, Close: %v", in, err, w.Close())
		}
		if out.Len() > 0 {
			t.Errorf("%q: wrote %q", in, out.String())
		}
	}
}

// A table may lead to an address that takes SMTPUTF8.
func TestRewriteToUTF8(t *testing.T) {
	o := Options{Rewrite: func(a mail.Address, _ bool) (mail.Address, error) {
		return mail.Address{Local: "jürgen", Domain: a.Domain}, nil
	}}
	got, w := write(t, o, "To: juergen@example.net\r\n\r\n", 100)
	if got != "To: jürgen@example.net\r\n\r\n" || !w.EightBit() {
		t.Errorf("%q, 8-bit: %v", got, w.EightBit())
	}
}

// An oversized field costs no more memory than one that just fits.
func TestRewriteMemory(t *testing.T) {
	w := NewWriter(new(bytes.Buffer), Options{Rewrite: complete, HeaderSizeLimit: 1000})
	w.Write([]byte("To: a"))
	for range 1000 {
		w.Write([]byte(", someone else\r\n "))
		if n := cap(w.held.field); n > 4000 {
			t.Fatalf("holds %d bytes", n)
		}
	}
}

// FuzzRewrite: how a message is cut makes no difference. What is not changed keeps its
// bytes, and what is changed holds the addresses that it was changed to, in their order
// (as long as the syntax is one that anybody understands).
func FuzzRewrite(f *testing.F) {
	for _, r := range recorded(f) {
		_, value, _ := strings.Cut(r[1], ":")
		f.Add(strings.TrimSuffix(value, "\r\n"), 3)
	}
	f.Fuzz(func(t *testing.T, value string, size int) {
		if size <= 0 || len(value) > 2000 {
			return
		}
		// A value in one line or in several, each of which begins with whitespace.
		value = strings.NewReplacer("\r\n", "\r\n ", "\r", " ", "\n", "\r\n ").Replace(value)
		in := "To:" + value + "\r\n\r\nbody\r\n"
		if got, _ := write(t, Options{Rewrite: same, KeepSpelling: true}, in, size); got != in {
			t.Fatalf("%q became %q without a change", in, got)
		}
		var to []mail.Address
		// Syntax that means something else once the address in it is another, or phrases
		// that are left out.
		odd := len(value) > maxOther
		o := Options{KeepSpelling: true, Rewrite: func(a mail.Address, _ bool) (mail.Address, error) {
			odd = odd || strings.ContainsAny(a.Internal(), `:;<>,()[]\`)
			n := mail.Address{Local: "user" + strconv.Itoa(len(to)), Domain: "example.org"}
			if len(to)%3 == 1 {
				n.Local = `odd "user" \ ` + n.Local
			}
			to = append(to, n)
			return n, nil
		}}
		whole, _ := write(t, o, in, len(in))
		want := slices.Clone(to)
		to = to[:0]
		if cut, _ := write(t, o, in, size); cut != whole {
			t.Fatalf("%q in pieces of %d: %q, whole %q", in, size, cut, whole)
		}
		if len(want) == 0 || odd {
			if whole != in && !odd {
				t.Fatalf("%q without an address became %q", in, whole)
			}
			return
		}
		var again []mail.Address
		write(t, Options{Rewrite: func(a mail.Address, _ bool) (mail.Address, error) {
			again = append(again, a)
			return a, nil
		}}, whole, len(whole))
		if !slices.Equal(again, want) {
			t.Fatalf("%q became %q, which has %v in place of %v", in, whole, again, want)
		}
	})
}

func BenchmarkRewrite(b *testing.B) {
	in := []byte("Received: from a by b; Sat, 01 Nov 2025 10:00:00 +0000\r\nFrom: A <a@b.example>\r\nTo: c@d.example, e@f.example\r\n" +
		"Subject: hello\r\nDate: Sat, 01 Nov 2025 10:00:00 +0000\r\nMessage-ID: <x@y.example>\r\n\r\n" + strings.Repeat("text\r\n", 500))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter(new(bytes.Buffer), Options{Rewrite: same})
		w.Write(in)
		w.Close()
	}
}
