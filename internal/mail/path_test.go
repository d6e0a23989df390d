package mail

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	type want struct {
		local, domain, raw, rest string
	}
	for _, tt := range []struct {
		name, in string
		want     want
	}{
		{"plain", "<a@virt.example>", want{"a", "virt.example", "a@virt.example", ""}},
		{"parameters", "<a@virt.example> SIZE=1 BODY=7BIT", want{"a", "virt.example", "a@virt.example", " SIZE=1 BODY=7BIT"}},
		{"space before", "  <a@virt.example>", want{"a", "virt.example", "a@virt.example", ""}},
		{"tab after", "<a@virt.example>\tSIZE=1", want{"a", "virt.example", "a@virt.example", "\tSIZE=1"}},
		{"case kept", "<A@Virt.Example>", want{"A", "Virt.Example", "A@Virt.Example", ""}},
		{"null", "<>", want{}},
		{"blank", "< >", want{raw: " "}},
		{"bare name", "<postmaster>", want{"postmaster", "", "postmaster", ""}},
		{"no brackets", "a@virt.example X", want{"a", "virt.example", "a@virt.example", " X"}},
		{"closing bracket only", "a@virt.example>", want{"a", "virt.example", "a@virt.example", ""}},
		{"two pairs of brackets", "<<a@virt.example>>", want{"a", "virt.example", "<a@virt.example>", ""}},
		{"display name inside", "<Someone <a@virt.example>>", want{"a", "virt.example", "Someone <a@virt.example>", ""}},
		{"name without space", "a<b@virt.example>", want{"b", "virt.example", "a<b@virt.example", ""}},
		{"source route", "<@relay.example:a@virt.example>", want{"a", "virt.example", "@relay.example:a@virt.example", ""}},
		{"long source route", "<@r1.example,@r2.example:a@virt.example>", want{"a", "virt.example", "@r1.example,@r2.example:a@virt.example", ""}},
		{"route to a name", "<@x:virt.example>", want{"virt.example", "", "@x:virt.example", ""}},
		{"group", "<a:b@virt.example;>", want{"b", "virt.example", "a:b@virt.example;", ""}},
		{"group of nobody", "<;>", want{"", "", ";", ""}},
		{"a colon that begins no group", "<a:b@virt.example>", want{"a:b", "virt.example", "a:b@virt.example", ""}},
		{"quoted", `<"a b"@virt.example>`, want{"a b", "virt.example", `"a b"@virt.example`, ""}},
		{"needless quotes", `<"a"@virt.example>`, want{"a", "virt.example", `"a"@virt.example`, ""}},
		{"partly quoted", `<a."b"@virt.example>`, want{"a.b", "virt.example", `a."b"@virt.example`, ""}},
		{"quoted pair in quotes", `<"a\"\\b"@virt.example>`, want{`a"\b`, "virt.example", `"a\"\\b"@virt.example`, ""}},
		{"quoted pair", `<pl\ain@virt.example>`, want{"plain", "virt.example", `pl\ain@virt.example`, ""}},
		{"escaped space", `<a\ b@virt.example>`, want{"a b", "virt.example", `a\ b@virt.example`, ""}},
		{"quoted at", `<"a@b"@virt.example>`, want{"a@b", "virt.example", `"a@b"@virt.example`, ""}},
		{"quoted at and no domain", `<"a@virt.example">`, want{"a@virt.example", "", `"a@virt.example"`, ""}},
		{"quoted at keeps the domain", `<"x@evil.example"@virt.example>`, want{"x@evil.example", "virt.example", `"x@evil.example"@virt.example`, ""}},
		{"two ats", "<a@b@virt.example>", want{"a@b", "virt.example", "a@b@virt.example", ""}},
		{"escaped at alone", `<a\@virt.example>`, want{"a", "virt.example", `a\@virt.example`, ""}},
		{"escaped at before another", `<a\@b@virt.example>`, want{"a@b", "virt.example", `a\@b@virt.example`, ""}},
		{"escaped at, dots", `<a.b\@c.example>`, want{"a.b", "c.example", `a.b\@c.example`, ""}},
		{"empty local part", "<@virt.example>", want{"", "virt.example", "@virt.example", ""}},
		{"quoted empty local part", `<""@virt.example>`, want{"", "virt.example", `""@virt.example`, ""}},
		{"dots in a row", "<a..b@virt.example>", want{"a..b", "virt.example", "a..b@virt.example", ""}},
		{"leading dot", "<.a@virt.example>", want{".a", "virt.example", ".a@virt.example", ""}},
		{"trailing dot", "<a.@virt.example>", want{"a.", "virt.example", "a.@virt.example", ""}},
		{"dot after the domain", "<a@virt.example.>", want{"a", "virt.example.", "a@virt.example.", ""}},
		{"whitespace", "< a . b @ virt . example >", want{"a.b", "virt.example", " a . b @ virt . example ", ""}},
		{"comment", "<(x(y\\)))a@virt.example(z)>", want{"a", "virt.example", "(x(y\\)))a@virt.example(z)", ""}},
		{"percent", "<x%other.example@virt.example>", want{"x%other.example", "virt.example", "x%other.example@virt.example", ""}},
		{"bang", "<virt.example!a>", want{"virt.example!a", "", "virt.example!a", ""}},
		{"IPv4 literal", "<a@[192.0.2.1]>", want{"a", "[192.0.2.1]", "a@[192.0.2.1]", ""}},
		{"IPv6 literal", "<a@[IPv6:2001:db8::1]>", want{"a", "[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", ""}},
		{"literal not closed", "<a@[127.0.0.1>", want{"a", "[127.0.0.1]", "a@[127.0.0.1", ""}},
		{"underscore", "<a@virt_x.example>", want{"a", "virt_x.example", "a@virt_x.example", ""}},
		{"UTF-8", "<jösé@münchen.example>", want{"jösé", "münchen.example", "jösé@münchen.example", ""}},
		{"long local part", "<" + strings.Repeat("a", 300) + "@virt.example>", want{strings.Repeat("a", 300), "virt.example", strings.Repeat("a", 300) + "@virt.example", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, rest, err := ParsePath(tt.in, false)
			if err != nil {
				t.Fatalf("ParsePath(%q): %v", tt.in, err)
			}
			got := want{p.Local, p.Domain, p.Raw, rest}
			if got != tt.want {
				t.Errorf("ParsePath(%q)\n got %+v\nwant %+v", tt.in, got, tt.want)
			}
		})
	}
}

