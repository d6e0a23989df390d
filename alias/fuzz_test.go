package alias

import (
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// FuzzScan: what was written with backslashes or quotes reads back as the same tokens, and
// joining tokens loses no byte but white space, comments and what quotes with.
func FuzzScan(f *testing.F) {
	for _, s := range []string{"a@b.c", `"a b"@c`, `a\@b`, "[1.2.3.4]", "(c (d)) e", `"\"`, "[\\]", "x%y!z", "a\tb", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size := 0
		for i, tok := range scan(s) {
			size += len(tok.text)
			if tok.kind == operator {
				size++
				if !mail.IsAddressOperator(tok.op) || tok.text != "" {
					t.Errorf("%q: token %d is %+v", s, i, tok)
				}
			}
			if tok.kind == atom && tok.text != "" { // empty: a backslash at the end
				if again := scan(tok.text); len(again) != 1 || again[0] != tok {
					t.Errorf("%q: the atom %q is read again as %+v", s, tok.text, again)
				}
			}
			if tok.kind == quoted {
				if again := scan(quote(tok.text)); len(again) != 1 || again[0] != tok {
					t.Errorf("%q: %+v is read again as %+v", s, tok, again)
				}
			}
		}
		if size > len(s) {
			t.Errorf("%q: tokens of %d bytes", s, size)
		}
	})
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// FuzzComplete: a complete address has a domain, unless it is the null address or cannot
// have one; and completing it again changes nothing, where the address is one that can be
// written and read.
func FuzzComplete(f *testing.F) {
	for _, s := range []string{"a", "a@b", "a@b.", "a%b", "b!a", "c!b!a%d", "@r:a@b", "@r,@q:a", "", "@", "a@", `"a b"`, `"a@b"`, "a@[1.2.3.4]", "a@b..", "a@b@c"} {
		for mode := range byte(16) {
			f.Add(s, mode)
		}
	}
	f.Fuzz(func(t *testing.T, s string, mode byte) {
		r := newTestResolver(t, nil, func(o *Options) {
			o.AppendDotMyDomain, o.AppendAtMyOrigin = mode&1 == 0, mode&2 == 0
			o.SwapBangpath, o.AllowPercentHack = mode&4 == 0, mode&8 == 0
		})
		for _, a := range []mail.Address{splitInternal(s), {Local: s, Domain: "virt.example"}} {
			once := r.Complete(a)
			if a.IsNull() != once.IsNull() && strings.Trim(s, "@ \t\r\n") == s && s != "" && !strings.ContainsAny(s, `(\"@:`) {
				t.Errorf("%+v is completed to %+v", a, once)
			}
			if once.Domain == "" && r.o.AppendAtMyOrigin && once.Local != "" && !strings.Contains(once.Local, "@") {
				t.Errorf("%+v is completed to %+v, without a domain", a, once)
			}
			// A source route loses one station a time; two dots are for the diagnosis.
			if strings.HasPrefix(once.Local, "@") || once.Local == "" || !readsAsDomain(once.Domain) || strings.Contains(once.Domain, "..") {
				continue
			}
			if strings.Contains(a.Domain+s, ".") && !strings.Contains(once.Domain, ".") {
				continue // user@host. has no domain to append; user@host has
			}
			if twice := r.Complete(once); twice != once {
				t.Errorf("%+v is completed to %+v, that to %+v", a, once, twice)
			}
		}
	})
}
