package mail

import (
	"fmt"
	"strings"
	"testing"
)

// tokens shows what a text is made of.
func tokens(s string) string {
	var list []string
	for i := 0; i < len(s); {
		if IsAddressSpace(s[i]) {
			i++
			continue
		}
		var t Token
		t, i = NextToken(s, i)
		if t.Kind == TokenOperator {
			list = append(list, string(rune(t.Op)))
		} else {
			list = append(list, fmt.Sprintf("%c<%s>", "?aqcl"[t.Kind], t.Text))
		}
	}
	return strings.Join(list, " ")
}

func TestNextToken(t *testing.T) {
	for in, want := range map[string]string{
		`joe@dest.example`:     `a<joe> @ a<dest> . a<example>`,
		`"a b"@[192.0.2.1]`:    `q<a b> @ l<192.0.2.1>`,
		`"say \"hi\""@x`:       `q<say "hi"> @ a<x>`,
		`a\@b@x`:               `q<a@b> @ a<x>`,
		`a (one (two)) b`:      `a<a> c<(one (two))> a<b>`,
		`(not closed`:          `c<(not closed>`,
		`"not closed`:          `q<not closed>`,
		`[not closed`:          `l<not closed>`,
		"\"folded\r\n\tonce\"": `q<folded   once>`,
		`site!user%host|x`:     `a<site> ! a<user> % a<host> | a<x>`,
		`<a,b;c:d>`:            `< a<a> , a<b> ; a<c> : a<d> >`,
		`\`:                    `a<>`,
		`grün@bücher.example`:  `a<grün> @ a<bücher> . a<example>`,
	} {
		if got := tokens(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// Every token takes something of the text, and none more than there is.
func FuzzNextToken(f *testing.F) {
	for _, s := range []string{`"a b"@[x]`, `a\`, `((`, "\\\n\"", `a@b, c`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i := 0; i < len(s); {
			if IsAddressSpace(s[i]) {
				i++
				continue
			}
			_, end := NextToken(s, i)
			if end <= i || end > len(s) {
				t.Fatalf("%q: the token at %d ends at %d", s, i, end)
			}
			i = end
		}
	})
}
