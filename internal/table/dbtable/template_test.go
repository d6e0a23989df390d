package dbtable

import (
	"strings"
	"testing"
)

// The expansions of mysql_table(5), "query" and "result_format", and the suppressions of
// db_common(3).
func TestTemplates(t *testing.T) {
	for _, c := range []struct {
		name, query, format, key string
		values                   []string
		asked, want              string // asked "" is: not asked for
	}{
		{"whole", "[%s]", "%s", "a@b.c", []string{"v"}, "[a@b.c]", "v"},
		{"user and domain", "%u|%d", "%s", "a@b.c", []string{"v"}, "a|b.c", "v"},
		{"last @ counts", "%u|%d", "%s", "a@x@b.c", nil, "a@x|b.c", ""},
		{"user of a word", "%u", "%s", "word", nil, "word", ""},
		{"no domain", "%u|%d", "%s", "word", nil, "", ""},
		{"empty domain", "%d", "%s", "a@", nil, "", ""},
		{"empty domain, not needed", "%s", "%s", "a@", nil, "a@", ""},
		{"empty user", "%u", "%s", "@b.c", nil, "", ""},
		{"empty user, not needed", "%d", "%s", "@b.c", nil, "b.c", ""},
		{"capitals in a query", "%S|%U|%D", "%s", "a@b.c", nil, "a@b.c|a|b.c", ""},
		{"percent", "%%%s%%", "%%%s", "k", []string{"v"}, "%k%", "%v"},
		{"labels", "%1.%2.%3", "%s", "a@www.b.c", nil, "c.b.www", ""},
		{"too few labels", "%3", "%s", "a@b.c", nil, "", ""},
		{"empty labels are none", "%2", "%s", "a@..b..c.", nil, "b", ""},
		{"more labels", "%1", "%s", "a@a.b.c.d.e.f.g.h.i.j", nil, "j", ""},
		{"nine", "%9", "%s", "a@1.2.3.4.5.6.7.8.9.10", nil, "2", ""},
		{"format needs the key's domain", "%s", "%D", "word", nil, "", ""},
		{"format needs labels of the key", "%s", "%2", "a@c", nil, "", ""},
		{"joined", "%s", "<%s>", "k", []string{"v", "w"}, "k", "<v>,<w>"},
		{"user of a value", "%s", "%u", "k", []string{"v@x", "w", "@x"}, "k", "v,w"},
		{"domain of a value", "%s", "smtp:[%d]", "k", []string{"v@x", "w", "@y", "z@"}, "k", "smtp:[x],smtp:[y]"},
		{"key in the result", "%s", "%S:%U:%D:%1:%s", "a@b.c", []string{"v"}, "a@b.c", "a@b.c:a:b.c:c:v"},
		{"empty value", "%s", "%s", "k", []string{"", "v"}, "k", "v"},
		{"empty key", "%s", "%s", "", nil, "", ""},
		{"format without text", "%s", "", "k", []string{"v", "w"}, "k", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := &Templates{}
			query, err := ts.Query(c.query)
			if err != nil {
				t.Fatal(err)
			}
			format, err := ts.Result(c.format)
			if err != nil {
				t.Fatal(err)
			}
			asked, want := "", ""
			if k, ok := ts.Key(c.key); ok {
				asked = query.Query(k, verbatim)
				r := &Result{key: k, templates: ts, format: format, warn: func(string) {}}
				for _, v := range c.values {
					if err := r.Add(v); err != nil {
						t.Fatal(err)
					}
				}
				want, _ = r.value()
			}
			if asked != c.asked || want != c.want {
				t.Errorf("asked for %q, want %q; result %q, want %q", asked, c.asked, want, c.want)
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, text := range []string{"%", "a%", "%x", "%0", "%%%", "% s", "%é"} {
		if _, err := new(Templates).Query(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestExpansionLimit(t *testing.T) {
	ts := &Templates{}
	format, _ := ts.Result("%d")
	r := &Result{key: Key{whole: "k"}, templates: ts, format: format, limit: 2, warn: func(string) {}}
	for _, v := range []string{"a@x", "no domain does not count", "b@y"} {
		if err := r.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Add("c@z"); err == nil {
		t.Error("the third value is accepted")
	}
	r.Reset()
	if err := r.Add("c@z"); err != nil {
		t.Error(err)
	}
	if got, _ := r.value(); got != "z" {
		t.Errorf("after Reset: %q", got)
	}
}

// Whatever the key: a template of plain text with %s gives it back, and nothing panics.
func FuzzTemplates(f *testing.F) {
	f.Add("%u@%d", "%s", "a@b.c", "x@y")
	f.Add("%9%1", "%D%2", "a@1.2.3.4.5.6.7.8.9", "x")
	f.Fuzz(func(t *testing.T, query, format, key, value string) {
		ts := &Templates{}
		q, err := ts.Query(query)
		if err != nil {
			return
		}
		r, err := ts.Result(format)
		if err != nil {
			return
		}
		k, ok := ts.Key(key)
		if !ok {
			return
		}
		got := q.Query(k, func(s string) string {
			if !strings.Contains(key, s) {
				t.Errorf("%q is no part of %q", s, key)
			}
			return s
		})
		if query == "%u@%d" && got != key {
			t.Errorf("%q became %q", key, got)
		}
		ts.result(r, value, k)
		for _, d := range []Dialect{PostgreSQL, MySQL, SQLite} {
			if s, err := new(Templates).Statement(query, d); err == nil {
				s.Render(k, func(string) string { return "?" })
			}
		}
	})
}
