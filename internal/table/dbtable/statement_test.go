package dbtable

import (
	"strings"
	"testing"
)

func TestStatement(t *testing.T) {
	for _, c := range []struct {
		name, query string
		d           Dialect
		sql, args   string // of the key k'\"`@d.e
	}{
		{"string", "a = '%s'", MySQL, "a = ?", "k'\\\"`@d.e"},
		{"parts of a string", "a = '<%u|%d>%%'", SQLite, "a = ?", "<k'\\\"`|d.e>%"},
		{"string without a verb", `a = 'it''s -- no comment' AND b='%1'`, SQLite, `a = 'it''s -- no comment' AND b=?`, "e"},
		{"two strings", "'%1' '%2'", MySQL, "? ?", "e;d"},
		{"doubled quote", "'it''s %1'", PostgreSQL, "?", "it's e"},
		{"unquoted", "id = %1", MySQL, "id = ?", "e"},
		{"double quotes are a string", `a = "%1"`, MySQL, "a = ?", "e"},
		{"double quotes are a name", `"x""%s"`, PostgreSQL, "\"x\"\"k'\\\"\"`@d.e\"", ""},
		{"backtick", "`%s`", MySQL, "`k'\\\"``@d.e`", ""},
		{"no backtick there", "`%1`", PostgreSQL, "`?`", "e"},
		{"backslash ends nothing", `'a\' = '%1'`, PostgreSQL, `'a\' = ?`, "e"},
		{"backslash escapes", `'a\'%1\n\%%'`, MySQL, "?", "a'e\n\\%"},
		{"backslash without a verb", `'a\0\'' = '%1'`, MySQL, `'a\0\'' = ?`, "e"},
		{"E string", `E'a\'%1' = '%2'`, PostgreSQL, "? = ?", "a'e;d"},
		{"E string without a verb", `e'a\'' = '%1'`, PostgreSQL, `e'a\'' = ?`, "e"},
		{"name that ends in e", `nam'%1'`, MySQL, "", "string of another kind"},
		{"N string", `N'%1'`, MySQL, "", "string of another kind"},
		{"X string without a verb", `X'00' = '%1'`, SQLite, "X'00' = ?", "e"},
		{"dollar", "$a$ ' $a$ = '%1'", PostgreSQL, "$a$ ' $a$ = ?", "e"},
		{"dollar with a verb", "$$%1$$", PostgreSQL, "", "within $$"},
		{"dollar parameter", "$1 = '%1'", PostgreSQL, "$1 = ?", "e"},
		{"no dollar strings", "$$%1$$", MySQL, "$$?$$", "e"},
		{"comment", "a -- it's\n= '%1'", MySQL, "a -- it's\n= ?", "e"},
		{"comment with a verb", "a -- %1", MySQL, "", "within a comment"},
		{"hash comment", "a # it's\n= '%1'", MySQL, "a # it's\n= ?", "e"},
		{"hash operator", "a # '%1'", PostgreSQL, "a # ?", "e"},
		{"block comment", "/* it's /* */ '%1'", MySQL, "/* it's /* */ ?", "e"},
		{"nested comment", "/* it's /* */ ' */ '%1'", PostgreSQL, "/* it's /* */ ' */ ?", "e"},
		{"open quote", "a = '%1", MySQL, "", "not closed"},
		{"octal escape", `E'\001%1'`, PostgreSQL, "", "escape"},
		{"first statement only", "SELECT '%1;'; DELETE", SQLite, "SELECT ?", "e;"},
		{"all statements", "SET a; SELECT '%1'", PostgreSQL, "SET a; SELECT ?", "e"},
		{"bad verb", "'%q'", MySQL, "", "invalid template"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := &Templates{}
			s, err := ts.Statement(c.query, c.d)
			if err != nil {
				if c.sql != "" || !strings.Contains(err.Error(), c.args) {
					t.Errorf("error %v, want %q with %q", err, c.sql, c.args)
				}
				return
			}
			k, ok := ts.Key("k'\\\"`@d.e")
			if !ok {
				t.Fatal("the key is not to be asked for")
			}
			var args []string
			sql := s.Render(k, func(v string) string {
				args = append(args, v)
				return "?"
			})
			if got := strings.Join(args, ";"); sql != c.sql || got != c.args {
				t.Errorf("%q with %q, want %q with %q", sql, got, c.sql, c.args)
			}
		})
	}
}

// A value that stands in quotes or nowhere never reaches the SQL, whatever it holds.
func FuzzStatement(f *testing.F) {
	f.Add("SELECT a FROM b WHERE c = '%s' AND d = %s AND e = E'\\'%s'", "x' OR '1'='1")
	f.Fuzz(func(t *testing.T, query, key string) {
		for _, d := range []Dialect{PostgreSQL, MySQL, SQLite} {
			ts := &Templates{}
			s, err := ts.Statement(query, d)
			if err != nil {
				continue
			}
			k, ok := ts.Key(key)
			if !ok {
				continue
			}
			named := false
			for _, p := range s.parts {
				named = named || p.quote != 0
			}
			other, ok := ts.Key("other@a.b.c.d.e.f.g.h.i.j")
			if named || !ok {
				continue
			}
			mark := func(string) string { return "?" }
			if a, b := s.Render(k, mark), s.Render(other, mark); a != b {
				t.Errorf("the SQL depends on the key:\n%s\n%s", a, b)
			}
		}
	})
}