func TestParsePathRefuses(t *testing.T) {
	for _, tt := range []struct {
		in     string
		want   error
		strict bool
	}{
		{in: "<a@virt.example", want: ErrPathUnterminated},
		{in: `<"a@virt.example>`, want: ErrPathUnterminated},
		{in: "<a<b@virt.example>", want: ErrPathUnterminated},
		{in: `<a\>`, want: ErrPathUnterminated},
		{in: "<a b@virt.example>", want: ErrPathSyntax},
		{in: "<Someone a@virt.example>", want: ErrPathSyntax},
		{in: `<a"b"c@virt.example>`, want: ErrPathSyntax},
		{in: `<"a"b@virt.example>`, want: ErrPathSyntax},
		{in: "<a(b)c@virt.example>", want: ErrPathSyntax},
		{in: "<a@virt,example>", want: ErrPathSyntax},
		{in: "<a;b@virt.example>", want: ErrPathSyntax},
		{in: "<a@>", want: ErrPathSyntax},
		{in: "<@>", want: ErrPathSyntax},
		{in: "<@x:>", want: ErrPathSyntax},
		{in: "<a@virt..example>", want: ErrPathSyntax},
		{in: "<a@.virt.example>", want: ErrPathSyntax},
		{in: "<a@virt.example..>", want: ErrPathSyntax},
		{in: "<a@-virt.example>", want: ErrPathSyntax},
		{in: "<a@virt-.example>", want: ErrPathSyntax},
		{in: "<a@127.0.0.1>", want: ErrPathSyntax},
		{in: "<a@1.2>", want: ErrPathSyntax},
		{in: "<a@[300.1.1.1]>", want: ErrPathSyntax},
		{in: "<a@[2001:db8::1]>", want: ErrPathSyntax},
		{in: "<a@[IPv6:192.0.2.1]>", want: ErrPathSyntax},
		{in: "<a@[IPv6:fe80::1%eth0]>", want: ErrPathSyntax},
		{in: `<"a@">`, want: ErrPathSyntax},
		{in: "<a@[]>", want: ErrPathSyntax},
		{in: "<a@[127.0.0.1]x>", want: ErrPathSyntax},
		{in: "<a@#123>", want: ErrPathSyntax},
		{in: `<a@"virt.example">`, want: ErrPathSyntax},
		{in: `<a@virt\.example>`, want: nil}, // the backslash protects nothing
		{in: "<a@" + strings.Repeat("x", 64) + ".example>", want: ErrPathSyntax},
		{in: "<a@" + strings.Repeat("x.", 128) + "example>", want: ErrPathSyntax},
		{in: "<a@virt.example>x", want: ErrPathSyntax},
		{in: "<a@virt.example><b@virt.example>", want: ErrPathSyntax},
		{in: "<a@b <c@virt.example>>", want: ErrPathSyntax},
		{in: "<a\x00b@virt.example>", want: ErrPathSyntax},
		{in: "<\"a\x01b\"@virt.example>", want: ErrPathSyntax},
		{in: "<a\rb@virt.example>", want: ErrPathSyntax},
		{in: "<a\xff@virt.example>", want: ErrPathSyntax},
		{in: "<a@virt.example(x>", want: ErrPathSyntax},
		{in: "a@virt.example", want: ErrPathSyntax, strict: true},
		{in: "<x <a@virt.example>>", want: ErrPathSyntax, strict: true},
		{in: "<a(b)@virt.example>", want: ErrPathSyntax, strict: true},
		{in: "<@virt.example>", want: ErrPathSyntax, strict: true},
		{in: "<<a@virt.example>>", want: nil, strict: true},
		{in: "<@x:a@virt.example>", want: nil, strict: true},
		{in: "< >", want: nil, strict: true},
	} {
		p, _, err := ParsePath(tt.in, tt.strict)
		if !errors.Is(err, tt.want) {
			t.Errorf("ParsePath(%q, %v) = %+v, %v; want %v", tt.in, tt.strict, p, err, tt.want)
		}
	}
}

