package table

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestDuplicates(t *testing.T) {
	const text = "a@virt.example one@dest.example\nb@virt.example x@dest.example\nA@VIRT.example two@dest.example\n"
	tests := []struct {
		name string
		typ  string
		dup  DupPolicy
		want string
		at   int
		said string
	}{
		{"warn", "hash", DupWarn, "one@dest.example", 1, `%s.db: duplicate entry: "a@virt.example"`},
		{"warn, btree", "btree", DupWarn, "one@dest.example", 1, `%s.db: duplicate entry: "a@virt.example"`},
		{"warn, lmdb", "lmdb", DupWarn, "one@dest.example", 1, `lmdb:%s: duplicate entry: "a@virt.example"`},
		{"ignore", "hash", DupIgnore, "one@dest.example", 1, ""},
		{"replace", "hash", DupReplace, "two@dest.example", 3, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w warnings
			source := tableFile(t, text)
			spec := tt.typ + ":" + source
			if err := Build(spec, BuildOptions{Warn: w.warn, Dup: tt.dup}); err != nil {
				t.Fatal(err)
			}
			if tt.said == "" {
				wantSaid(t, &w)
			} else {
				wantSaid(t, &w, fmt.Sprintf(tt.said, source))
			}
			tb := open(t, spec, Options{})
			wantAnswer(t, tb, "a@virt.example", tt.want)
			if got, want := tb.(Locator).Locate("a@virt.example"), fmt.Sprintf("%s, line %d", source, tt.at); got != want {
				t.Errorf("Locate = %q, want %q", got, want)
			}
			want := map[string]string{"a@virt.example": tt.want, "b@virt.example": "x@dest.example"}
			if got := list(t, tb); !maps.Equal(got, want) {
				t.Errorf("Each gave %q, want %q", got, want)
			}
		})
	}
}

func TestBuildOptionsOfKeys(t *testing.T) {
	source := tableFile(t, "a@x one\nA@x two\nB@x z\n")
	if err := Build("hash:"+source, BuildOptions{NoFold: true}); err != nil {
		t.Fatal(err)
	}
	folding, exact := open(t, "hash:"+source, Options{}), open(t, "hash:"+source, Options{NoFold: true})
	wantAnswer(t, folding, "A@x", "one")
	wantAnswer(t, folding, "B@x", "(none)")
	wantAnswer(t, exact, "A@x", "two")
	wantAnswer(t, exact, "B@x", "z")

	source = tableFile(t, "a\xff@x v\xff\n")
	if err := Build("hash:"+source, BuildOptions{NoUTF8: true}); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, open(t, "hash:"+source, Options{NoUTF8: true}), "a\xff@x", "v\xff")

	source = tableFile(t, "a v\xff\n")
	if err := Build("hash:"+source, BuildOptions{NoUTF8: true}); err != nil {
		t.Fatal(err)
	}
	if got := answer(open(t, "hash:"+source, Options{}), "a"); !strings.Contains(got, "the value is not UTF-8") {
		t.Errorf("a value that is not UTF-8: %q", got)
	}
}

