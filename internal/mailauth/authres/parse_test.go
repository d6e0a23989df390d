package authres

import (
	"fmt"
	"strings"
	"testing"
)

// text shows what was parsed.
func text(id string, methods []Method) string {
	var b strings.Builder
	b.WriteString(id)
	for _, m := range methods {
		fmt.Fprintf(&b, " | %s %s", m.Name, m.Result)
		if m.Reason != "" {
			fmt.Fprintf(&b, " because %s", m.Reason)
		}
		if m.Comment != "" {
			fmt.Fprintf(&b, " (%s)", m.Comment)
		}
		for _, p := range m.Properties {
			fmt.Fprintf(&b, " %s.%s %s", p.Type, p.Name, p.Value)
		}
	}
	return b.String()
}

// The examples of RFC 8601 appendix B, and the corners of its ABNF.
func TestParse(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" example.org 1; none", "example.org"},
		{" example.org; none ", "example.org"},
		{" example.org; NONE (x)", "example.org"},
		{" example.com;\r\n          spf=pass smtp.mailfrom=example.net", "example.com | spf pass smtp.mailfrom example.net"},
		{" example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net",
			"example.com | auth pass (cram-md5) smtp.auth sender@example.net | spf pass smtp.mailfrom example.net"},
		{" example.com;\r\n dkim=pass (good signature) header.d=example.com", "example.com | dkim pass (good signature) header.d example.com"},
		{" example.com;\r\n dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n header.i=@newyork.example.com",
			"example.com | dkim pass because good signature header.i @mail-router.example.net | dkim fail because bad signature header.i @newyork.example.com"},
		{" foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
			"foo.example.net | dkim fail (A dot can go here) policy.expired 1362471462"},
		{" (a (nested\\) one) b) \"mx \\\"x\\\"\" ; spf=pass", `mx "x" | spf pass`},
		{" a; spf=pass;", "a | spf pass"},
		{" a; spf=PASS (x) (y) smtp.mailfrom=\"a b\"@c.example smtp.helo=\"d e\"", `a | spf pass (x) smtp.mailfrom "a b"@c.example smtp.helo d e`},
		{" a; dkim=pass header.b=Ab/c+d== header.i=x=y@z", "a | dkim pass header.b Ab/c+d== header.i x=y@z"},
		{" a; x/2=pass; spf=pass", "a | spf pass"},
		{" a; spf=pass smtp.mailfrom=jürg@bücher.example", "a | spf pass smtp.mailfrom jürg@bücher.example"},
		{" münchen.example; spf=pass", "münchen.example | spf pass"},
		{" a; x-method=pass x-type.x-prop=(c)", "error"},

		{"", "error"}, {" ", "error"}, {" ;", "error"}, {"; spf=pass", "error"},
		{" a", "error"}, {" a;", "error"}, {" a; ;", "error"}, {" a; spf", "error"}, {" a; spf=", "error"}, {" a; spf=pass x", "error"},
		{" a; spf=pass x=y", "error"}, {" a; spf=pass x.y", "error"}, {" a; spf=pass x.y=", "error"}, {" a; spf=pass reason=", "error"},
		{" a; spf=pass reason=a reason=b", "error"}, {" a; spf=pass x.y=z reason=a", "error"},
		{" a b; spf=pass", "error"}, {" a 2; spf=pass", "error"}, {" a1(x)2; spf=pass", "error"}, {" a (x; spf=pass", "error"},
		{" \"a; spf=pass", "error"}, {" a; spf=pass reason=\"x", "error"}, {" a; none; spf=pass", "error"}, {" a; spf=pass; none", "error"},
		{" a; spf/=pass", "error"}, {" a; spf/x=pass", "error"}, {" a; spf=pass (x", "error"}, {" a; -spf=pass", "error"}, {" a; spf=pass)", "error"},
		{" spf=pass smtp.mailfrom=x; dkim=none", "error"},
		{" a" + strings.Repeat("; spf=pass", 200), "error"}, {" a; spf=pass" + strings.Repeat(" x.y=z", 200), "error"},
		{" " + strings.Repeat("(", 200) + strings.Repeat(")", 200) + "a; none", "error"},
		{" a; spf=pass reason=" + strings.Repeat("x", maxField), "error"},
	} {
		id, methods, err := Parse([]byte(c.in))
		got := text(id, methods)
		if err != nil {
			if got = "error"; len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		}
		if got != c.want {
			t.Errorf("%q\n got %s (%v)\nwant %s", c.in[:min(len(c.in), 200)], got, err, c.want)
		}
	}
}

// What is read can be written, and is then read as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		" a; none", " a 1; spf=pass (x (y) \\)) smtp.mailfrom=\"a\\\" b\"@c", " a; dkim/1=fail reason=\"r\r\n s\" header.d=x; spf=none;", "(x)a;b=c d.e=\"\"",
		" a; b=c d.e=f\x80", "a;b=c(", "a;b=c d.e=\"x\"y", " a; b=c (\r\n\tx  y) d.e=\"  z \"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		id, methods, err := Parse(in)
		if err != nil {
			return
		}
		want := written(methods)
		gotID, got, err := Parse(Format(id, methods)[len("Authentication-Results:"):])
		if err != nil || gotID != Clean(id) || text(gotID, got) != text(gotID, want) {
			t.Fatalf("%q is\n%s, and written again\n%s, %v", in, text(id, want), text(gotID, got), err)
		}
	})
}
