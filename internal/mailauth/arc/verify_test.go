package arc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

func TestChains(t *testing.T) {
	w := newWorld(t)
	if c := w.verify(t, letter); c.CV != mail.AuthNone || c.Instances != 0 || c.Reason != "" {
		t.Errorf("no chain: %+v", c)
	}
	var sealers []string
	for n := 1; n <= 5; n++ {
		sealers = append(sealers, []string{"ed.example", "rsa.example"}[n%2])
		c := w.verify(t, w.chain(t, n))
		if c.CV != mail.AuthPass || c.Instances != n || !slices.Equal(c.Sealers, sealers) || c.OldestPass != 0 || c.Failed != 0 {
			t.Errorf("%d sets: %+v", n, c)
		}
	}
}

// TestTampering: each change of a chain of three breaks it, and is told of by its instance.
func TestTampering(t *testing.T) {
	w := newWorld(t)
	whole := w.chain(t, 3)
	replace := func(old, new string, n int) func(string) string {
		return func(m string) string { return strings.Replace(m, old, new, n) }
	}
	// field is the field of a name and instance in a message.
	field := func(m, name string, i int) string {
		at := strings.Index(m, fmt.Sprintf("%s: i=%d;", name, i))
		end := at
		for {
			end += strings.Index(m[end:], "\r\n") + 2
			if m[end] != '\t' {
				return m[at:end]
			}
		}
	}
	without := func(name string, i int) func(string) string {
		return func(m string) string { return strings.Replace(m, field(m, name, i), "", 1) }
	}
	twice := func(name string, i int) func(string) string {
		return func(m string) string { return field(m, name, i) + m }
	}
	for _, c := range []struct {
		name   string
		change func(string) string
		failed int
		reason string
	}{
		{"body", replace("Hello", "Hallo", 1), 3, "the body was changed"},
		{"appended", func(m string) string { return m + "more\r\n" }, 3, "the body was changed"},
		{"subject", replace("Subject: a", "Subject: b", 1), 3, "ARC-Message-Signature: the signature does not hold"},
		{"second From", func(m string) string { return "From: eve@evil.example\r\n" + m }, 3, "does not hold"},
		{"second Subject", func(m string) string { return "Subject: buy\r\n" + m }, 3, "does not hold"},
		{"results of 1", replace("i=1; mx.rsa.example;\r\n\tspf=pass", "i=1; mx.rsa.example;\r\n\tspf=fail", 1), 3, "ARC-Seal: the signature does not hold"},
		{"AMS of 1", replace("i=1; a=rsa-sha256; c=relaxed/relaxed", "i=1; a=rsa-sha256; c=relaxed/simple", 1), 3, "ARC-Seal"},
		{"AAR missing", without("ARC-Authentication-Results", 2), 2, "ARC-Authentication-Results is missing"},
		{"AMS missing", without("ARC-Message-Signature", 1), 1, "ARC-Message-Signature is missing"},
		{"AS missing", without("ARC-Seal", 3), 3, "ARC-Seal is missing"},
		{"AAR twice", twice("ARC-Authentication-Results", 2), 2, "stands there twice"},
		{"AMS twice", twice("ARC-Message-Signature", 3), 3, "stands there twice"},
		{"AS twice", twice("ARC-Seal", 1), 1, "stands there twice"},
		{"gap", func(m string) string {
			for _, name := range []string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"} {
				m = without(name, 2)(m)
			}
			return m
		}, 2, "is missing"},
		{"newest set taken away, and its change", func(m string) string {
			for _, name := range []string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"} {
				m = without(name, 3)(m)
			}
			return strings.Replace(m, "Hello", "Hallo", 1)
		}, 2, "the body was changed"},
		{"cv=none at 2", replace("ARC-Seal: i=2; a=ed25519-sha256; cv=pass", "ARC-Seal: i=2; a=ed25519-sha256; cv=none", 1), 2, "cv=none"},
		{"cv=pass at 1", replace("cv=none", "cv=pass", 1), 1, "cv=pass"},
		{"cv=fail at 3", replace("ARC-Seal: i=3; a=rsa-sha256; cv=pass", "ARC-Seal: i=3; a=rsa-sha256; cv=fail", 1), 3, "sealed as failed"},
		{"h= in a seal", replace("ARC-Seal: i=3;", "ARC-Seal: i=3; h=from;", 1), 3, "h= is not allowed"},
		{"h= with ARC-Seal", replace("h=from:from", "h=arc-seal:from:from", 1), 3, "h= has ARC-Seal"},
		{"instance 51", replace("ARC-Seal: i=3;", "ARC-Seal: i=51;", 1), 0, "i= is no number from 1 to 50"},
		{"another algorithm", replace("ARC-Seal: i=3; a=rsa-sha256", "ARC-Seal: i=3; a=rsa-sha1", 1), 3, "a=rsa-sha1 is not supported"},
		{"algorithm of another key", replace("ARC-Seal: i=3; a=rsa-sha256", "ARC-Seal: i=3; a=ed25519-sha256", 1), 3, "the key is one of rsa"},
		{"expired", replace("ARC-Message-Signature: i=3;", "ARC-Message-Signature: i=3; x=1699999999;", 1), 3, "it has expired"},
		{"l=", replace("ARC-Message-Signature: i=3;", "ARC-Message-Signature: i=3; l=5;", 1), 3, "l= is not the length of the body"},
	} {
		changed := c.change(whole)
		got := w.verify(t, changed)
		if changed == whole || got.CV != mail.AuthFail || got.Failed != c.failed || !strings.Contains(got.Reason, c.reason) || got.Temporary || got.OldestPass != 0 {
			t.Errorf("%s: %+v, want fail at %d: %s", c.name, got, c.failed, c.reason)
		}
	}
}

