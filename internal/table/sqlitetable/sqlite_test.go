package sqlitetable

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"aliasmx/internal/table"
)

// create makes a database file.
func create(t testing.TB, file string, statements ...string) {
	t.Helper()
	conn, err := (&sqlite.Driver{}).Open((&url.URL{Scheme: "file", OmitHost: true, Path: file}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range append([]string{"CREATE TABLE alias (address TEXT, target)"}, statements...) {
		if _, err := conn.(driver.ExecerContext).ExecContext(context.Background(), s, nil); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func insert(address, target string) string {
	return fmt.Sprintf("INSERT INTO alias VALUES ('%s', %s)", address, target)
}

func open(t testing.TB, o table.Options, cf string) table.Table {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.cf")
	if err := os.WriteFile(file, []byte(cf), 0o600); err != nil {
		t.Fatal(err)
	}
	tb, err := SQLite(file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tb.Close() })
	return tb
}

const query = "\nquery = SELECT target FROM alias WHERE address = '%s' ORDER BY rowid\n"

func TestLookup(t *testing.T) {
	db := filepath.Join(t.TempDir(), "odd name?x=%41&'.db")
	create(t, db, insert("a", "'v'"), insert("a", "'w'"), insert("null", "NULL"), insert("mixed", "NULL"), insert("mixed", "'v'"),
		insert("int", "42"), insert("float", "1.5"), insert("whole", "2.0"), insert("blob", "x'4142'"), insert("o''b", "'q'"))
	tb := open(t, table.Options{}, "dbpath = "+db+query)
	for key, want := range map[string]string{
		"a": "v,w", "A": "v,w", "null": "", "mixed": "v", "int": "42", "float": "1.5", "whole": "2.0", "blob": "AB", "o'b": "q",
		"x": "", "' OR ''='": "", "a' --": "",
	} {
		got, found, err := tb.Lookup(context.Background(), key)
		if got != want || found != (want != "") || err != nil {
			t.Errorf("%s: %q, %v, %v, want %q", key, got, found, err, want)
		}
	}
}

func TestConcurrentLookups(t *testing.T) {
	db := filepath.Join(t.TempDir(), "x.db")
	create(t, db, insert("a", "'v'"))
	tb := open(t, table.Options{}, "dbpath = "+db+query)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if v, _, err := tb.Lookup(context.Background(), "a"); v != "v" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	wg.Wait()
}

// The database is opened read-only, and a query that would write fails.
func TestReadOnly(t *testing.T) {
	db := filepath.Join(t.TempDir(), "x.db")
	create(t, db, insert("a", "'v'"))
	tb := open(t, table.Options{}, "dbpath = "+db+"\nquery = DELETE FROM alias WHERE address = '%s' RETURNING target\n")
	if v, found, err := tb.Lookup(context.Background(), "a"); err == nil {
		t.Errorf("%q, %v, want an error", v, found)
	}
}

func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	db, next := filepath.Join(dir, "x.db"), filepath.Join(dir, "next")
	create(t, db, insert("a", "'old'"))
	now := time.Now()
	var warned []string
	tb := open(t, table.Options{Now: func() time.Time { return now }, Warn: func(msg string) { warned = append(warned, msg) }}, "dbpath = "+db+query)
	want := func(what, value string) {
		t.Helper()
		now = now.Add(time.Second)
		if got, _, err := tb.Lookup(context.Background(), "a"); got != value || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, value)
		}
	}
	rename := func() {
		if err := os.Rename(next, db); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", "old")
	create(t, next, insert("a", "'new'"))
	rename()
	want("replaced", "new")
	if err := os.WriteFile(next, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	rename()
	want("broken", "new")
	want("broken still", "new")
	if len(warned) != 1 || !strings.Contains(warned[0], "stays in force") {
		t.Errorf("warned %q", warned)
	}
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	want("gone", "new")
	create(t, next, insert("a", "'last'"))
	rename()
	want("good again", "last")
}

func TestOpenErrors(t *testing.T) {
	db := filepath.Join(t.TempDir(), "x.db")
	create(t, db)
	for _, c := range []struct{ name, cf, want string }{
		{"no dbpath", query[1:], "dbpath: is missing"},
		{"no database", "dbpath = /nonexistent.db" + query, "line 1: dbpath: open database /nonexistent.db: No such file or directory"},
		{"no query", "dbpath = " + db + "\n", "query: is missing"},
		{"unknown", "dbpath = " + db + query + "hosts = x\n", `line 3: unknown parameter "hosts"`},
	} {
		file := filepath.Join(t.TempDir(), "x.cf")
		if err := os.WriteFile(file, []byte(c.cf), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := SQLite(file, table.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	var warned []string
	open(t, table.Options{Warn: func(msg string) { warned = append(warned, msg) }}, "dbpath = "+db+"\nquery = SELECT target FROM alias WHERE address = %s\n")
	if len(warned) != 1 || !strings.Contains(warned[0], "query contains >%s< without the recommended '' quotes") {
		t.Errorf("warned %q", warned)
	}
}

func BenchmarkLookup(b *testing.B) {
	db := filepath.Join(b.TempDir(), "x.db")
	create(b, db, insert("a", "'v'"), "CREATE INDEX i ON alias (address)")
	tb := open(b, table.Options{}, "dbpath = "+db+query)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := tb.Lookup(context.Background(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}
