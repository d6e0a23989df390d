package table

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// warnings collects what a table has to say.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) warn(msg string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, msg)
}

// take returns what was said since the last time.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}

func (w *warnings) options() Options { return Options{Warn: w.warn} }

func write(t testing.TB, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// tableFile writes a source text and returns its path.
func tableFile(t testing.TB, text string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "virtual"), text)
}

func build(t testing.TB, spec string) {
	t.Helper()
	if err := Build(spec, BuildOptions{}); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, spec string, o Options) Table {
	t.Helper()
	tb, err := Open(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tb.Close() })
	return tb
}

// answer is what a lookup gave, in one word.
func answer(tb Table, key string) string {
	value, found, err := tb.Lookup(context.Background(), key)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !found:
		return "(none)"
	}
	return value
}

func wantAnswer(t testing.TB, tb Table, key, want string) {
	t.Helper()
	if got := answer(tb, key); got != want {
		t.Errorf("%s: Lookup(%q) = %q, want %q", tb.Name(), key, got, want)
	}
}

func wantSaid(t testing.TB, w *warnings, want ...string) {
	t.Helper()
	got := w.take()
	if len(got) != len(want) {
		t.Fatalf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("warning %q, want %q", got[i], want[i])
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	source := write(t, filepath.Join(dir, "source"), "a b\n")
	write(t, filepath.Join(dir, "garbage.db"), "this is no index at all, not by anybody")
	write(t, filepath.Join(dir, "empty.db"), "")
	if err := os.Mkdir(filepath.Join(dir, "dir.db"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, spec, want string }{
		{"unknown type", "foo:/x", "unsupported dictionary type: foo; known: btree, cdb, cidr, dbm, environ, fail, hash, inline, lmdb, pcre, pipemap, proxy, randmap, regexp, socketmap, static, tcp, texthash, unionmap"},
		{"no type", "/etc/aliases", `open dictionary: expecting "type:name" form instead of "/etc/aliases"`},
		{"empty type", ":x", `open dictionary: expecting "type:name" form instead of ":x"`},
		{"empty name", "hash:", `open dictionary: expecting "type:name" form instead of "hash:"`},
		{"behind the prefix", "proxy:foo:/x", "unsupported dictionary type: foo"},
		{"no index", "hash:" + source, "open database " + source + `.db: No such file or directory; run "aliasmx postmap hash:` + source + `"`},
		{"no index, lmdb", "lmdb:" + source, "open database " + source + `.lmdb: No such file or directory; run "aliasmx postmap lmdb:` + source + `"`},
		{"source is a directory", "hash:" + dir, "open database " + dir + ".db: No such file or directory; " + dir + " is a directory"},
		{"index is a directory", "hash:" + dir + "/dir", "open database " + dir + "/dir.db: Is a directory"},
		{"index is garbage", "hash:" + dir + "/garbage", "open database " + dir + "/garbage.db: not a table index; run"},
		{"index is empty", "btree:" + dir + "/empty", "open database " + dir + "/empty.db: not a table index; run"},
		{"path through a file", "hash:" + source + "/x", "open database " + source + "/x.db: Not a directory"},
		{"texthash missing", "texthash:" + dir + "/nosuch", "open database " + dir + "/nosuch: No such file or directory"},
		{"texthash directory", "texthash:" + dir, "read " + dir + ": Is a directory"},
		{"static, open brace", "static:{", `bad static:name syntax: missing '}' in "{"`},
		{"static, text behind", "static:{a}b", `bad static:name syntax: syntax error after '}' in "{a}b"`},
		{"inline, no braces", "inline:x=y", `bad syntax: "inline:x=y"; need "inline:{name=value...}"`},
		{"inline, empty", "inline:{}", `bad syntax: "inline:{}"; need`},
		{"inline, blank", "inline:{ }", `empty table: "inline:{ }"; need`},
		{"inline, open", "inline:{{x=y}", `bad syntax: "inline:{{x=y}"; need`},
		{"inline, behind", "inline:{x=y}z", `bad syntax: "inline:{x=y}z"; need`},
		{"inline, no =", "inline:{ x= y, z=w }", `missing '=' after attribute name: "inline:{ x= y, z=w }"; need`},
		{"inline, no key", "inline:{{ }}", `no key found; expected format: key = value: "inline:{{ }}"; need`},
		{"inline, open quote", `inline:{{"x = y}}`, `unbalanced '"': "inline:{{"x = y}}"; need`},
		{"inline, not UTF-8", "inline:{\xff=y}", "bad UTF-8 syntax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb, err := Open(tt.spec, Options{})
			if err == nil {
				tb.Close()
				t.Fatalf("Open(%q) succeeded, want %q", tt.spec, tt.want)
			}
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Open(%q) = %q, want %q", tt.spec, err, tt.want)
			}
			if got := errors.Is(err, ErrUnsupported); got != strings.HasPrefix(tt.want, "unsupported") {
				t.Errorf("errors.Is(%q, ErrUnsupported) = %t", err, got)
			}
		})
	}
}

