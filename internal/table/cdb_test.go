package table

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The files of testdata/cdb were made by Postfix: of source by "postmap cdb:" with and
// without -N, of an empty text, and of a text with a duplicate by "postmap -r".

func cdbOf(t testing.TB, file string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/cdb/" + file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "virtual")
	write(t, path+".cdb", string(data))
	return path
}

func TestCDBReadsPostfix(t *testing.T) {
	for _, file := range []string{"postfix.cdb", "postfix-null.cdb"} {
		tb := open(t, "cdb:"+cdbOf(t, file), Options{})
		wantAnswer(t, tb, "A@Virt.Example", "one@x, two@x")
		wantAnswer(t, tb, "b@virt", "Three")
		wantAnswer(t, tb, `"odd user"@virt`, "x y")
		wantAnswer(t, tb, "É@virt", "e")
		wantAnswer(t, tb, "user299@virt.example", "user2093@dest.example")
		wantAnswer(t, tb, "user300@virt.example", "(none)")
		wantAnswer(t, tb, "", "(none)")
		if all := list(t, tb); len(all) != 305 || all["b@virt"] != "Three" {
			t.Errorf("%s: %d entries, b@virt is %q", file, len(all), all["b@virt"])
		}
	}
	empty := open(t, "cdb:"+cdbOf(t, "empty.cdb"), Options{})
	wantAnswer(t, empty, "a", "(none)")
	if all := list(t, empty); len(all) != 0 {
		t.Errorf("the empty table has %v", all)
	}
}

func TestCDBWritesAsPostfix(t *testing.T) {
	source, err := os.ReadFile("testdata/cdb/source")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, want string
		dup        DupPolicy
		said       []string
	}{
		{string(source), "postfix.cdb", DupWarn, nil},
		{"", "empty.cdb", DupWarn, nil},
		{"k v\nl w\nk z\n", "replaced.cdb", DupReplace, nil},
		{string(source) + "b@VIRT again\nnothing\n", "postfix.cdb", DupWarn, []string{`duplicate entry: "b@virt"`, "line 307: expected format: key whitespace value"}},
		{string(source) + "b@VIRT again\n", "postfix.cdb", DupIgnore, nil},
	} {
		path := tableFile(t, c.text)
		w := &warnings{}
		if err := Build("cdb:"+path, BuildOptions{Warn: w.warn, Dup: c.dup}); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, w, c.said...)
		got, err := os.ReadFile(path + ".cdb")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("testdata/cdb/" + c.want)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the files differ", c.want)
		}
	}
}

func TestCDBErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "virtual")
	short := tableFile(t, "")
	write(t, short+".cdb", "garbage\n")
	outside := cdbOf(t, "postfix.cdb")
	data, _ := os.ReadFile(outside + ".cdb")
	write(t, outside+".cdb", string(data[:len(data)-1]))
	for path, want := range map[string]string{
		missing: ".cdb: No such file or directory; run \"aliasmx postmap cdb:",
		short:   ".cdb: not a cdb file, or a damaged one; run \"aliasmx postmap cdb:",
		outside: ".cdb: not a cdb file, or a damaged one; run \"aliasmx postmap cdb:",
	} {
		if _, err := Open("cdb:"+path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want %s", err, want)
		}
	}
	if err := Update("cdb:"+short, strings.NewReader("a b\n"), BuildOptions{}); err == nil {
		t.Error("a cdb file cannot be updated")
	}
	if err := Build("cdb:"+missing, BuildOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Build: %v", err)
	}
}

// A record that lies outside of the file is an error of the lookup, not a key that is
// not there.
func TestCDBDamagedRecord(t *testing.T) {
	path := cdbOf(t, "replaced.cdb")
	data, err := os.ReadFile(path + ".cdb")
	if err != nil {
		t.Fatal(err)
	}
	data[cdbHeader+7] = 0x7f // the length of the first value
	write(t, path+".cdb", string(data))
	tb := open(t, "cdb:"+path, Options{})
	if got := answer(tb, "l"); !strings.HasSuffix(got, "not a cdb file, or a damaged one") {
		t.Errorf("answer %q", got)
	}
	if err := tb.(Lister).Each(func(string, string) bool { return true }); err == nil {
		t.Error("Each saw nothing")
	}
}

// A running table follows its file, and keeps what it has when the new file is broken.
func TestWatchedFiles(t *testing.T) {
	for _, c := range []struct{ typ, first, second, broken string }{
		{"cdb", "k one\n", "k two\n", ""},
		{"regexp", "/^k$/ one\n", "/^k$/ two\n", "/(/ x\n"},
		{"pcre", "/^k$/ one\n", "/^k$/ two\n", "/(/ x\n"},
	} {
		t.Run(c.typ, func(t *testing.T) {
			now := time.Unix(1000, 0)
			w := &warnings{}
			path := filepath.Join(t.TempDir(), "T")
			replace := func(text string) {
				t.Helper()
				file := path
				if c.typ == "cdb" {
					file = path + ".cdb"
				}
				if c.typ == "cdb" && text != "" {
					write(t, path, text)
					build(t, "cdb:"+path)
					return
				}
				write(t, file+".new", text)
				if err := os.Rename(file+".new", file); err != nil {
					t.Fatal(err)
				}
			}
			replace(c.first)
			tb := open(t, c.typ+":"+path, Options{Warn: w.warn, Now: func() time.Time { return now }})
			wantAnswer(t, tb, "k", "one")
			replace(c.second)
			wantAnswer(t, tb, "k", "one")
			now = now.Add(time.Second)
			wantAnswer(t, tb, "k", "two")
			replace(c.broken)
			now = now.Add(time.Second)
			wantAnswer(t, tb, "k", "two")
			now = now.Add(time.Second)
			wantAnswer(t, tb, "k", "two")
			wantSaid(t, w, "the table as it was stays in force")
			replace(c.first)
			now = now.Add(time.Second)
			wantAnswer(t, tb, "k", "one")
			if err := tb.Close(); err != nil {
				t.Error(err)
			}
			if got := answer(tb, "k"); !strings.Contains(got, "is closed") {
				t.Errorf("closed: %s", got)
			}
		})
	}
}

func FuzzCDB(f *testing.F) {
	for _, name := range []string{"replaced.cdb", "empty.cdb"} {
		data, err := os.ReadFile("testdata/cdb/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "k")
	}
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		c, err := newCDBFile(data)
		if err != nil {
			return
		}
		value, findErr := c.find(key)
		total := 0
		eachErr := c.each(func(k, v []byte) bool {
			total += len(k) + len(v) + 8
			return true
		})
		if total > len(data) || len(value) > len(data) {
			t.Errorf("%d bytes of %d, value of %d", total, len(data), len(value))
		}
		if value != nil && findErr != nil || eachErr != nil && !errors.Is(eachErr, errCDBDamaged) {
			t.Error(findErr, eachErr)
		}
	})
}