func TestParseLiteral(t *testing.T) {
	for in, want := range map[string]string{
		"[192.0.2.1]":        "192.0.2.1",
		"[IPv6:2001:db8::1]": "2001:db8::1",
		"[ipv6:::1]":         "::1",
		"[::1]":              "",
		"[x]":                "",
		"[]":                 "",
		"192.0.2.1":          "",
		"[192.0.2.1":         "",
	} {
		got, ok := ParseLiteral(in)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("ParseLiteral(%q) = %v, %v; want %q", in, got, ok, want)
		}
	}
}

// What was parsed is written and read back as the same address, wherever the @ and the
// quotes stand.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{
		"<a@virt.example> SIZE=1", `<"a@b"@virt.example>`, "<@r.example:a@b.example>", `<a\@b.example>`,
		`<"\"\\"@x.example>`, "<>", "<postmaster>", "<a@[IPv6:::1]>", "<x <a@b.example>>", "<(c)a . b@d.example>",
		`"a b"@c.example`, "<jö@münchen.example>", "<a@[1.2.3.4>", `<"">`, "<.@a>", "<a@b@c.example>",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, strict bool) {
		p, rest, err := ParsePath(s, strict)
		if err != nil {
			return
		}
		if !strings.HasSuffix(s, rest) || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			t.Errorf("ParsePath(%q): rest %q", s, rest)
		}
		if hasControl(p.Local) || hasControl(p.Domain) || strings.Contains(p.Domain, "@") {
			t.Errorf("ParsePath(%q) = %+v", s, p)
		}
		written := "<" + p.Address.String() + ">"
		again, rest, err := ParsePath(written, false)
		if err != nil || again.Address != p.Address || rest != "" {
			t.Errorf("ParsePath(%q) = %+v; written as %q it is %+v, %q, %v", s, p.Address, written, again.Address, rest, err)
		}
	})
}