func TestTablesWithoutFile(t *testing.T) {
	tests := []struct{ spec, key, want string }{
		{"static:value", "whatever", "value"},
		{"static: a b ", "x", " a b "},
		{"static:{ a b }", "x", "a b"},
		{"inline:{x=y}", "x", "y"},
		{"inline:{x=y}", "X", "y"},
		{"inline:{x=y}", "z", "(none)"},
		{"inline:{ X=y, z=w }", "x", "y"},
		{"inline:{ X=y, x=w }", "x", "w"}, // the last, as Postfix has it
		{"inline:{{x = y z} }", "x", "y z"},
		{"inline:{ a@virt.example=one@dest.example, { b@virt.example = two@dest.example, three@dest.example } }",
			"b@virt.example", "two@dest.example, three@dest.example"},
		{`inline:{{"a b"@x = v}}`, `"A B"@x`, "v"},
		{`inline:{{"a=b"@x=v=w}}`, `"a=b"@x`, "v=w"},
		{"inline:{{x={y}}}", "x", "{y}"},
		{"inline:{x=}", "x", ""},
		{"fail:oops", "x", "error: table fail:oops fails every lookup"},
		{"proxy:inline:{x=y}", "x", "y"},
	}
	for _, tt := range tests {
		t.Run(tt.spec+" "+tt.key, func(t *testing.T) {
			tb := open(t, tt.spec, Options{})
			wantAnswer(t, tb, tt.key, tt.want)
			if name := strings.TrimPrefix(tt.spec, "proxy:"); tb.Name() != name {
				t.Errorf("Name() = %q, want %q", tb.Name(), name)
			}
		})
	}
}

// TestTypesOfOthers: a type that lives in another package comes with the options, and
// lists and prefixes find it as well.
func TestTypesOfOthers(t *testing.T) {
	var asked string
	o := Options{Types: map[string]Opener{"sql": func(argument string, o Options) (Table, error) {
		asked = argument
		if o.Warn == nil || o.Now == nil {
			t.Error("the opener got options without defaults")
		}
		return openStatic("answer", o)
	}}}
	wantAnswer(t, open(t, "proxy:sql:/etc/aliases.cf", o), "x", "answer")
	if asked != "/etc/aliases.cf" {
		t.Errorf("the opener got %q", asked)
	}
	if _, err := Open("nosuch:/x", o); err == nil || !strings.Contains(err.Error(), "sql") {
		t.Errorf("the error %v does not name the type sql", err)
	}
}

func TestKeyForm(t *testing.T) {
	tests := []struct {
		name, key string
		o         Options
		want      string
		ok        bool
	}{
		{"lower already", "a@x", Options{}, "a@x", true},
		{"upper", "A@X.Example", Options{}, "a@x.example", true},
		{"sharp s", "Straße", Options{}, "strasse", true},
		{"accents", "JÖSÉ@Dömäin", Options{}, "jösé@dömäin", true},
		{"dotted capital I", "İx", Options{}, "i̇x", true},
		{"not UTF-8", "a\xff@x", Options{}, "", false},
		{"surrogate", "\xed\xa0\x80", Options{}, "", false},
		{"bytes", "A\xff@X", Options{NoUTF8: true}, "a\xff@x", true},
		{"no fold", "A@X", Options{NoFold: true}, "A@X", true},
		{"no fold, UTF-8", "Ö", Options{NoFold: true}, "Ö", true},
		{"no fold, not UTF-8", "\xff", Options{NoFold: true}, "", false},
		{"empty", "", Options{}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.o.keyForm().key(tt.key)
			if got != tt.want || ok != tt.ok {
				t.Errorf("key(%q) = %q, %t, want %q, %t", tt.key, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestKeyThatIsNotUTF8 is nowhere, and worth a warning.
func TestKeyThatIsNotUTF8(t *testing.T) {
	var w warnings
	source := tableFile(t, "a@x one\n")
	build(t, "hash:"+source)
	for spec, shown := range map[string]string{"hash:" + source: "hash:" + source + ".db", "texthash:" + source: "texthash:" + source} {
		tb := open(t, spec, w.options())
		if got := ShownName(tb); got != shown {
			t.Errorf("ShownName = %q, want %q", got, shown)
		}
		wantAnswer(t, tb, "a\xff@x", "(none)")
		wantSaid(t, &w, ShownName(tb)+": non-UTF-8 key \"a\xff@x\": malformed UTF-8 or invalid codepoint")
		if at := tb.(Locator).Locate("a\xff@x"); at != "" {
			t.Errorf("Locate = %q", at)
		}
	}
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
