package table

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What Debian's Postfix 3.7.11 makes of these lines: postalias, and postalias -s.
func TestAliasesText(t *testing.T) {
	for _, tt := range []struct{ name, text, key, value, warning string }{
		{"plain", "root: admin", "root", "admin", ""},
		{"no white space between", "a:b,c", "a", "b, c", ""},
		{"commas", "root:\tone@d.example,two@d.example ,  \"three x\"@d.example", "root", `one@d.example, two@d.example, "three x"@d.example`, ""},
		{"comment", "a: b (a comment), c", "a", "b (a comment), c", ""},
		{"command in quotes", `cmd: "|/usr/bin/foo a, b \"q\" c"`, "cmd", `"|/usr/bin/foo a, b \"q\" c"`, ""},
		{"command", "cmd: |/usr/bin/foo", "cmd", "|/usr/bin/foo", ""},
		{"quotes behind the bar", `cmd: |"/usr/bin/foo bar"`, "cmd", `|"/usr/bin/foo bar"`, ""},
		{"backslashes", `c: "|a\\b \$HOME"`, "c", `"|a\\b $HOME"`, ""},
		{"include", "inc: :include:/tmp/x/list", "inc", ":include:/tmp/x/list", ""},
		{"include in quotes", `inc: ":include:/tmp/x/a b"`, "inc", `":include:/tmp/x/a b"`, ""},
		{"two includes", "t: :include:/tmp/a, :include:/tmp/b", "t", ":include:/tmp/a, :include:/tmp/b", ""},
		{"name in quotes", `"odd user": x`, "odd user", "x", ""},
		{"name of two words", "odd two: y", "odd two", "y", ""},
		{"continued", "cont: a,\n  b,\n# c\n  c", "cont", "a, b, c", ""},
		{"empty in quotes", `e: ""`, "e", `""`, ""},
		{"group", "grp: group: x, y;", "grp", "group:x, y;", ""},
		{"routes", "route: <foo@bar>, Name <x@y>", "route", "<foo@bar>, Name <x@y>", ""},
		{"backslash before a word", `bs: \user`, "bs", "user", ""},
		{"extension in the name", "name+ext: x", "name+ext", "x", ""},
		{"case", "UPPER: MiXed@Case.example", "UPPER", "MiXed@Case.example", ""},
		{"second colon", "col:on: x", "col", "on:x", ""},
		{"words", "sp: a b c", "sp", "a b c", ""},
		{"quoted local parts", `q: "a.b"@dom, "a b"@dom, "ab"`, "q", `"a.b"@dom, "a b"@dom, "ab"`, ""},
		{"only a comment", "par: (only comment)", "par", "(only comment)", ""},
		{"semicolon", "semi: a; b", "semi", "a;b", ""},
		{"spaces around operators", "t: a.b . c @ d", "t", "a.b.c@d", ""},
		{"adjoining quotes", `t: "a""b"`, "t", `"a" "b"`, ""},
		{"literals", "t: x@[1.2.3.4], [ab", "t", "x@[1.2.3.4], [ab]", ""},
		{"quotes that are not closed", `t: "unclosed`, "t", `"unclosed"`, ""},
		{"comment that is not closed", "t: (unclosed", "t", "(unclosed", ""},
		{"many commas", "t: ,,a,,", "t", ", , a, , ", ""},
		{"comma behind a backslash", `t: a\,b`, "t", `"a,b"`, ""},
		{"angle brackets", "t: <>", "t", "<>", ""},
		{"UTF-8", "t: ünï@dom", "t", "ünï@dom", ""},

		{"with a domain", "user@dom: x", "", "", "T, line 1: name must be local"},
		{"no colon", "nope", "", "", "T, line 1: need name:value pair"},
		{"no value", "empty:", "", "", "T, line 1: need name:value pair"},
		{"no name", ": x", "", "", "T, line 1: need name:value pair"},
		{"two names", "a,b: c", "", "", "T, line 1: need name:value pair"},
		{"not UTF-8", "a: \xff", "", "", "T, line 1: non-UTF-8 input \"a: \xff\" -- ignoring this line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var warnings []string
			var got []entry
			o := Options{Warn: func(s string) { warnings = append(warnings, s) }, Aliases: true}.withDefaults()
			if err := readSource(strings.NewReader(tt.text+"\n"), "T", o, "", func(e entry) error {
				got = append(got, e)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if w := strings.Join(warnings, "\n"); w != tt.warning {
				t.Errorf("%q warns %q, want %q", tt.text, w, tt.warning)
			}
			if tt.warning != "" {
				if got != nil {
					t.Errorf("%q became %v", tt.text, got)
				}
				return
			}
			if want := (entry{tt.key, tt.value, 1}); len(got) != 1 || got[0] != want {
				t.Errorf("%q: %v, want %v", tt.text, got, want)
			}
		})
	}
}

func TestAliasTargets(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  string // targets, with the domain's @ doubled
	}{
		{"a, b c", "a|b|c"},
		{`one@d.example, "three x"@d.example`, "one@@d.example|three x@@d.example"},
		{`"a@b"@c`, "a@b@@c"},
		{`"a@b"`, "a@b"},
		{`"|exit 3", /tmp/a`, "!exit 3|/tmp/a"},
		{"|/bin/x arg", "!/bin/x|arg"},
		{`|"cmd a", b`, "!cmd a|b"},
		{":include:/tmp/a, :include:/tmp/b", ":include:/tmp/a|:include:/tmp/b"},
		{":include:/tmp/a b", ":include:/tmp/a|b"},
		{"grp:a, b;", "a|b"},
		{"x, grp:a, b;, y", "x|a|b|y"},
		{"Some Name <x@y>, z", "x@@y|z"},
		{"x <y> z", "y|z"},
		{"a (comment, with comma) b", "a|b"},
		{"a;b", "a|b"},
		{", , a, , ", "a"},
		{"<>", ""},
		{`""`, `` + "\x00"},
		{"(only comment)", ""},
		{"a.b.c@d.e", "a.b.c@@d.e"},
		{"user@[192.0.2.1]", "user@@[192.0.2.1]"},
		{"host!user", "host!user"},
		{"~/foo", "~/foo"},
	} {
		got := AliasTargets(tt.value)
		var list []string
		for _, g := range got {
			s := g.Text
			if g.Domain >= 0 {
				s = s[:g.Domain] + "@" + s[g.Domain:]
			}
			if s == "" {
				s = "\x00"
			}
			list = append(list, strings.Replace(s, "|", "!", 1))
		}
		if s := strings.Join(list, "|"); s != tt.want {
			t.Errorf("%q: %q, want %q", tt.value, s, tt.want)
		}
	}
}

