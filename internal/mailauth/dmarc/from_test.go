package dmarc

import (
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAuthorDomains(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "From: a@one.example\n", "one.example"},
		{"name", "From: A B <a@one.example>\n", "one.example"},
		{"among others", "To: x@to.example\nFROM:a@one.example\nReply-To: y@r.example\n\nFrom: b@body.example\n", "one.example"},
		{"space before the colon", "From \t: a@one.example\n", "one.example"},
		{"bare line ends", "To: x@to.example\nFrom: a@one.example", "one.example"},
		{"folded", "From:\n A\n\t<a@one.example>\n", "one.example"},
		{"case, dot at the end", "From: a@One.EXAMPLE.\n", "one.example"},
		{"U-labels", "From: a@BÜCHER.example, b@xn--bcher-kva.example\n", "xn--bcher-kva.example"},
		{"composed otherwise", "From: a@bu\u0308cher.example\n", "xn--bcher-kva.example"},
		{"ideographic dot", "From: a@one。example\n", "one.example"},
		{"quoted local part", "From: \"a@two.example\"@one.example\n", "one.example"},
		{"percent, bang", "From: two.example!a%two.example@one.example\n", "one.example"},
		{"space around at", "From: <a @ (x) one.example >\n", "one.example"},
		{"dots in the local part", "From: a . \"b\" . c@one.example\n", "one.example"},
		{"after 100 KiB", "X: " + strings.Repeat("y", 100<<10) + "\n" + strings.Repeat("Y: z\n", 10000) + "From: a@one.example\n", "one.example"},
		{"long itself", "From: \"" + strings.Repeat("y", 200<<10) + "\" <a@one.example>\n", "one.example"},

		{"address in a name in quotes", "From: \"a@two.example\" <b@one.example>\n", "one.example"},
		{"address in a comment", "From: b@one.example (a@two.example (nested\\)))\n", "one.example"},
		{"address in an encoded word", "From: =?utf-8?q?a=40two.example?= <b@one.example>\n", "one.example"},
		{"8-bit name", "From: J\xfcrg \xff <b@one.example>\n", "one.example"},
		{"a name with a comma", "From: Doe, John <b@one.example>\n", "one.example"},
		{"a name with at", "From: John @ Acme <b@one.example>\nFrom: John@Acme <b@one.example>\n", "one.example"},
		{"a name with at and a domain", "From: John @ acme.example <b@one.example>\n", "one.example acme.example"},
		{"a name with an address in quotes and more", "From: \"a@two.example\" B <b@one.example>\n", "one.example"},
		{"a name with brackets and dots", "From: [Bot] J. Q. Public <b@one.example>\n", "one.example"},
		{"address as its own name", "From: b@one.example <b@one.example>\n", "one.example"},
		{"source route", "From: <@two.example,@three.example:b@one.example>\n", "one.example"},
		{"empty entries", "From: ,, b@one.example ,\n", "one.example"},
		{"group", "From: us: a@one.example, B <b@two.example>;, c@three.example\n", "one.example two.example three.example"},

		{"no comma behind a group", "From: us: a@one.example; B <b@two.example>\n", "one.example two.example"},
		{"semicolons", "From: a@one.example; B <b@two.example>;\n", "one.example two.example"},
		{"a name with a colon", "From: Bot: news <b@one.example>\n", "one.example"},
		{"an address as such a name", "From: a@two.example: <b@one.example>\n", "two.example one.example"},
		{"specials in an encoded word", "From: =?utf-8?q?A:_B,_C;_(D)?= <b@one.example>\n", "one.example"},
		{"a name with a backslash", "From: OFFICE\\joe <b@one.example>\n", "one.example"},
		{"an address without local part as such a name", "From: b@one.example, @two.example: c\n", "one.example two.example"},
		{"encoded words that are none", "From: =?utf-8?q?a?=, b@one.example\n", "one.example"},
		{"two addresses", "From: a@one.example, b@two.example\n", "one.example two.example"},
		{"two of one domain", "From: a@one.example, b@ONE.example.\n", "one.example"},
		{"two fields", "From: a@one.example\nSubject: x\nfrom: b@two.example\n", "one.example two.example"},
		{"two fields of one domain", "From: a@one.example\nFrom: b@one.example\n", "one.example"},
		{"another address for a name", "From: a@one.example <b@two.example>\n", "two.example one.example"},
		{"with a mark behind it", "From: a@one.example! <b@two.example>\n", "two.example one.example"},
		{"the same without spaces", "From: a@one.example<b@two.example>\n", "two.example one.example"},
		{"behind a bare carriage return", "Subject: x\rFrom: a@two.example\nFrom: b@one.example\n", "two.example one.example"},
		{"an empty line for some", "Subject: x\r\r\nFrom: b@one.example\n", "one.example"},
		{"very many", "From: " + manyAddresses(100) + "\n", "d0.example d1.example d2.example d3.example d4.example d5.example d6.example d7.example d8.example d9.example d10.example d11.example d12.example d13.example d14.example d15.example"},

		{"none", "Subject: x\n\nFrom: a@one.example\n", "error: there is no From field"},
		{"empty header", "", "error: there is no From field"},
		{"a continued line is no field", "Subject: x\n From: a@one.example\n", "error: there is no From field"},
		{"mbox line", "From a@one.example: x\n", "error: there is no From field"},
		{"no address", "From: John Doe\n", "error: no address with a domain"},
		{"empty", "From: \n", "error: no address with a domain"},
		{"null", "From: John <>\n", "error: no address with a domain"},
		{"empty group", "From: undisclosed-recipients:;\n", "error: no address with a domain"},
		{"two angles", "From: <a@one.example> <b@two.example>\n", "error: malformed at \"<\""},
		{"words behind an angle", "From: <a@one.example> b\n", "error: malformed at \"b\""},
		{"words before an address", "From: John a@one.example\n", "error: words before"},
		{"no comma", "From: a@one.example b@two.example\n", "error: followed by"},
		{"two at", "From: a@two.example@one.example\n", "error: followed by"},
		{"two at in an angle", "From: <a@two.example@one.example>\n", "error: followed by"},
		{"angle in an angle", "From: <<a@one.example>>\n", "error: malformed at \"<\""},
		{"comma in an angle", "From: <a@one.example, b@two.example>\n", "error: followed by"},
		{"comma before an angle's address", "From: <x, a@one.example>\n", "error: malformed at \",\""},
		{"no end of an angle", "From: <a@one.example\n", "error: no \">\""},
		{"no begin of an angle", "From: a@one.example>\n", "error: malformed at \">\""},
		{"no end of quotes", "From: \"a <b@one.example>\n", "error: a quoted string"},
		{"no end of a comment", "From: b@one.example (a\\)\n", "error: a comment"},
		{"no begin of a comment", "From: b@one.example )\n", "error: malformed at ')'"},
		{"no end of a literal", "From: b@[192.0.2.1\n", "error: an address literal"},
		{"address literal", "From: b@[192.0.2.1]\n", "error: address literal [192.0.2.1]"},
		{"number", "From: b@192.0.2.1\n", "error: \"192.0.2.1\" is no domain"},
		{"no domain behind at", "From: <b@>\n", "error: has no domain"},
		{"no local part", "From: <@one.example>\n", "error: no local part"},
		{"no local part without angle", "From: @one.example\n", "error: no local part"},
		{"route without end", "From: <@two.example b@one.example>\n", "error: no local part"},
		{"comment in the domain", "From: b@one.example(x).two.example\n", "error: followed by \".two.example\""},
		{"fold in the domain", "From: b@one\n .example\n", "error: followed by"},
		{"space in the domain", "From: b@one. example\n", "error: followed by"},
		{"quotes in the domain", "From: b@\"one.example\"\n", "error: followed by"},
		{"empty label", "From: b@one..example\n", "error: is no domain"},
		{"long label", "From: b@" + strings.Repeat("x", 64) + ".example\n", "error: is no domain"},
		{"very long domain", "From: b@" + strings.Repeat("x.", 10000) + "example\n", "error: too long"},
		{"8-bit domain", "From: b@\xfcmlaut.example\n", "error: is no domain"},
		{"NUL", "From: b@one.example\x00.two.example\n", "error: NUL"},
		{"NUL in a name", "From: \"\x00\" <b@one.example>\n", "error: NUL"},
		{"bare carriage return", "From: b@one.example\r.two.example\n", "error: carriage return"},
		{"control character", "From: b@one.example\x01\n", "error: malformed at"},
		{"backslash before a special character in a name", "From: a\\@two.example <b@one.example>\n", "error: malformed at"},
		{"backslash in a domain", "From: b@one.example\\x.two.example\n", "error: is no domain"},
		{"backslash", "From: a\\@two.example@one.example\n", "error: malformed at"},
		{"group in a group", "From: us: them: a@one.example;;\n", "error: malformed at \":\""},
		{"group without name", "From: : a@one.example;\n", "error: malformed at \":\""},
		{"encoded word for an address", "From: =?utf-8?q?a=40two.example?=, b@one.example\n", "error: in an encoded word"},
		{"encoded word in a local part", "From: =?utf-8?q?a=40two.example?=@one.example\n", "error: in an encoded word"},
		{"encoded word for an address, in an angle", "From: <=?utf-8?b?YUB0d28uZXhhbXBsZQ==?=>\n", "error: in an encoded word"},
		{"encoded word of an unknown character set", "From: =?x?q?a=40two.example?=, b@one.example\n", "error: in an encoded word"},
		{"quotes for an address", "From: b@one.example, \"a@two.example\"\n", "error: in quotes"},
		{"fold in the domain of a name", "From: a@two. one.example <b@one.example>\n", "error: followed by"},
		{"quotes for the name of a group", "From: \"a@two.example\": b@one.example\n", "error: in quotes"},
		{"one good, one bad", "From: a@one.example\nFrom: <b@two.example\n", "error: no \">\""},
	} {
		header := strings.ReplaceAll(c.in, "\n", "\r\n")
		if c.name == "bare line ends" {
			header = c.in
		}
		domains, err := AuthorDomains([]byte(header))
		if problem, is := strings.CutPrefix(c.want, "error: "); is {
			if err == nil || domains != nil || !strings.Contains(err.Error(), problem) || len(err.Error()) > 200 {
				t.Errorf("%s: %v, %v, want %s", c.name, domains, err, c.want)
			}
			continue
		}
		if got := strings.Join(domains, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func manyAddresses(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a@d" + strconv.Itoa(i) + ".example, ")
	}
	return b.String()
}

// Work that grows faster than the header would not end before the test's time is up.
func TestAuthorDomainsOfLongHeaders(t *testing.T) {
	for _, part := range []string{"(", "\"", "\r", "\rFrom: x@", "From:\r\n", "From: <\r\n", "a@b.example,", "ü@ü.example,", "@a:", "<", "\\", "x y ", "a@[", "\r\n "} {
		header := "From: " + strings.Repeat(part, 1<<20/len(part))
		if domains, err := AuthorDomains([]byte(header)); err == nil && len(domains) != 1 {
			t.Errorf("%q: %v", part, domains)
		}
	}
}

// What is found are domains; and whoever reads by the book finds none beside them.
func FuzzAuthorDomains(f *testing.F) {
	for _, s := range []string{
		"a@one.example", "A <a@one.example>, b@two.example", "g: a@one.example;, x", "\"a\\\"\" <@r.example:b@one.example> (c (d))", "a@b@c", "<a@one.example> <b@two.example>",
		"=?utf-8?q?x?= <a@ü.example>", "a@one.example\r\n <b@two.example>", "a@one.example\rFrom: b@two.example", ", ,", "a@\x00b", "\xff <a@one.example>", "a b@c.example", "a@b.c <d@e.f>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, "\n") && !strings.Contains(value, "\n ") {
			return
		}
		domains, err := AuthorDomains([]byte("X: y\r\nFrom: " + value + "\r\n\r\n"))
		if (err == nil) == (len(domains) == 0) {
			t.Fatalf("%q: %q, %v", value, domains, err)
		}
		for i, d := range domains {
			if n, err := normal(d); err != nil || n != d || slices.Contains(domains[:i], d) {
				t.Fatalf("%q: %q", value, domains)
			}
		}
		list, bookErr := mail.ParseAddressList(strings.ReplaceAll(value, "\r\n", ""))
		if err != nil || bookErr != nil || len(domains) == maxDomains || strings.ContainsAny(value, "\r\n") {
			return
		}
		for _, a := range list {
			_, domain, _ := strings.Cut(a.Address[strings.LastIndexByte(a.Address, '@'):], "@")
			if d, err := normal(domain); err == nil && !slices.Contains(domains, d) {
				t.Fatalf("%q: %q has not %s", value, domains, d)
			}
		}
	})
}
