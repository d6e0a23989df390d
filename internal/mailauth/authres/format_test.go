package authres

import (
	"reflect"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		name    string
		methods []Method
		want    string
	}{
		{"nothing", nil, " none"},
		{"one", []Method{{Name: "spf", Result: mail.AuthPass, Properties: []Property{{"smtp", "mailfrom", "a@b.example"}}}},
			"\n\tspf=pass smtp.mailfrom=a@b.example"},
		{"several", []Method{
			{Name: "dmarc", Result: mail.AuthFail, Comment: "p=reject", Properties: []Property{{"header", "from", "a.example"}, {"policy", "dmarc", "reject"}}},
			{Name: "dkim", Result: mail.AuthTempError, Reason: "no key: try again", Properties: []Property{{"header", "d", "a.example"}, {"header", "b", "ab/+cd=="}}},
		}, "\n\tdmarc=fail (p=reject) header.from=a.example policy.dmarc=reject;\n\tdkim=temperror reason=\"no key: try again\" header.d=a.example\n\theader.b=\"ab/+cd==\""},
		{"addresses", []Method{{Name: "spf", Result: "none", Properties: []Property{
			{"smtp", "mailfrom", "SRS0=h/x=t=o.example=l+v@b.example"}, {"smtp", "mailfrom", `"a b"@b.example`}, {"smtp", "helo", "[192.0.2.1]"}, {"header", "i", "@b.example"}, {"smtp", "mailfrom", ""}}}},
			"\n\tspf=none smtp.mailfrom=SRS0=h/x=t=o.example=l+v@b.example\n\tsmtp.mailfrom=\"\\\"a b\\\"@b.example\" smtp.helo=\"[192.0.2.1]\"\n\theader.i=@b.example smtp.mailfrom=\"\""},
		{"not ASCII (RFC 8616)", []Method{{Name: "spf", Result: "pass", Comment: "für", Properties: []Property{{"smtp", "mailfrom", "jürg@bücher.example"}}}},
			"\n\tspf=pass (für) smtp.mailfrom=jürg@bücher.example"},
		{"what would break out", []Method{{Name: "dkim", Result: "fail", Reason: "\"; spf=pass\r\nBcc: x", Comment: ") dkim=pass (\\", Properties: []Property{{"header", "d", "a; dmarc=pass\r\n\r\nx\x00\xff"}}}},
			"\n\tdkim=fail (\\) dkim=pass \\(\\\\) reason=\"\\\"; spf=pass Bcc: x\"\n\theader.d=\"a; dmarc=pass x??\""},
		{"no keywords", []Method{{Name: "d kim", Result: "pass"}, {Name: "dkim", Result: "pass; x"}, {Name: "spf", Result: "pass", Properties: []Property{{"smtp", "a=b", "c"}}}}, "\n\tspf=pass"},
		{"too long to be said", []Method{{Name: "spf", Result: "pass", Properties: []Property{{"smtp", "mailfrom", strings.Repeat("x", 600) + "@a.example"}}}}, "\n\tspf=pass"},
	} {
		got := string(Format("mx.a.example", c.methods))
		if want := strings.ReplaceAll("Authentication-Results: mx.a.example;"+c.want+"\n", "\n", "\r\n"); got != want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	words := strings.TrimSpace(strings.Repeat("word ", 40))
	long := strings.Repeat("x", 100)
	m := []Method{{Name: "dkim", Result: "pass", Reason: words, Comment: long + " " + words + " " + long, Properties: []Property{{"header", "d", "a.example"}}}}
	field := string(Format("mx.a.example", m))
	for line := range strings.SplitSeq(strings.TrimSuffix(field, "\r\n"), "\r\n") {
		if len(line) > width && !strings.Contains(line, long) {
			t.Errorf("a line of %d: %q", len(line), line)
		}
	}
	if _, got, err := Parse([]byte(field[len("Authentication-Results:"):])); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%v, %q\nfrom %s", err, got, field)
	}
}

func TestResults(t *testing.T) {
	m := []Method{
		{Name: "dmarc", Result: "pass", Properties: []Property{{"header", "from", "a.example"}}},
		{Name: "spf", Result: "none", Comment: "no record"},
	}
	if got, want := Results(m), "dmarc=pass header.from=a.example; spf=none (no record)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Results([]Method{{Name: "?"}}); got != "none" {
		t.Errorf("got %q", got)
	}
}

// written is what of the methods a field can say.
func written(methods []Method) (out []Method) {
	for _, m := range methods {
		if !isKeyword(m.Name) || !isKeyword(string(m.Result)) {
			continue
		}
		w := Method{Name: m.Name, Result: mail.AuthResult(strings.ToLower(string(m.Result))), Reason: short(Clean(m.Reason)), Comment: short(Clean(m.Comment))}
		for _, p := range m.Properties {
			if isKeyword(p.Type) && isKeyword(p.Name) && len(p.Value) <= maxText {
				w.Properties = append(w.Properties, Property{p.Type, p.Name, Clean(p.Value)})
			}
		}
		out = append(out, w)
	}
	return out
}

// Whatever the words of a stranger are, what was written is read, and is one field.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"", "a@b.example", "a; dkim=pass", "\r\nBcc: x", `"`, `\`, "(", ")", "\\)", "a  b", strings.Repeat("ab ", 100), strings.Repeat("x", 300), "ü@ü.example", "\xff\xe2", "=?utf-8?q?x?=", "none", "@", "\u2028", `"a b"@c.example`} {
		f.Add("mx.a.example", "dkim", "pass", s, s, "header", "d", s)
	}
	f.Add("a;b", "x/1", "PASS", "", ")", "reason", "x", "=")
	f.Fuzz(func(t *testing.T, id, name, result, reason, comment, ptype, property, value string) {
		methods := []Method{
			{Name: name, Result: mail.AuthResult(result), Reason: reason, Comment: comment, Properties: []Property{{ptype, property, value}, {"smtp", "mailfrom", reason}}},
			{Name: "spf", Result: "pass", Comment: value, Properties: []Property{{"smtp", "helo", comment}}},
		}
		field := string(Format(id, methods))
		lines := strings.Split(field, "\r\n")
		for i, line := range lines {
			if strings.ContainsAny(line, "\r\n\x00") || i > 0 && i < len(lines)-1 && (line == "" || line[0] != ' ' && line[0] != '\t' || strings.Trim(line, " \t") == "") {
				t.Fatalf("line %d of %q", i, field)
			}
			if n := strings.TrimLeft(line, " \t"); len(line) > width && strings.Contains(n, " ") && i > 0 {
				if first, _, _ := strings.Cut(n, " "); len(first) < 60 {
					t.Fatalf("line %d is not folded: %q", i, line)
				}
			}
		}
		gotID, got, err := Parse([]byte(field[len("Authentication-Results:"):]))
		if err != nil || gotID != Clean(id) || !reflect.DeepEqual(got, written(methods)) {
			t.Fatalf("%q gives\n%q, %q, %v, want\n%q", field, gotID, got, err, written(methods))
		}
		if again := string(Format(gotID, got)); again != field && result == strings.ToLower(result) {
			t.Fatalf("again %q, first %q", again, field)
		}
		if _, got, err := Parse([]byte("x; " + Results(methods))); err != nil || !reflect.DeepEqual(got, written(methods)) {
			t.Fatalf("in one line: %q, %v", got, err)
		}
		if !Ours([]byte(field), id) && canonical(id) != "" && !strings.ContainsAny(id, "\x00\xff") && Clean(id) == id {
			t.Fatalf("%q is not ours", field)
		}
	})
}
