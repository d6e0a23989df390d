package main

import (
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func shownAddresses(list []mail.Address) string {
	var words []string
	for _, a := range list {
		words = append(words, a.String())
	}
	return strings.Join(words, " | ")
}

// The results are Postfix's, recorded from sendmail -t of 3.7.11, but where it says so.
func TestParseAddressList(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"a@b.example", "a@b.example"},
		{"bob, ann", "bob | ann"},
		{"a@b.example, Joe Q. <c@d.example>,\n \"x, y\" <e@f.example> (comment <no@no>)", "a@b.example | c@d.example | e@f.example"},
		{"Group: m1@x.example, m2@x.example; , n@y.example", "m1@x.example | m2@x.example | n@y.example"},
		{"undisclosed-recipients:;", ""},
		{"c@d.example;e@f.example", "c@d.example | e@f.example"},
		{"<q@x.example> <z@z.example>", "q@x.example | z@z.example"},
		{"<@a.example,@b.example:q@x.example>", "q@x.example"}, // Postfix takes the route off later
		{"john doe", "john | doe"},
		{"jane doe <jd@x.example>", "jd@x.example"},
		{`"quoted local"@x.example, a . b @ c . example`, `"quoted local"@x.example | a.b@c.example`},
		{"a@b.example a2@b.example", "a@b.example | a2@b.example"},
		{"<>", ""},
		{"bad <unclosed@x.example", `"bad<unclosed"@x.example`},
		{"<unclosed@x.example", `"<unclosed"@x.example`},
		{"a b <unclosed@x.example, c@x.example", `a | "b<unclosed"@x.example | c@x.example`},
		{"x <a@b, y <c@d>, e@f", `"x<a"@b | c@d | e@f`},
		{"<a@b> <c@d", `a@b | "<c"@d`},
		{"info@x.example>", "info@x.example"},
		{"a <b@c, d@e>", "b@c | d@e"}, // two in one pair of brackets
		{"", ""},
		{" , ;, ", ""},
		{"ü@x.example", "ü@x.example"},
		{"=?utf-8?q?J?= <a@b.example>", "a@b.example"},
		{`"a@b"@c.example`, `"a@b"@c.example`},
		{"x@[1.2.3.4]", "x@[1.2.3.4]"},
		{"u%h@x.example, foo!bar", "u%h@x.example | foo!bar"},
		{`"odd, one"@o.example`, `"odd, one"@o.example`},
		{"odd two@x", "odd | two@x"},
		{"A B <ab@o.example>", "ab@o.example"},
		{"-dash@o.example", "-dash@o.example"},
		{"bad@x@y", `"bad@x"@y`},
		{"Joe <x@y.example>, b@c", "x@y.example | b@c"},
		{"user@", "user@"},
		{`esc\,aped@x.example`, `"esc,aped"@x.example`},
		{`"never closed`, `"never closed"`},
		{"(never closed", ""},
		{"a@b (one (nested) comment) , c@d", "a@b | c@d"},
		{`(a \) b) c@d`, "c@d"},
		{"a@b) ]", "a@b"},
	} {
		if got := shownAddresses(parseAddressList(tc.in)); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.in, got, tc.want)
		}
	}
}

// A header field of the largest size is read in the time of a header field.
func TestParseHugeAddressLists(t *testing.T) {
	for _, s := range []string{"<", "(", "\"", ",", "<>", "a ", "a.", "@", "[", "\\", "<@", ":", ">", "a,", "<,"} {
		begun := time.Now()
		parseAddressList(strings.Repeat(s, maxRecipientField/len(s)))
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("a field of %q took %v", s, d)
		}
	}
}

// What is found, written down in external form, is found again: no address can be two,
// or another one, on its way through a header.
func FuzzParseAddressList(f *testing.F) {
	for _, s := range []string{"a@b, c d <e@f>", `"x, \"y"@z (c)`, "<@a:b@c>", "G: a@b;", "x@[1.2.3.4]", "<<a>", `\`, "@", "a@b@c", "[", "user@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, a := range parseAddressList(in) {
			if strings.ContainsAny(a.Domain, "\r\n \t,;:<>()\"\\@") && !strings.Contains(in, "[") && !strings.ContainsAny(in, `\"`) {
				t.Errorf("%q: domain %q", in, a.Domain)
			}
			if a.IsNull() || !isPlainAddress(a) {
				continue
			}
			again := parseAddressList("Name <" + a.String() + ">, other@x.example")
			if len(again) != 2 || again[0] != a {
				t.Errorf("%q: %q is found as %q", in, a.String(), again)
			}
		}
	})
}

// isPlainAddress tells whether an address has an external form that can be read back:
// nothing odd in its domain, nothing that quoting does not protect in its local part.
func isPlainAddress(a mail.Address) bool {
	for i := 0; i < len(a.Domain); i++ {
		if c := a.Domain[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return a.Local != "" && a.Domain != "" && !strings.ContainsAny(a.Local, "\r\n")
}
