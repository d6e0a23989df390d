package dkim

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// canonBody passes a body through in parts of a size.
func canonBody(f form, text string, part int) string {
	var b strings.Builder
	w := &body{form: f, out: func(p []byte) { b.Write(p) }}
	for len(text) > 0 {
		n := min(part, len(text))
		w.Write([]byte(text[:n]))
		text = text[n:]
	}
	w.Close()
	return b.String()
}

// TestRFC6376_3_4_Bodies: the RFC's own examples, and the ends of bodies.
func TestRFC6376_3_4_Bodies(t *testing.T) {
	for _, c := range []struct{ in, simple, relaxed string }{
		{" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"}, // section 3.4.5
		{"", "\r\n", ""},
		{"\r\n", "\r\n", ""},
		{"\r\n\r\n\r\n", "\r\n", ""},
		{" \t\r\n \r\n", " \t\r\n \r\n", ""},
		{" ", " \r\n", ""},
		{"a", "a\r\n", "a\r\n"},
		{"a \t", "a \t\r\n", "a\r\n"},
		{"a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"},
		{"\r\n\r\na", "\r\n\r\na\r\n", "\r\n\r\na\r\n"},
		{"a\rb\nc\r\n", "a\rb\nc\r\n", "a\rb\nc\r\n"},
		{"a \r b\r\n", "a \r b\r\n", "a \r b\r\n"},
		{"a\r\r\n", "a\r\r\n", "a\r\r\n"},
		{"a\r", "a\r\r\n", "a\r\r\n"},
		{"a\r\n\r", "a\r\n\r\r\n", "a\r\n\r\r\n"},
		{"a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"},
		{"\x00\xff\r\n", "\x00\xff\r\n", "\x00\xff\r\n"},
	} {
		for part := 1; part <= 4; part++ {
			if got := canonBody(simple, c.in, part); got != c.simple {
				t.Errorf("%q, simple: got %q, want %q", c.in, got, c.simple)
			}
			if got := canonBody(relaxed, c.in, part); got != c.relaxed {
				t.Errorf("%q, relaxed: got %q, want %q", c.in, got, c.relaxed)
			}
		}
	}
}

// naive says the same of a body without stray CRs and LFs in the RFC's words, one after the
// other (sections 3.4.3 and 3.4.4).
func naive(f form, text string) string {
	if text != "" && !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	if f == relaxed {
		text = regexp.MustCompile(`[ \t]+\r\n`).ReplaceAllString(text, "\r\n")
		text = regexp.MustCompile(`[ \t]+`).ReplaceAllString(text, " ")
	}
	text = regexp.MustCompile(`(\r\n)*$`).ReplaceAllString(text, "")
	if text != "" || f == simple {
		text += "\r\n"
	}
	return text
}

// TestBodyModel: however a body is cut into parts, it is what the RFC says.
func TestBodyModel(t *testing.T) {
	words := []string{"a", "bc", " ", "\t", "  ", "\r\n", "\r\n\r\n", "\x00", "é", strings.Repeat("x", 5000), strings.Repeat(" ", 5000), strings.Repeat("\r\n", 3000)}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
		}
		for _, f := range []form{simple, relaxed} {
			if got, want := canonBody(f, b.String(), 1+r.IntN(6000)), naive(f, b.String()); got != want {
				t.Fatalf("seed %d, %s: %.200q: got %.200q, want %.200q", seed, f, b.String(), got, want)
			}
		}
	}
}

// TestRFC6376_3_4_Fields: fields in both forms.
func TestRFC6376_3_4_Fields(t *testing.T) {
	for _, c := range []struct{ in, relaxed string }{
		{"A: X\r\n", "a:X\r\n"}, // section 3.4.5
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"},
		{"Subject:x\r\n", "subject:x\r\n"},
		{"Subject:\r\n", "subject:\r\n"},
		{"Subject: \t \r\n", "subject:\r\n"},
		{"Subject:\r\n folded\r\n \r\n", "subject:folded\r\n"},
		{"SUBJECT:a:b  c\r\n", "subject:a:b c\r\n"},
		{"Subject: a\rb\nc\r\n", "subject:a\rb\nc\r\n"},
		{"Subject: \u00a0é\u00a0\r\n", "subject:\u00a0é\u00a0\r\n"},
		{"Subject: a", "subject:a\r\n"},
	} {
		if got := string(relaxed.appendField(nil, []byte(c.in))); got != c.relaxed {
			t.Errorf("%q: got %q, want %q", c.in, got, c.relaxed)
		}
		if got := string(simple.appendField(nil, []byte(c.in))); got != c.in {
			t.Errorf("%q, simple: %q", c.in, got)
		}
	}
}

// TestWithoutSignature: b= alone loses its value.
func TestWithoutSignature(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"DKIM-Signature: v=1; b=abc=; h=b\r\n", "DKIM-Signature: v=1; b=; h=b\r\n"},
		{"DKIM-Signature: v=1; b= ab\r\n\tc= ; z=b=1\r\n", "DKIM-Signature: v=1; b=; z=b=1\r\n"},
		{"DKIM-Signature: bh=ab=; z=x:b=2;\r\n b = abc", "DKIM-Signature: bh=ab=; z=x:b=2;\r\n b ="},
		{"DKIM-Signature:b=abc\r\n", "DKIM-Signature:b="},
		{"DKIM-Signature: B=abc;\r\n", "DKIM-Signature: B=abc;\r\n"},
		{"DKIM-Signature: v=1\r\n", "DKIM-Signature: v=1\r\n"},
	} {
		if got := string(withoutSignature([]byte(c.in))); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}
