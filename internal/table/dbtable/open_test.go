package dbtable

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/table"
)

// fake answers with what its .cf file says: "answer" for every key.
type fake struct {
	answer []string
	err    error
	asked  *[]string
	query  Template
	closed *int
}

func (f *fake) Ask(_ context.Context, r *Result) error {
	*f.asked = append(*f.asked, f.query.Query(r.Key(), verbatim))
	for _, v := range f.answer {
		if err := r.Add(v); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) Close() error {
	*f.closed++
	return nil
}

type fakes struct {
	asked  []string
	closed int
	opened int
}

func (fs *fakes) typ() Type {
	return Type{Name: "fake", New: func(c *Config, ts *Templates, _ table.Options) (Source, error) {
		f := &fake{answer: c.List("answer"), asked: &fs.asked, closed: &fs.closed}
		fs.opened++
		var err error
		if f.query, err = ts.Query(c.Text("query", "%s")); err != nil {
			c.Fail("query", "%v", err)
		}
		if c.Bool("broken", false) {
			f.err = errors.New("server away")
		}
		return f, nil
	}}
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name, cf, key string
		o             table.Options
		asked, want   string
		fails         bool
	}{
		{"found", "answer = v, w", "k", table.Options{}, "k", "v,w", false},
		{"not found", "", "k", table.Options{}, "k", "", false},
		{"folded", "answer = v", "K@É", table.Options{}, "k@é", "v", false},
		{"not folded", "answer = v", "K", table.Options{NoFold: true}, "K", "v", false},
		{"no UTF-8", "answer = v", "k\xff", table.Options{}, "", "", false},
		{"no UTF-8, as bytes", "answer = v", "k\xff", table.Options{NoUTF8: true}, "", "", false},
		{"null byte", "answer = v", "k\x00", table.Options{}, "", "", false},
		{"value is not UTF-8", "answer = \xff", "k", table.Options{}, "k", "", true},
		{"domain", "answer = v\ndomain = x.example y.example", "k@Y.example", table.Options{}, "k@y.example", "v", false},
		{"other domain", "answer = v\ndomain = x.example", "k@y.example", table.Options{}, "", "", false},
		{"domain, a word", "answer = v\ndomain = x.example", "x.example", table.Options{}, "", "", false},
		{"domain, no user", "answer = v\ndomain = x.example", "@x.example", table.Options{}, "", "", false},
		{"subdomain", "answer = v\ndomain = x.example", "k@a.x.example", table.Options{}, "", "", false},
		{"domain table fails", "answer = v\ndomain = fail:x", "k@y.example", table.Options{}, "", "", true},
		{"suppressed", "answer = v\nquery = %d", "k", table.Options{}, "", "", false},
		{"format", "answer = v\nresult_format = <%s>", "k", table.Options{}, "k", "<v>", false},
		{"limit", "answer = v w\nexpansion_limit = 1", "k", table.Options{}, "k", "", true},
		{"server away", "answer = v\nbroken = yes", "k", table.Options{}, "k", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := &fakes{}
			tb, err := fs.typ().Open(writeFile(t, "x.cf", c.cf+"\n", 0o600), c.o)
			if err != nil {
				t.Fatal(err)
			}
			value, found, err := tb.Lookup(context.Background(), c.key)
			if value != c.want || found != (c.want != "") || (err != nil) != c.fails || strings.Join(fs.asked, " ") != c.asked {
				t.Errorf("%q, %v, %v, asked for %q; want %q, failing %v, asked for %q", value, found, err, fs.asked, c.want, c.fails, c.asked)
			}
			if err := tb.Close(); err != nil || fs.closed != 1 {
				t.Errorf("Close: %v, %d sources closed", err, fs.closed)
			}
			if _, _, err := tb.Lookup(context.Background(), "k"); err == nil {
				t.Error("a closed table answers")
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	fs := &fakes{}
	for _, c := range []struct{ name, cf, want string }{
		{"unknown parameter", "x = y\n", `line 1: unknown parameter "x"`},
		{"bad format", "result_format = %\n", "line 1: result_format: invalid template"},
		{"bad query", "query = %q\n", "line 1: query: invalid template"},
		{"bad limit", "expansion_limit = -1\n", "line 1: expansion_limit: invalid value -1 < 0"},
		{"bad domain", "domain = nosuch:x\n", "domain: "},
	} {
		if _, err := fs.typ().Open(writeFile(t, "x.cf", c.cf, 0o600), table.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if fs.closed != fs.opened {
		t.Errorf("%d sources opened, %d closed", fs.opened, fs.closed)
	}
	for _, name := range []string{"main", "x.cf"} {
		if _, err := fs.typ().Open(name, table.Options{}); err == nil || !strings.Contains(err.Error(), "path of a file") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fs.typ().Open("/nonexistent.cf", table.Options{}); err == nil || !strings.Contains(err.Error(), "open /nonexistent.cf: No such file or directory") {
		t.Errorf("missing: %v", err)
	}
}

func TestReread(t *testing.T) {
	fs := &fakes{}
	now := time.Now()
	var warned []string
	o := table.Options{Now: func() time.Time { return now }, Warn: func(msg string) { warned = append(warned, msg) }}
	file := writeFile(t, "x.cf", "answer = old\n", 0o600)
	tb, err := fs.typ().Open(file, o)
	if err != nil {
		t.Fatal(err)
	}
	defer tb.Close()
	replace := func(text string) {
		next := filepath.Join(filepath.Dir(file), "next")
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	want := func(value string) {
		t.Helper()
		if got, _, err := tb.Lookup(context.Background(), "k"); got != value || err != nil {
			t.Errorf("%q, %v, want %q", got, err, value)
		}
	}
	want("old")
	replace("answer = new\n")
	want("new")
	if fs.closed != 1 {
		t.Errorf("%d sources closed, want the old one", fs.closed)
	}
	replace("answer = new\nunknown = x\n")
	want("new")
	want("new")
	if len(warned) != 1 || !strings.Contains(warned[0], "line 2: unknown parameter") || !strings.Contains(warned[0], "stays in force") {
		t.Errorf("warned %q", warned)
	}
	replace("answer = last\n")
	want("last")
}