// TestHarmless: what hops on the way do to any message leaves a chain whole.
func TestHarmless(t *testing.T) {
	w := newWorld(t)
	whole := w.chain(t, 2)
	for name, m := range map[string]string{
		"trace above":   "Received: x\r\nAuthentication-Results: y; none\r\n" + whole,
		"folded anew":   strings.Replace(whole, "Subject: a  letter\r\n\twith", "Subject:a letter with", 1),
		"empty lines":   whole + "\r\n\r\n",
		"bare LF":       strings.ReplaceAll(whole, "\r\n", "\n"),
		"names in caps": strings.ReplaceAll(whole, "ARC-Seal:", "ARC-SEAL :"),
		"order":         reversedSets(whole),
	} {
		if c := w.verify(t, m); c.CV != mail.AuthPass {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// reversedSets is a message with its ARC fields at the bottom of the header.
func reversedSets(m string) string {
	header, body, _ := strings.Cut(m, "\r\n\r\n")
	var arc, others []string
	fields := strings.Split(strings.ReplaceAll(header, "\r\n\t", "\x00"), "\r\n")
	for _, f := range fields {
		if strings.HasPrefix(f, "ARC-") {
			arc = append([]string{f}, arc...)
		} else {
			others = append(others, f)
		}
	}
	return strings.ReplaceAll(strings.Join(append(others, arc...), "\r\n"), "\x00", "\r\n\t") + "\r\n\r\n" + body
}

// TestOldestPass: each hop that changes the message breaks what is below it.
func TestOldestPass(t *testing.T) {
	w := newWorld(t)
	m := w.chain(t, 2)
	m = sealed(t, w.rsa, strings.Replace(m, "Hello", "[list] Hello", 1), mail.AuthPass)
	if c := w.verify(t, m); c.CV != mail.AuthPass || c.OldestPass != 3 {
		t.Errorf("changed by 3: %+v", c)
	}
	m = sealed(t, w.ed, m, mail.AuthPass)
	if c := w.verify(t, m); c.CV != mail.AuthPass || c.OldestPass != 3 {
		t.Errorf("changed by 3, kept by 4: %+v", c)
	}
}

func TestDNSTrouble(t *testing.T) {
	w := newWorld(t)
	m := w.chain(t, 2)
	w.Fail("sel._domainkey.rsa.example", dnstest.ServFail)
	c := w.verify(t, m)
	if c.CV != mail.AuthFail || !c.Temporary || c.Failed != 1 || !strings.Contains(c.Reason, "cannot be looked up for now") {
		t.Errorf("a seal: %+v", c)
	}
	w.Fail("sel._domainkey.ed.example", dnstest.Silent)
	if c := w.verify(t, m); c.CV != mail.AuthFail || !c.Temporary || c.Failed != 2 {
		t.Errorf("the signature: %+v", c)
	}
	w = newWorld(t)
	w.Remove("sel._domainkey.rsa.example")
	if c := w.verify(t, m); c.CV != mail.AuthFail || c.Temporary || !strings.Contains(c.Reason, "there is no key at sel._domainkey.rsa.example") {
		t.Errorf("no key: %+v", c)
	}
}

// TestBounds: a key is asked for once, and a header may be only so long.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	m := w.chain(t, 5)
	w.Asked()
	w.verify(t, m)
	if asked := w.Asked(); len(asked) != 2 {
		t.Errorf("asked %v", asked)
	}
	verify := func(m string) Chain {
		c, err := Verify(t.Context(), strings.NewReader(m), VerifyOptions{Resolver: w.Resolver(), MaxHeader: len(m), Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := verify(m); c.CV != mail.AuthPass {
		t.Errorf("a header of the limit: %+v", c)
	}
	c, err := Verify(t.Context(), strings.NewReader(m), VerifyOptions{Resolver: w.Resolver(), MaxHeader: 2000, Now: clock})
	if err != nil || c.CV != mail.AuthFail || c.Reason != "the header is too long" {
		t.Errorf("a header beyond the limit: %+v, %v", c, err)
	}
	c, err = Verify(t.Context(), strings.NewReader(letter), VerifyOptions{Resolver: w.Resolver(), MaxHeader: 100, Now: clock})
	if err != nil || c.CV != mail.AuthNone {
		t.Errorf("a header beyond the limit, without ARC: %+v, %v", c, err)
	}
}

// TestHostile: what is long in one way or another comes to an end, and fails.
func TestHostile(t *testing.T) {
	w := newWorld(t)
	const many = 500_000
	for name, header := range map[string]string{
		"semicolons":    "ARC-Seal: i=1" + strings.Repeat(";", many) + "\r\n",
		"tags":          "ARC-Seal: i=1" + strings.Repeat("; a", many/3) + "\r\n",
		"b":             "ARC-Seal: i=1; b=" + strings.Repeat("=", many) + "\r\n",
		"comments":      "ARC-Authentication-Results: " + strings.Repeat("(", many) + "i=1;\r\n",
		"h":             "ARC-Message-Signature: i=1; h=" + strings.Repeat("a:", many/2) + "\r\n",
		"continued":     "ARC-Seal: i=1;" + strings.Repeat("\r\n ", many/3) + "\r\n",
		"fields":        "ARC-Seal: i=1\r\n" + strings.Repeat("a:\r\n", many/4),
		"ARC fields":    strings.Repeat("ARC-Seal:\r\n", many/11),
		"no line end":   "ARC-Seal: i=1; " + strings.Repeat("x", many),
		"carriage ends": "ARC-Seal: i=1;" + strings.Repeat("\r", many),
	} {
		m := header + letter
		c := w.verify(t, m)
		if c.CV != mail.AuthFail || c.Reason == "" || len(c.Reason) > 200 {
			t.Errorf("%s: %s, %.300s", name, c.CV, c.Reason)
		}
		if _, err := w.ed.Seal(t.Context(), strings.NewReader(m), results, c.CV); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked := w.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

func TestFiftySets(t *testing.T) {
	w := newWorld(t)
	m := sealed(t, w.ed, letter, mail.AuthNone)
	for range MaxInstances - 1 {
		m = sealed(t, w.ed, m, mail.AuthPass)
	}
	if c := w.verify(t, m); c.CV != mail.AuthPass || c.Instances != MaxInstances {
		t.Errorf("fifty: %s, %d sets, %s", c.CV, c.Instances, c.Reason)
	}
	for _, status := range []mail.AuthResult{mail.AuthPass, mail.AuthFail} {
		seal, err := w.ed.Seal(t.Context(), strings.NewReader(m), results, status)
		if err != nil || seal.Fields != nil || !strings.Contains(seal.Reason, "as many sets as it can have") {
			t.Errorf("one more, %s: %+v, %v", status, seal, err)
		}
	}
}
