package alias

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

func TestParseList(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string // external form
	}{
		"one":                      {"joe@dest.example", []string{"joe@dest.example"}},
		"commas":                   {"a@x.example,b@x.example, c@x.example", []string{"a@x.example", "b@x.example", "c@x.example"}},
		"no comma":                 {"a@x.example b@x.example\tc", []string{"a@x.example", "b@x.example", "c"}},
		"empty elements":           {" ,a@x.example , , b@x.example,,", []string{"a@x.example", "b@x.example"}},
		"nothing":                  {" ,, ", nil},
		"empty":                    {"", nil},
		"quoted":                   {`"odd user"@x.example`, []string{`"odd user"@x.example`}},
		"quoted without need":      {`"joe"@x.example`, []string{`joe@x.example`}},
		"comma in quotes":          {`"a, b"@x.example, c@x.example`, []string{`"a, b"@x.example`, "c@x.example"}},
		"at in quotes":             {`"a@b"@x.example`, []string{`"a@b"@x.example`}},
		"backslash in quotes":      {`"a\"b\\c"@x.example`, []string{`"a\"b\\c"@x.example`}},
		"backslash outside":        {`pl\ain@x.example`, []string{`plain@x.example`}},
		"backslash before a space": {`a\ b@x.example`, []string{`"a b"@x.example`}},
		"empty quotes":             {`""`, []string{""}},
		"comment after":            {"a@x.example (the boss), b@x.example", []string{"a@x.example", "b@x.example"}},
		"comment inside":           {"a(x)@(y)x.example", []string{"a@x.example"}},
		"nested comment":           {`a@x.example (b (c) \) d) b@x.example`, []string{"a@x.example", "b@x.example"}},
		"open comment":             {"a@x.example (b@x.example", []string{"a@x.example"}},
		"brackets":                 {"<a@x.example>", []string{"a@x.example"}},
		"phrase":                   {`Joe B. "the" User <a@x.example>`, []string{"a@x.example"}},
		"phrases":                  {`Joe <a@x.example>, Ann <b@x.example> c@x.example`, []string{"a@x.example", "b@x.example", "c@x.example"}},
		"word after brackets":      {`<a@x.example> b@x.example`, []string{"a@x.example", "b@x.example"}},
		"brackets in brackets":     {"<Someone <a@x.example>>", []string{"a@x.example>"}}, // as Postfix
		"open bracket missing":     {"a@x.example>", []string{"a@x.example"}},
		"group":                    {"team: a@x.example, b@x.example;", []string{"a@x.example", "b@x.example"}},
		"group and more":           {"x@x.example, team: a@x.example; b@x.example", []string{"x@x.example", "a@x.example", "b@x.example"}},
		"empty group":              {"undisclosed:;", nil},
		"colon without group":      {":include:/tmp/x", []string{`":include:/tmp/x"`}},
		"pipe":                     {"|/bin/cat", []string{"|/bin/cat"}},
		"literal":                  {"a@[192.0.2.1]", []string{"a@[192.0.2.1]"}},
		"open literal":             {"a@[192.0.2.1", []string{"a@[192.0.2.1]"}},
		"spaces at operators":      {"a @ x . example", []string{"a@x.example"}},
		"word at a dot":            {"a@x.example .b@x.example", []string{`"a@x.example.b"@x.example`}},
		"two ats":                  {"a@b@x.example", []string{`"a@b"@x.example`}},
		"domain empty":             {"a@", []string{"a@"}},
		"route":                    {"@r.example:a@x.example", []string{`"@r.example:a"@x.example`}},
		"eight bits":               {"jösé@x.example", []string{"jösé@x.example"}},
		"line ends":                {"a@x.example,\r\n b@x.example", []string{"a@x.example", "b@x.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, tokens := range parseList(c.in) {
				got = append(got, external(toAddress(tokens)))
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("parseList(%q)\n got %q\nwant %q", c.in, got, c.want)
			}
		})
	}
}

func TestUserWithoutDomainNameIsNotAUser(t *testing.T) {
	for in, want := range map[string]mail.Address{
		"user@":       {Local: "user@"},
		"user":        {Local: "user"},
		"user@domain": {Local: "user", Domain: "domain"},
		"a@b@c":       {Local: "a@b", Domain: "c"},
	} {
		if got := splitInternal(in); got != want {
			t.Errorf("splitInternal(%q) = %+v, want %+v", in, got, want)
		}
		if got := external(splitInternal(in)); in == "user@" && got != in {
			t.Errorf("external form of %q is %q", in, got)
		}
	}
}

// FuzzParseList: whatever a table holds, the addresses in it survive being written out
// and read again.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{
		"a@x.example, b@y.example", `"a, b"@x (c) <d@[1.2.3.4]> e`, "g: a, b;c", `a\@b@c "" <> ;:,`, "|!%@.", "((", `"`, "[", "a@@b@",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, tokens := range parseList(s) {
			if len(tokens) == 0 {
				t.Fatalf("parseList(%q) has an address of nothing", s)
			}
			a := toAddress(tokens)
			if strings.HasPrefix(a.Local, "@") || !readsAsDomain(a.Domain) {
				continue // a source route, or not a domain: not written to be read again
			}
			again := parseList(external(a))
			if a.IsNull() && external(a) == "" {
				continue
			}
			if len(again) != 1 || toAddress(again[0]) != a {
				t.Fatalf("%q: %+v is written %q and read as %v", s, a, external(a), again)
			}
		}
	})
}

// readsAsDomain tells the domains that are nothing but atoms and dots.
func readsAsDomain(domain string) bool {
	for i := 0; i < len(domain); i++ {
		if domain[i] != '.' && !isPlain(domain[i]) {
			return false
		}
	}
	return true
}

// FuzzPlainTargets: the short way of reading a result gives what the parser gives.
func FuzzPlainTargets(f *testing.F) {
	for _, s := range []string{"a@x.example, b@y.example", "a@b c@d.e", ".a@b.c", "a@b. c@d", "a", "a@", "@b", "a@b@c.d", ",,"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, appendDot bool) {
		r := newTestResolver(t, nil, func(o *Options) { o.AppendDotMyDomain = appendDot })
		short, ok := r.plainTargets(s)
		if !ok {
			return
		}
		var long []mail.Address
		for _, tokens := range parseList(s) {
			long = append(long, toAddress(r.rewrite(tokens)))
		}
		if len(short) != len(long) {
			t.Fatalf("%q: %v, by the parser %v", s, short, long)
		}
		for i := range short {
			if short[i] != long[i] {
				t.Fatalf("%q: %v, by the parser %v", s, short, long)
			}
		}
	})
}