// FuzzAliases: a value that was stored is read as the text it came from, and storing it
// again changes nothing.
func FuzzAliases(f *testing.F) {
	for _, s := range []string{`a, "b c"@d`, `"|cmd \"x\" y", /f`, "g:a,b;", "x <y@z> (c)", `a\,b`, "[a", `"`, "(", `\`, ":include:/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := externalForm(scanAliases(s))
		if again := externalForm(scanAliases(once)); again != once {
			// What was not closed is closed in the stored form of the rest, not in itself.
			if third := externalForm(scanAliases(again)); third != again {
				t.Errorf("%q is stored as %q, then %q, then %q", s, once, again, third)
			}
			return
		}
		if a, b := AliasTargets(s), AliasTargets(once); !slices.Equal(a, b) {
			t.Errorf("%q leads to %+v, stored as %q to %+v", s, a, once, b)
		}
	})
}

// Tables built for aliases answer as postalias -q does, say who owns them, and refuse
// patterns that would put the sender's words into a command.
func TestAliasTables(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "aliases")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(source, "Root: admin@d.example\n\"odd user\": \"|/bin/x -a\"\nroot: twice\n")
	for _, typ := range []string{"hash", "btree", "lmdb", "cdb"} {
		var warnings []string
		if err := Build(typ+":"+source, BuildOptions{Aliases: true, Warn: func(s string) { warnings = append(warnings, s) }}); err != nil {
			t.Fatal(err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], `duplicate entry: "root"`) {
			t.Errorf("%s: warnings %q", typ, warnings)
		}
		table, err := Open(typ+":"+source, Options{Aliases: true})
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{"ROOT": "admin@d.example", "odd user": `"|/bin/x -a"`} {
			if got, found, err := table.Lookup(context.Background(), key); got != want || !found || err != nil {
				t.Errorf("%s: %s is %q, %v, %v; want %q", typ, key, got, found, err, want)
			}
		}
		if uid, known := table.(Owned).Owner(); uid != os.Getuid() || !known {
			t.Errorf("%s: owner %d, %v", typ, uid, known)
		}
		table.Close()
	}
	if _, err := Open("hash:"+source+"x", Options{Aliases: true}); err == nil || !strings.Contains(err.Error(), "aliasmx postalias") {
		t.Errorf("a missing index: %v", err)
	}

	rules := filepath.Join(dir, "rules")
	write(rules, "/^(.*)-bad$/ |/bin/x $1\n/^good/ admin\n")
	var warnings []string
	table, err := Open("regexp:"+rules, Options{Aliases: true, Warn: func(s string) { warnings = append(warnings, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	_, found, err := table.Lookup(context.Background(), "x-bad")
	if found || err != nil || len(warnings) < 1 || !strings.Contains(warnings[0], "substitution is not allowed") {
		t.Errorf("substitution: %v, %v, %q", found, err, warnings)
	}
	if uid, known := table.(Owned).Owner(); uid != os.Getuid() || !known {
		t.Errorf("rules: owner %d, %v", uid, known)
	}
}

// A file that Postfix built is left alone; its source is read as aliases.
func TestAliasesOfPostfix(t *testing.T) {
	source := filepath.Join(t.TempDir(), "aliases")
	if err := os.WriteFile(source, []byte("root: admin@d.example, other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4096)
	copy(head[12:], []byte{0x61, 0x15, 0x06, 0x00})
	if err := os.WriteFile(source+".db", head, 0o644); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	table, err := Open("hash:"+source, Options{Aliases: true, Warn: func(s string) { warnings = append(warnings, s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	got, found, err := table.Lookup(context.Background(), "root")
	if got != "admin@d.example, other" || !found || err != nil {
		t.Errorf("root is %q, %v, %v", got, found, err)
	}
	if s := fmt.Sprint(warnings); !strings.Contains(s, "was made by Postfix (Berkeley DB)") || !strings.Contains(s, "aliasmx postalias hash:") {
		t.Errorf("warnings: %s", s)
	}
	if uid, known := table.(Owned).Owner(); uid != os.Getuid() || !known {
		t.Errorf("owner %d, %v", uid, known)
	}
}
