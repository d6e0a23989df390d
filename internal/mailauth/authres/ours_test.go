package authres

import (
	"regexp"
	"strings"
	"testing"
)

func TestOurs(t *testing.T) {
	const us = "mx.ours.example"
	for _, c := range []struct {
		value string
		want  bool
	}{
		{" mx.ours.example; spf=pass", true},
		{"mx.ours.example;spf=pass", true},
		{" MX.Ours.Example; spf=pass", true},
		{" mx.ours.example.; spf=pass", true},
		{" \"mx.ours.example\"; spf=pass", true},
		{" \"mx.ours\\.example\"; spf=pass", true},
		{" \"mx.ours.ex\r\n ample\"; spf=pass", false},
		{" (a comment (nested)) mx.ours.example (another) ; spf=pass", true},
		{"\r\n\tmx.ours.example\r\n\t; spf=pass", true},
		{" mx.ours.example 1; spf=pass", true},
		{" mx.ours.example 2; spf=pass", true},
		{" mx.ours.example/1; spf=pass", true},
		{" mx.ours.example 1 (x); spf=pass", true},
		{" mx.ours.example", true},
		{" mx.ours.example spf=pass", true},
		{" mx.ours.example, spf=pass", true},
		{" mx.ours.example\x00; spf=pass", true},
		{" mx.ou\x00rs.example; spf=pass", true},
		{" mx.ours\r\n .example; spf=pass", true},
		{" mx . (x) ours.example; spf=pass", true},
		{" \"mx.ours.example; spf=pass", true},
		{" (mx.ours.example; spf=pass", true},
		{" (x; mx.ours.example; spf=pass", true},
		{" (mx.ours.example; spf=pass) other.example; spf=fail", true},
		{" ; mx.ours.example; spf=pass", true},
		{" i=1; mx.ours.example; spf=pass", true},
		{": mx.ours.example; spf=pass", true},
		{" other.example mx.ours.example; spf=pass", true},
		{" <mx.ours.example>; spf=pass", true},
		{" mx.\"ours\".example; spf=pass", true},
		{" mx\\.ours.example; spf=pass", true},
		{" =?utf-8?q?mx=2Eours.example?=; spf=pass", true},
		{" =?koi8-r?b?bXgub3Vycy5leGFtcGxl?=; spf=pass", true},
		{" \"=?utf-8?q?mx=2Eours.example?=\"; spf=pass", true},
		{" ｍｘ.ours.example; spf=pass", true},
		{" mx。ours.example; spf=pass", true},
		{" mx.ou\u00adrs.example; spf=pass", true},

		{" other.example; spf=pass", false},
		{" other.example; spf=pass smtp.helo=mx.ours.example", false},
		{" other.example; mx.ours.example; spf=pass", false},
		{" other.example (received by mx.ours.example); spf=pass", false},
		{" mx.ours.example.other.example; spf=pass", false},
		{" x-mx.ours.example; spf=pass", false},
		{" ours.example; spf=pass", false},
		{" spf=pass smtp.mailfrom=mx.ours.example; dkim=none", false},
		{" spf=pass smtp.mailfrom=x@mx.ours.example; dkim=none", false},
		{"", false}, {" ", false}, {" ;;", false},
	} {
		for _, name := range []string{"Authentication-Results:", "AUTHENTICATION-RESULTS\t :"} {
			if got := Ours([]byte(name+c.value+"\r\n"), us); got != c.want {
				t.Errorf("%q: %v", c.value, got)
			}
		}
	}
	if Ours([]byte("X-Authentication-Results: mx.ours.example; spf=pass\r\n"), us) || Ours([]byte("mx.ours.example"), us) || Ours([]byte("Authentication-Results: ; x\r\n"), "") {
		t.Error("another field is not ours")
	}
	for _, id := range []string{"mx.bücher.example", "mx.xn--bcher-kva.example", "MX.BÜCHER.example."} {
		for _, value := range []string{"mx.bücher.example", "mx.BÜCHER.example", "mx.xn--bcher-kva.example", "MX.XN--BCHER-KVA.EXAMPLE", "mx.bu\u0308cher.example", "\"mx.bücher.example\""} {
			if !Ours([]byte("Authentication-Results: "+value+"; spf=pass\r\n"), id) {
				t.Errorf("%s is not %s", value, id)
			}
		}
	}
}

// Work that grows faster than the field would not end before the test's time is up.
func TestOursOfLongFields(t *testing.T) {
	const size = 100 << 10 // header_size_limit
	for _, part := range []string{"(", "()", "\"", "\\", ";", "i=;", "=?utf-8?q?", "=?utf-8?q?a?= ", "a.", ". ", "ü", "(\"", "(;", "x@"} {
		long := "Authentication-Results: " + strings.Repeat(part, size/len(part))
		if Ours([]byte(long), "mx.ours.example") {
			t.Errorf("%q is ours", part)
		}
	}
}

// naive are readers as they are found in filters and mail programs.
var naive = []*regexp.Regexp{
	regexp.MustCompile(`(?is)^Authentication-Results\s*:\s*([\w.-]+)\s*;`),
	regexp.MustCompile(`(?is)^Authentication-Results\s*:\s*"?([\w.-]+)"?(?:\s+\d+)?\s*(?:;|$)`),
	regexp.MustCompile(`(?is)^Authentication-Results\s*:\s*(?:\([^()]*\)\s*)*([\w.-]+)`),
	regexp.MustCompile(`(?is)^Authentication-Results\s*:[^;]*?([\w.-]+)\s*;`),
}

// What any of several readers takes for ours is ours, and what Parse does.
func FuzzOurs(f *testing.F) {
	for _, s := range []string{" mx.ours.example; spf=pass", " (c) MX.ours.example 1;", " (x; mx.ours.example;", "\"mx.ours.example\"", " a (b) mx.ours.example;", "\tmx.ours.example\x00;", " \"a;\" mx.ours.example;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		const us = "mx.ours.example"
		field := "Authentication-Results:" + value + "\r\n"
		got := Ours([]byte(field), us)
		if id, _, err := Parse([]byte(value)); err == nil && strings.EqualFold(id, us) && !got {
			t.Fatalf("%q is not ours", field)
		}
		for i, re := range naive {
			m := re.FindStringSubmatch(field)
			if m == nil || !strings.EqualFold(m[1], us) || got {
				continue
			}
			// Behind "=" or "@" it is a value, in a comment of a whole field a remark.
			before := field[:strings.Index(field, m[1])]
			if _, _, ok := head(value); i == 3 && (ok || strings.HasSuffix(before, "=") || strings.HasSuffix(before, "@")) {
				continue
			}
			t.Fatalf("reader %d takes %q for ours", i, field)
		}
	})
}
