package arc

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestSealIsTheSame: of a message and a time there is one set (Ed25519 and RSA with
// PKCS #1 v1.5 have no chance in them).
func TestSealIsTheSame(t *testing.T) {
	w := newWorld(t)
	m := sealed(t, w.ed, sealed(t, w.ed, letter, mail.AuthNone), mail.AuthPass)
	const golden = "testdata/two-sets.eml"
	if *update {
		if err := os.WriteFile(golden, []byte(m), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != m {
		t.Errorf("%v; got\n%s\nwant\n%s", err, m, want)
	}
	if a, b := sealed(t, w.rsa, m, mail.AuthPass), sealed(t, w.rsa, m, mail.AuthPass); a != b {
		t.Errorf("twice the same:\n%s\n%s", a, b)
	}
}

// TestStatus: what is said of the chain below, by what is known of it and what is there.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	whole := w.chain(t, 2)
	broken := strings.Replace(whole, "ARC-Seal: i=1", "X-Seal: i=1", 1)
	asFailed := sealed(t, w.ed, whole, mail.AuthFail)
	garbage := "ARC-Seal: nonsense\r\n" + letter
	for _, c := range []struct {
		name, message string
		status        mail.AuthResult
		instance      int
		cv            mail.AuthResult
		reason        string
	}{
		{"no chain, nobody looked", letter, "", 1, mail.AuthNone, ""},
		{"no chain", letter, mail.AuthNone, 1, mail.AuthNone, ""},
		{"no chain, and it passes", letter, mail.AuthPass, 0, "", "the chain was not verified"},
		{"no chain, and it fails", letter, mail.AuthFail, 0, "", "the chain was not verified"},
		{"passes", whole, mail.AuthPass, 3, mail.AuthPass, ""},
		{"fails", whole, mail.AuthFail, 3, mail.AuthFail, ""},
		{"nobody looked", whole, "", 0, "", "the chain was not verified"},
		{"there was none", whole, mail.AuthNone, 0, "", "the chain was not verified"},
		{"temporary", whole, mail.AuthTempError, 0, "", "the chain was not verified"},
		{"temporary, and there is none", letter, mail.AuthTempError, 0, "", "the chain was not verified"},
		{"broken", broken, mail.AuthFail, 3, mail.AuthFail, ""},
		{"broken since", broken, mail.AuthPass, 3, mail.AuthFail, ""},
		{"broken, nobody looked", broken, "", 3, mail.AuthFail, ""},
		{"sealed as failed", asFailed, mail.AuthFail, 0, "", "has been sealed as failed"},
		{"sealed as failed, and it passes", asFailed, mail.AuthPass, 0, "", "has been sealed as failed"},
		{"garbage", garbage, mail.AuthFail, 1, mail.AuthFail, ""},
		{"header without end", strings.Repeat("X: y\r\n", maxHeader/6+1), mail.AuthNone, 0, "", "the header is too long"},
	} {
		seal, err := w.rsa.Seal(t.Context(), strings.NewReader(c.message), results, c.status)
		if err != nil || seal.Reason == "" != (c.reason == "") || !strings.Contains(seal.Reason, c.reason) || c.reason != "" != (seal.Fields == nil) {
			t.Errorf("%s: %v, %q, want %q", c.name, err, seal.Reason, c.reason)
			continue
		}
		if seal.Fields == nil {
			continue
		}
		if seal.Instance != c.instance || seal.CV != c.cv || !strings.Contains(string(seal.Fields), "cv="+string(c.cv)+";") {
			t.Errorf("%s: i=%d, cv=%s\n%s", c.name, seal.Instance, seal.CV, seal.Fields)
		}
		chain := w.verify(t, string(seal.Fields)+c.message)
		if want := c.cv; want == mail.AuthNone && chain.CV != mail.AuthPass || want != mail.AuthNone && chain.CV != want {
			t.Errorf("%s: sealed with cv=%s it verifies as %+v", c.name, c.cv, chain)
		}
	}
}

// TestFailedChainIsSealedAlone: the seal of a failed chain holds over its own set.
func TestFailedChainIsSealedAlone(t *testing.T) {
	w := newWorld(t)
	seal, err := w.ed.Seal(t.Context(), strings.NewReader(w.chain(t, 3)), results, mail.AuthFail)
	if err != nil {
		t.Fatal(err)
	}
	fields, _ := readHeader(bufioReader(string(seal.Fields)+"\r\n"), maxHeader)
	own := set{as: &fields[0], ams: &fields[1], aar: &fields[2]}
	if instance, err := own.read(own.as); err != nil || instance != 4 {
		t.Fatalf("i=%d, %v\n%s", instance, err, seal.Fields)
	}
	public := edKey().Public().(ed25519.PublicKey)
	if err := check(public, sealDigests([]set{own})[0], own.sealing.b); err != nil {
		t.Errorf("%v\n%s", err, seal.Fields)
	}
}

func TestResultsAsText(t *testing.T) {
	w := newWorld(t)
	long := "dmarc=pass " + strings.Repeat("(a comment) header.from=a.example ", 60)
	for _, c := range []struct{ results, want string }{
		{"", "; none\r\n"},
		{" ", "; none\r\n"},
		{"spf=pass", ";\r\n\tspf=pass\r\n"},
		{"spf=pass;dkim=pass ; ", ";\r\n\tspf=pass;\r\n\tdkim=pass\r\n"},
		{`dkim=fail reason="a;b\";c" (x;y(z;)) header.d=a`, ";\r\n\t" + `dkim=fail reason="a;b\";c" (x;y(z;)) header.d=a` + "\r\n"},
		{"spf=pass\r\nBcc: eve@evil.example\r\n\r\nbody", ";\r\n\tspf=pass  Bcc: eve@evil.example    body\r\n"},
		{"spf=\x00pass\n", ";\r\n\tspf= pass\r\n"},
	} {
		got := string(w.ed.results(1, c.results))
		if want := "ARC-Authentication-Results: i=1; mx.ed.example" + c.want; got != want {
			t.Errorf("%q: got %q, want %q", c.results, got, want)
		}
	}
	field := string(w.ed.results(1, long))
	for line := range strings.SplitSeq(field, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if got := strings.Join(strings.Fields(field), " "); got != strings.Join(strings.Fields("ARC-Authentication-Results: i=1; mx.ed.example; "+long), " ") {
		t.Errorf("folding changed it: %s", got)
	}
}

func TestWhatIsSigned(t *testing.T) {
	fields, _ := readHeader(bufioReader("From: a\r\nReceived: b\r\nDKIM-Signature: 1\r\nDKIM-Signature: 2\r\nARC-Seal: x\r\nAuthentication-Results: y\r\nTo: c\r\nTo: d\r\n\r\n"), maxHeader)
	if got := strings.Join(signedNames(fields), ":"); got != "from:from:to:to:to:dkim-signature:dkim-signature" {
		t.Errorf("h=%s", got)
	}
	if got := strings.Join(signedNames(nil), ":"); got != "from" {
		t.Errorf("of no header: h=%s", got)
	}
}

func TestSealingGivenUp(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.ed.Seal(ctx, strings.NewReader(letter), results, mail.AuthNone); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
