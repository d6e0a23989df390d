package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSubmissionReader(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tc := range []struct {
		name  string
		in    string
		dots  bool
		limit int64
		want  string
		err   error
	}{
		{"as it is", "Subject: x\n\nb\n", true, 0, "Subject: x\n\nb\n", nil},
		{"a dot ends", "a\n.\nafter\n", true, 0, "a\n", nil},
		{"a dot ends, CRLF", "a\r\n.\r\nafter\r\n", true, 0, "a\r\n", nil},
		{"a dot at the end of input", "a\n.", true, 0, "a\n", nil},
		{"a dot with -i", "a\n.\nafter\n", false, 0, "a\n.\nafter\n", nil},
		{"more than a dot", "a\n..\n. \n.x\n", true, 0, "a\n..\n. \n.x\n", nil},
		{"no line end", "a\nb", true, 0, "a\nb", nil},
		{"nothing", "", true, 0, "", nil},
		{"an mbox line", "From x Sat\n>From y\nFrom: z\nFrom here\n", true, 0, "From: z\nFrom here\n", nil},
		{"an mbox line in the body", "\nFrom here\n", true, 0, "\nFrom here\n", nil},
		{"long lines", long + "\n.\n", true, 0, long + "\n", nil},
		{"a dot in the middle of a long line", strings.Repeat("y", 32<<10) + ".\nmore\n", true, 0, strings.Repeat("y", 32<<10) + ".\nmore\n", nil},
		{"at the limit", "12345\n", true, 6, "12345\n", nil},
		{"above the limit", "12345\n7", true, 6, "12345\n", errTooBig},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "half": iotest.HalfReader,
		} {
			got, err := io.ReadAll(newSubmission(wrap(strings.NewReader(tc.in)), tc.dots, tc.limit, nil))
			if string(got) != tc.want || !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("%s, read %s: got %.80q, %v; want %.80q, %v", tc.name, how, got, err, tc.want, tc.err)
			}
		}
	}
	_, err := io.ReadAll(newSubmission(iotest.ErrReader(io.ErrUnexpectedEOF), true, 0, nil))
	if !errors.Is(err, errReading) {
		t.Errorf("input that fails: %v", err)
	}
}

func TestHeaderRecipients(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"the three fields", "To: a@b.example\nCc: B <c@d.example>\nbcc:e@f.example\nX-To: no@no\n\nTo: body@x\n", "a@b.example | c@d.example | e@f.example"},
		{"folded", "To: a@b.example,\n c@d.example,\n\t\"e\n f\" <g@h.example>\nSubject: x\n", "a@b.example | c@d.example | g@h.example"},
		{"CRLF", "To: a@b.example,\r\n c@d.example\r\n\r\nTo: x\r\n", "a@b.example | c@d.example"},
		{"Resent fields alone count", "To: a@b.example\nResent-To: r@s.example\nBcc: c@d.example\n\n", "r@s.example"},
		{"Resent-Bcc", "Resent-Bcc: rb@x.example\nTo: q@x.example\n\n", "rb@x.example"},
		{"other Resent fields do not", "Resent-From: x@y.example\nTo: a@b.example\nCc: c@d\n\n", "a@b.example | c@d"},
		{"Apparently-To is nothing", "Apparently-To: q@x.example\n\n", ""},
		{"space before the colon", "to : q@x.example\ncC:c@d.example\n\n", "q@x.example | c@d.example"},
		{"no header", "not a header\nTo: a@b.example\n", ""},
		{"a header that breaks off", "To: a@b.example\nnot a header\nCc: c@d.example\n", "a@b.example"},
		{"a continuation of nothing", " To: a@b.example\nTo: c@d\n", ""},
		{"mbox line first", "From MAILER Jan 1\nTo: a@b.example\n\n", "a@b.example"},
		{"a long field", "To: " + strings.Repeat("x@y.example,\n ", 5000) + "z@z\n\n", strings.Repeat("x@y.example | ", 5000) + "z@z"},
		{"a long line", "To: " + strings.Repeat("x@y.example, ", 5000) + "z@z\n\n", strings.Repeat("x@y.example | ", 5000) + "z@z"},
		{"another long line", "X: " + strings.Repeat("x", 100000) + "\nTo: a@b\n\n", "a@b"},
		{"no body", "To: a@b", "a@b"},
	} {
		h := &headerRecipients{}
		if _, err := io.Copy(io.Discard, newSubmission(strings.NewReader(tc.in), true, 0, h)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := shownAddresses(h.found()); got != tc.want {
			t.Errorf("%s: got %.200s, want %.200s", tc.name, got, tc.want)
		}
	}
	h := &headerRecipients{}
	_, err := io.Copy(io.Discard, newSubmission(strings.NewReader("To: "+strings.Repeat("x@y, ", maxRecipientField/5)+"\n"), true, 0, h))
	if err != errFieldTooLong {
		t.Errorf("a field that is too long: %v", err)
	}
}

// The header is read in pieces as it comes; how it is cut makes no difference.
func FuzzHeaderRecipients(f *testing.F) {
	for _, s := range []string{"To: a@b\nCc: c@d,\n e@f\n\nTo: x\n", "To:\n a\r\n", " x\nTo: a\n", "From x\nResent-To: a@b\nTo: c\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		read := func(r io.Reader) (string, string) {
			h := &headerRecipients{}
			b, err := io.ReadAll(newSubmission(r, false, 0, h))
			if err != nil {
				t.Fatal(err)
			}
			return string(b), shownAddresses(h.found())
		}
		text, whole := read(strings.NewReader(in))
		cutText, cut := read(iotest.OneByteReader(strings.NewReader(in)))
		if text != cutText || whole != cut {
			t.Errorf("%q: %q and %q, byte by byte %q and %q", in, text, whole, cutText, cut)
		}
		if !strings.HasSuffix(in, text) {
			t.Errorf("%q became %q", in, text)
		}
	})
}
