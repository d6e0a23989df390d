package integration

import (
	"strings"
	"testing"
)

// TestARCGoesOn: what is found out of a chain on the way in is what our seal says of it on
// the way out, with the results of our own Authentication-Results field.
func TestARCGoesOn(t *testing.T) {
	w, sink := newARCWorld(t), newSink(t)
	r, cf := newSealingRelay(t, w, sink)
	r.start()
	letter := arcShapes["plain"]
	for _, domain := range []string{"python.example", "perl.example", "ed.example"} {
		letter = w.seal(domain, letter, 1+strings.Count(letter, "ARC-Seal:"))
	}
	n := 0
	arrives := func(letter string) string {
		t.Helper()
		n++
		return r.arrives(sink, n, "info@alias.example", letter)
	}

	got := arrives(letter)
	if !strings.HasPrefix(got, "ARC-Seal: i=4; a=rsa-sha256; cv=pass;") || !strings.HasSuffix(got, letter) {
		t.Errorf("a chain that holds:\n%s", got)
	}
	if c := w.ours(got); c.CV != "pass" {
		t.Errorf("a chain that holds: %+v\n%s", c, got)
	}
	results := func(name string) string {
		_, rest, _ := strings.Cut(got, name)
		value, _, _ := strings.Cut(strings.ReplaceAll(rest, "\r\n\t", " "), "\r\n")
		return strings.Join(strings.Fields(value), " ")
	}
	field, aar := results("\nAuthentication-Results: "), results("ARC-Authentication-Results: i=4; ")
	field = strings.Replace(field, "mx.alias.example 1;", "mx.alias.example;", 1) // the version is no part of it
	if !strings.HasPrefix(aar, "mx.alias.example; ") || field != aar || !strings.Contains(aar, "arc=pass") {
		t.Errorf("our results are %q, and sealed is %q", field, aar)
	}

	broken := strings.Replace(letter, "Hello", "Hallo", 1)
	if got := arrives(broken); !strings.HasPrefix(got, "ARC-Seal: i=4; a=rsa-sha256; cv=fail;") || !strings.HasSuffix(got, broken) {
		t.Errorf("a chain that is broken:\n%s", got)
	} else {
		w.everybody("a chain that is broken", got, "fail")
		if again := arrives(got); !strings.HasSuffix(again, broken) || !strings.Contains(again, "ARC-Seal: i=4;") || strings.Contains(again, "i=5") {
			t.Errorf("a chain that was sealed as failed:\n%s", again)
		}
	}
	r.waitLog(`ARC-Seal field added \(i=4, cv=pass, s=sel, d=ours\.example\)`)
	r.waitLog(`ARC-Seal field added \(i=4, cv=fail, s=sel, d=ours\.example\)`)
	r.waitLog(`ARC-Seal field not added: the chain has been sealed as failed`)

	w.dns.Fail("sel._domainkey.author.example", true) // which nobody has asked for so far
	open := w.seal("author.example", arcShapes["plain"], 1)
	if got := arrives(open); !strings.HasSuffix(got, open) || strings.Contains(got, "i=2") {
		t.Errorf("a chain that nobody can verify for now:\n%s", got)
	}
	r.waitLog(`ARC-Seal field not added: the chain was not verified`)

	cf["arc_verify"] = "no"
	r.configure(cf)
	r.mustRun("reload", "-c", r.dir)
	if got := arrives(letter); !strings.HasSuffix(got, letter) || strings.Contains(got, "i=4") {
		t.Errorf("a chain that nobody looks at:\n%s", got)
	}
	r.waitLog(`ARC-Seal field not added: the chain was not verified`)
	r.stop()
}