func TestBuildErrors(t *testing.T) {
	dir := t.TempDir()
	source := write(t, filepath.Join(dir, "source"), "a b\n")
	if err := os.Mkdir(source+".db", 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ spec, want string }{
		{"foo:" + source, "unsupported dictionary type: foo; known: "},
		{"texthash:" + source, "unsupported dictionary type: texthash does not support bulk-mode creation"},
		{"static:" + source, "unsupported dictionary type: static does not support bulk-mode creation"},
		{"hash:", `open dictionary: expecting "type:name" form instead of "hash:"`},
		{"hash:" + dir + "/nosuch", "open " + dir + "/nosuch: No such file or directory"},
		{"hash:" + dir + "/no/such", "open " + dir + "/no/such: No such file or directory"},
		{"hash:" + dir, "read " + dir + ": Is a directory"},
		{"hash:" + source, "open " + source + ".db: Is a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			if err := Build(tt.spec, BuildOptions{}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Build = %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Delete("hash:"+dir+"/nosuch", []string{"x"}, BuildOptions{}); err == nil ||
		!strings.HasPrefix(err.Error(), "open database "+dir+"/nosuch.db: No such file or directory") {
		t.Errorf("Delete = %v", err)
	}
	if _, err := Delete("static:x", []string{"x"}, BuildOptions{}); err == nil || !strings.Contains(err.Error(), "table static:x: delete operation is not supported") {
		t.Errorf("Delete = %v", err)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	var w warnings
	o := BuildOptions{Warn: w.warn}
	source := tableFile(t, "a@x one\nb@x two\n")
	spec := "hash:" + source
	update := func(text string, o BuildOptions) {
		t.Helper()
		if err := Update(spec, strings.NewReader(text), o); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(want int, keys ...string) {
		t.Helper()
		if n, err := Delete(spec, keys, o); n != want || err != nil {
			t.Errorf("Delete(%q) = %d, %v, want %d", keys, n, err, want)
		}
	}
	want := func(want map[string]string) {
		t.Helper()
		if got := list(t, open(t, spec, Options{})); !maps.Equal(got, want) {
			t.Errorf("the table has %q, want %q", got, want)
		}
	}
	update("a@x one\nbad\n\"q\n", o) // the first makes the table
	wantSaid(t, &w, "stdin, line 2: expected format: key whitespace value", `stdin, line 3: unbalanced '"'`)
	want(map[string]string{"a@x": "one"})

	build(t, spec)
	update("A@x new\nc@x three\n", o)
	wantSaid(t, &w, source+`.db: duplicate entry: "a@x"`)
	want(map[string]string{"a@x": "one", "b@x": "two", "c@x": "three"})
	tb := open(t, spec, Options{}).(Locator)
	if tb.Locate("b@x") != source+", line 2" || tb.Locate("c@x") != "" {
		t.Errorf("lines after an update: %q, %q", tb.Locate("b@x"), tb.Locate("c@x"))
	}
	update("a@x new\n", BuildOptions{Warn: w.warn, Dup: DupReplace})
	update("b@x new\n", BuildOptions{Warn: w.warn, Dup: DupIgnore})
	wantSaid(t, &w)
	want(map[string]string{"a@x": "new", "b@x": "two", "c@x": "three"})

	before := identityAt(source + ".db")
	remove(0, "nosuch", "a\xff")
	if identityAt(source+".db") != before {
		t.Error("a delete that found nothing replaced the file")
	}
	remove(2, "A@X", "c@x", "d@x")
	want(map[string]string{"b@x": "two"})
	remove(1, "b@x")
	want(map[string]string{})
}

// TestFailedBuildChangesNothing: whatever fails on the way, the old index is in force
// and nothing is left beside it.
func TestFailedBuildChangesNothing(t *testing.T) {
	source := tableFile(t, "a@x one\n")
	spec := "hash:" + source
	build(t, spec)
	tb := indexedOf("hash", source)
	failure := errors.New("disk on fire")
	err := tb.replace(BuildOptions{}, nil, func(w *indexWriter) error {
		if _, err := w.add("b@x", strings.Repeat("x", 4<<20), 1, DupWarn); err != nil {
			return err
		}
		// What a reader sees at this moment.
		wantAnswer(t, open(t, spec, Options{}), "a@x", "one")
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("replace = %v", err)
	}
	wantAnswer(t, open(t, spec, Options{}), "a@x", "one")
	wantFiles(t, filepath.Dir(source), "virtual", "virtual.db")
}

// TestKilledBuild: what a build left behind that was killed is cleared away by the
// next one, and has never been in force.
func TestKilledBuild(t *testing.T) {
	source := tableFile(t, "a@x one\n")
	dir := filepath.Dir(source)
	write(t, filepath.Join(dir, ".virtual.db.12345"+tempSuffix), "half of an ind")
	write(t, filepath.Join(dir, ".other.db.12345"+tempSuffix), "of another table")
	build(t, "hash:"+source)
	wantAnswer(t, open(t, "hash:"+source, Options{}), "a@x", "one")
	wantFiles(t, dir, ".other.db.12345.tmp", "virtual", "virtual.db")
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

// TestBuildsAtOnce: updates of one table that run at the same time all count.
func TestBuildsAtOnce(t *testing.T) {
	source := tableFile(t, "a@x one\n")
	spec := "hash:" + source
	build(t, spec)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := Update(spec, strings.NewReader(fmt.Sprintf("key%d value\n", i)), BuildOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := list(t, open(t, spec, Options{})); len(got) != 9 {
		t.Errorf("the table has %q, want 9 entries", got)
	}
}

func TestModeOfTheIndex(t *testing.T) {
	tests := []struct {
		name        string
		source, old os.FileMode // old is the index that there was, 0 for none
		o           BuildOptions
		want        os.FileMode
	}{
		{"as the source", 0o640, 0, BuildOptions{SourceMode: true}, 0o640},
		{"private source", 0o600, 0, BuildOptions{SourceMode: true, AsOwner: true}, 0o600},
		{"no more than 0644", 0o777, 0, BuildOptions{SourceMode: true}, 0o644},
		{"not as the source", 0o600, 0, BuildOptions{}, 0o644},
		{"as the old one", 0o600, 0o644, BuildOptions{SourceMode: true, AsOwner: true}, 0o644},
		{"as the old one, private", 0o644, 0o640, BuildOptions{SourceMode: true}, 0o640},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source := tableFile(t, "a b\n")
			if err := os.Chmod(source, tt.source); err != nil {
				t.Fatal(err)
			}
			if tt.old != 0 {
				write(t, source+".db", "old")
				if err := os.Chmod(source+".db", tt.old); err != nil {
					t.Fatal(err)
				}
			}
			if err := Build("hash:"+source, tt.o); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(source + ".db")
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != tt.want {
				t.Errorf("mode %o, want %o", info.Mode().Perm(), tt.want)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var text strings.Builder
	for i := range 2*progressStep + 1 {
		fmt.Fprintf(&text, "%d x\n", i)
	}
	var got []int
	source := tableFile(t, text.String())
	err := Build("hash:"+source, BuildOptions{Progress: func(n int) { got = append(got, n) }})
	if err != nil || len(got) != 2 || got[1] != 2*progressStep {
		t.Errorf("progress %d, %v", got, err)
	}
}
