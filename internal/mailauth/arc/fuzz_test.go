package arc

import (
	"crypto/sha256"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// FuzzParse: what parses has what a set needs, and taking b= out of a field takes nothing
// else.
func FuzzParse(f *testing.F) {
	f.Add(" i=1; a=rsa-sha256; cv=none; d=a.example; s=b; b=QUJD\r\n\tREVG")
	f.Add(" i=2; a=ed25519-sha256; c=relaxed; d=a; s=b; h=from:to; bh=QQ==; b=QQ==; l=3; x=4; t=5")
	f.Add(" i = 3 ; mx.example; spf=pass")
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{nameAAR, nameAMS, nameAS} {
			// As a header has it: no line of it is empty, and each but the first begins with
			// white space.
			lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\r' || r == '\n' })
			fd := &field{name: name, raw: []byte(name + ":" + strings.Join(lines, "\r\n ") + "\r\n")}
			var s set
			instance, err := s.read(fd)
			if err != nil {
				if _, ok := err.(*broken); !ok {
					t.Errorf("%q: an error of another kind: %v", value, err)
				}
				continue
			}
			if instance < 1 || instance > MaxInstances {
				t.Errorf("%q: i=%d", value, instance)
			}
			sig := s.signature
			if name == nameAS {
				sig = s.sealing
			}
			if sig == nil {
				continue
			}
			if sig.domain == "" || sig.selector == "" || len(sig.b) == 0 {
				t.Errorf("%q: %+v", value, sig)
			}
			before, err := parseTags(string(fd.value()))
			if err != nil {
				t.Fatalf("%q: %v", value, err)
			}
			stripped := field{raw: withoutSignature(nil, fd.raw)}
			after, err := parseTags(string(stripped.value()))
			if err != nil || after["b"] != "" || len(after) != len(before) {
				t.Errorf("%q: %q, %v", value, stripped.raw, err)
			}
			for k, v := range before {
				if k != "b" && after[k] != v {
					t.Errorf("%q: %s=%q became %q", value, k, v, after[k])
				}
			}
		}
	})
}

// FuzzVerify: a message passes only if it is what was sealed. The number of questions is
// bounded by the keys of the chain.
func FuzzVerify(f *testing.F) {
	w := &world{}
	*w = *newWorld(f)
	m := sealed(f, w.ed, sealed(f, w.ed, letter, mail.AuthNone), mail.AuthPass)
	f.Add(m)
	f.Add(letter)
	f.Add(strings.Replace(m, "i=2", "i=3", 2))
	f.Add(strings.Replace(m, "c=relaxed/relaxed", "c=simple", 1))
	f.Add(strings.ReplaceAll(m, "cv=pass", "cv=fail"))
	want := bodySum(m)
	f.Fuzz(func(t *testing.T, message string) {
		w.Asked()
		c, err := Verify(t.Context(), strings.NewReader(message), VerifyOptions{Resolver: w.Resolver(), Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		if asked := w.Asked(); len(asked) > c.Instances+1 {
			t.Errorf("%d questions for %d sets", len(asked), c.Instances)
		}
		switch c.CV {
		case mail.AuthNone:
			if c.Instances != 0 || c.Reason != "" {
				t.Errorf("%+v", c)
			}
		case mail.AuthFail:
			if c.Reason == "" || c.OldestPass != 0 {
				t.Errorf("%+v", c)
			}
		case mail.AuthPass:
			if bodySum(message) != want || !strings.Contains(message, "Ann <ann@author.example>") {
				t.Errorf("passes, and was never sealed: %q", message)
			}
			// Whoever goes on from here can.
			next := sealed(t, w.ed, message, c.CV)
			if again := w.verify(t, next); again.CV != mail.AuthPass || again.Instances != c.Instances+1 {
				t.Errorf("sealed again: %+v\n%s", again, next)
			}
		default:
			t.Errorf("cv=%s", c.CV)
		}
		// A seal of ours never makes a chain pass that does not.
		if seal, err := w.rsa.Seal(t.Context(), strings.NewReader(message), results, c.CV); err == nil && seal.Fields != nil && c.CV == mail.AuthFail {
			if again := w.verify(t, string(seal.Fields)+message); again.CV == mail.AuthPass {
				t.Errorf("was %+v, is %+v", c, again)
			}
		}
	})
}

func bodySum(message string) [32]byte {
	r := bufioReader(message)
	readHeader(r, maxHeader)
	b := newBodyHash(true)
	r.WriteTo(b)
	b.end()
	return sha256.Sum256(b.sum)
}
