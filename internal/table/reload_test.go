package table

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is a table of type hash that is in use while its files change.
type running struct {
	Table
	w      warnings
	clock  clock
	source string
	file   string
}

func run(t *testing.T, text string) *running {
	t.Helper()
	r := &running{source: tableFile(t, text)}
	r.clock.now = time.Now()
	r.file = r.source + ".db"
	build(t, "hash:"+r.source)
	r.Table = open(t, "hash:"+r.source, Options{Warn: r.w.warn, Now: r.clock.Now})
	return r
}

// rebuild changes the source and indexes it.
func (r *running) rebuild(t *testing.T, text string) {
	t.Helper()
	write(t, r.source, text)
	build(t, "hash:"+r.source)
}

func TestReplacedIndexIsNoticed(t *testing.T) {
	r := run(t, "a@x one\n")
	wantAnswer(t, r, "a@x", "one")
	r.rebuild(t, "a@x two\nb@x new\n")
	wantAnswer(t, r, "a@x", "one") // not looked at again yet
	r.clock.add(checkInterval - 1)
	wantAnswer(t, r, "a@x", "one")
	r.clock.add(1)
	wantAnswer(t, r, "a@x", "two")
	wantAnswer(t, r, "b@x", "new")
	wantSaid(t, &r.w)
}

// TestClockSetBack: a clock that jumps back does not make the table deaf.
func TestClockSetBack(t *testing.T) {
	r := run(t, "a@x one\n")
	r.rebuild(t, "a@x two\n")
	r.clock.add(-time.Hour)
	wantAnswer(t, r, "a@x", "two")
}

func TestBrokenReplacement(t *testing.T) {
	// replaceWith puts something else in the place of the index, by renaming.
	replaceWith := func(t *testing.T, file, text string) {
		t.Helper()
		write(t, file+".new", text)
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, r *running)
		want  string
	}{
		{"garbage", func(t *testing.T, r *running) { replaceWith(t, r.file, "garbage") }, "not a table index"},
		{"cut short", func(t *testing.T, r *running) {
			replaceWith(t, r.file, string(indexBytes(t)[:100]))
		}, "it is damaged: 100 bytes where"},
		{"gone", func(t *testing.T, r *running) {
			if err := os.Remove(r.file); err != nil {
				t.Fatal(err)
			}
		}, "No such file or directory"},
		{"a directory", func(t *testing.T, r *running) {
			if err := os.Remove(r.file); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(r.file, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "Is a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, "a@x one\n")
			tt.spoil(t, r)
			for range 3 {
				r.clock.add(time.Minute)
				wantAnswer(t, r, "a@x", "one")
			}
			said := r.w.take()
			if len(said) != 1 || !strings.Contains(said[0], tt.want) || !strings.HasSuffix(said[0], "the table as it was stays in force") {
				t.Errorf("warnings %q, want one with %q", said, tt.want)
			}
			if err := os.RemoveAll(r.file); err != nil {
				t.Fatal(err)
			}
			r.rebuild(t, "a@x two\n")
			r.clock.add(time.Minute)
			wantAnswer(t, r, "a@x", "two")
			wantSaid(t, &r.w)
		})
	}
}

// TestOverwrittenInPlace: cp(1) and Postfix's own postmap(1) write into the file that
// we have mapped. Reading beyond its new end would be the end of the process, and
// what stands there meanwhile is no answer.
func TestOverwrittenInPlace(t *testing.T) {
	text := ""
	for i := range 1000 {
		text += fmt.Sprintf("user%d@x target%d@dest.example\n", i, i)
	}
	other := func(t *testing.T) string {
		source := tableFile(t, "user7@x other\n")
		build(t, "hash:"+source)
		b, err := os.ReadFile(source + ".db")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	berkeley := strings.Repeat("\x00", 12) + "\x61\x15\x06\x00" + strings.Repeat("\x00", 5000)
	tests := []struct {
		name, content string
		want          string
		said          []string
	}{
		{"by another index of ours", other(t), "other", nil},
		{"by Postfix", berkeley, "target7@dest.example", []string{"was made by Postfix (Berkeley DB): reading the source"}},
		{"by nothing", "", "target7@dest.example", []string{"it was overwritten while in use: reading the source file"}},
		{"by garbage", strings.Repeat("garbage", 20_000), "target7@dest.example", []string{"it was overwritten while in use: reading the source file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, text)
			write(t, r.file, tt.content) // truncates and writes, without a rename
			wantAnswer(t, r, "user7@x", tt.want)
			r.clock.add(time.Hour)
			wantAnswer(t, r, "user7@x", tt.want)
			wantSaid(t, &r.w, tt.said...)
			r.rebuild(t, "user7@x at last\n")
			r.clock.add(time.Hour)
			wantAnswer(t, r, "user7@x", "at last")
		})
	}
	t.Run("and no source", func(t *testing.T) {
		r := run(t, text)
		if err := os.Remove(r.source); err != nil {
			t.Fatal(err)
		}
		write(t, r.file, "garbage")
		for range 3 {
			if got := answer(r, "user7@x"); !strings.HasPrefix(got, "error: database "+r.file+": it was overwritten while in use") {
				t.Errorf("Lookup = %q", got)
			}
			if got := r.Table.(Locator).Locate("user7@x"); got != "" {
				t.Errorf("Locate = %q", got)
			}
			r.clock.add(time.Hour)
		}
		wantSaid(t, &r.w, "and its source cannot be read")
	})
}

// TestTouched: a new time alone is no reason to fail, nor to warn.
func TestTouched(t *testing.T) {
	r := run(t, "a@x one\n")
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(r.file, past, past); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r, "a@x", "one")
	wantSaid(t, &r.w)
}

func TestOlderThanSource(t *testing.T) {
	source := tableFile(t, "a@x one\n")
	build(t, "hash:"+source)
	now := time.Now()
	set := func(file string, age time.Duration) {
		if err := os.Chtimes(file, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name          string
		index, source time.Duration // how old
		want          []string
	}{
		{"newer", time.Hour, 2 * time.Hour, nil},
		{"same second", time.Hour, time.Hour, nil},
		{"older", 2 * time.Hour, time.Hour, []string{"database " + source + ".db is older than source file " + source}},
		{"older, but still being edited", 2 * time.Hour, time.Minute, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w warnings
			set(source+".db", tt.index)
			set(source, tt.source)
			tb := open(t, "hash:"+source, Options{Warn: w.warn, Now: func() time.Time { return now }})
			wantSaid(t, &w, tt.want...)
			wantAnswer(t, tb, "a@x", "one")
		})
	}
}

// TestLookupsDuringReplacement: while the index is replaced over and over, no lookup
// fails, and each sees a table that was whole: the two keys agree or the second is of
// a later build.
func TestLookupsDuringReplacement(t *testing.T) {
	source := tableFile(t, "a@x 0\nb@x 0\n")
	build(t, "hash:"+source)
	var c clock
	c.now = time.Now()
	tb := open(t, "hash:"+source, Options{Now: func() time.Time { c.add(checkInterval); return c.Now() }})

	const builds = 50
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var a, b int
				if _, err := fmt.Sscan(answer(tb, "a@x")+" "+answer(tb, "b@x"), &a, &b); err != nil || b < a {
					t.Errorf("a@x is %d, then b@x is %d (%v)", a, b, err)
					return
				}
				err := tb.(Lister).Each(func(key, value string) bool { return true })
				if err != nil || tb.(Locator).Locate("a@x") != source+", line 1" {
					t.Errorf("Each: %v, Locate %q", err, tb.(Locator).Locate("a@x"))
					return
				}
			}
		})
	}
	for i := 1; i <= builds; i++ {
		write(t, source, fmt.Sprintf("a@x %d\nb@x %d\n", i, i))
		build(t, "hash:"+source)
	}
	close(stop)
	wg.Wait()
	wantAnswer(t, tb, "a@x", fmt.Sprint(builds))
}

// TestCloseDuringLookups: Close does not pull the map from under a lookup.
func TestCloseDuringLookups(t *testing.T) {
	for range 20 {
		source := tableFile(t, "a@x one\n")
		build(t, "hash:"+source)
		tb := open(t, "hash:"+source, Options{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					if got := answer(tb, "a@x"); got != "one" {
						if !strings.Contains(got, "is closed") {
							t.Errorf("Lookup = %q", got)
						}
						return
					}
				}
			})
		}
		if err := tb.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
