package table

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lists and tables that follow their files, by a clock that the test moves. The times of
// files are set by the test as well.

// followedFile is a file that something follows.
type followedFile struct {
	t     *testing.T
	path  string
	clock *clock
}

// replace renames a new version over the file, as an atomic replacement does.
func (f followedFile) replace(text string) {
	f.t.Helper()
	write(f.t, f.path+".new", text)
	f.touch(f.path+".new", 0)
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
}

// edit writes into the file, so long ago.
func (f followedFile) edit(text string, ago time.Duration) {
	f.t.Helper()
	write(f.t, f.path, text)
	f.touch(f.path, ago)
}

func (f followedFile) touch(path string, ago time.Duration) {
	f.t.Helper()
	at := f.clock.Now().Add(-ago)
	if err := os.Chtimes(path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

// following is each kind of thing that follows text files: how a key is written in it,
// and what makes a version of it broken.
var following = []struct {
	name   string
	entry  func(key string) string
	broken string
	open   func(t *testing.T, file string, o Options) func(key string) string
}{
	{"texthash", func(key string) string { return key + " yes\n" }, "",
		func(t *testing.T, file string, o Options) func(string) string {
			return asking(open(t, "texthash:"+file, o))
		}},
	{"regexp", func(key string) string { return "/^" + key + "$/ yes\n" }, "/x/ yes\n/(/ no\n",
		func(t *testing.T, file string, o Options) func(string) string {
			return asking(open(t, "regexp:"+file, o))
		}},
	{"pcre", func(key string) string { return "/^" + key + "$/ yes\n" }, "/x/ yes\n/(?R/ no\n",
		func(t *testing.T, file string, o Options) func(string) string {
			return asking(open(t, "pcre:"+file, o))
		}},
	{"list of domains", func(key string) string { return key + "\n" }, "a.example !\n",
		func(t *testing.T, file string, o Options) func(string) string {
			l, err := ParseDomainList([]string{"other.example", file}, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return func(key string) string { return listed(l.Match(t.Context(), key)) }
		}},
	{"list of hosts", func(key string) string { return "192.0.2.0/24 " + key + "\n" }, "10.0.0.1/8\n",
		func(t *testing.T, file string, o Options) func(string) string {
			l, err := ParseAddrList([]string{"other.example", file}, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return func(key string) string { return listed(l.Match(t.Context(), key, netip.MustParseAddr("198.51.100.1"))) }
		}},
}

func asking(tb Table) func(string) string {
	return func(key string) string {
		if got := answer(tb, key); got != "(none)" {
			return got
		}
		return "no"
	}
}

func listed(hit bool, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error()
	case hit:
		return "yes"
	}
	return "no"
}

// follow runs f for each kind, with a file that has a.example.
func follow(t *testing.T, f func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, broken string)) {
	for _, kind := range following {
		t.Run(kind.name, func(t *testing.T) {
			var w warnings
			c := clock{now: time.Now()}
			file := followedFile{t, tableFile(t, kind.entry("a.example")), &c}
			file.touch(file.path, time.Hour)
			ask := kind.open(t, file.path, Options{Warn: w.warn, Now: c.Now})
			f(t, file, kind.entry, func(key, answer string) {
				t.Helper()
				if got := ask(key); got != answer {
					t.Errorf("%s: got %s, want %s", key, got, answer)
				}
			}, &w, kind.broken)
		})
	}
}

// A new file in the place of the old one is seen within a second, and read at once.
func TestReplacedFileIsFollowed(t *testing.T) {
	follow(t, func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, _ string) {
		want("a.example", "yes")
		file.replace(entry("b.example"))
		want("b.example", "no") // not looked at again yet
		file.clock.add(checkInterval - 1)
		want("b.example", "no")
		file.clock.add(1)
		want("b.example", "yes")
		want("a.example", "no")
		file.clock.add(-time.Hour) // a clock that jumps back does not make it deaf
		file.replace(entry("c.example"))
		want("c.example", "yes")
		wantSaid(t, w)
	})
}

// A file that is written in place is read when it was left alone for 250 ms.
func TestEditedFileSettles(t *testing.T) {
	follow(t, func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, _ string) {
		file.clock.add(checkInterval)
		file.edit("", 0) // an editor truncates, and writes
		want("a.example", "yes")
		for range 20 {
			file.clock.add(settleTime - 1)
			file.edit(entry("b.example"), 0)
			want("a.example", "yes")
			want("b.example", "no")
		}
		file.clock.add(settleTime - 1)
		want("b.example", "no")
		file.clock.add(settleTime) // by then there was a look when it had settled
		want("b.example", "yes")
		want("a.example", "no")
		wantSaid(t, w)
	})
}

// A time in the future is no reason to wait for it.
func TestFileOfTheFuture(t *testing.T) {
	follow(t, func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, _ string) {
		file.edit(entry("b.example"), -time.Hour)
		file.clock.add(checkInterval)
		want("b.example", "yes")
		wantSaid(t, w)
	})
}

// A version that is broken, or gone, is said once; the old one stays until a good one
// comes. What comes where nothing was may be half written, and has to settle.
func TestBrokenVersionIsSaidOnce(t *testing.T) {
	follow(t, func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, broken string) {
		for range 2 {
			if broken != "" {
				file.replace(broken)
				for range 5 {
					file.clock.add(checkInterval)
					want("a.example", "yes")
				}
				saidOnce(t, w, file.path)
			}
			if err := os.Remove(file.path); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				file.clock.add(checkInterval)
				want("a.example", "yes")
			}
			saidOnce(t, w, file.path+": No such file or directory")
			file.clock.add(checkInterval)
			file.edit("", 0)
			want("a.example", "yes")
			file.clock.add(settleTime)
			file.edit(entry("a.example")+entry("b.example"), settleTime)
			want("b.example", "yes")
			want("a.example", "yes")
			wantSaid(t, w)
		}
	})
}

func saidOnce(t *testing.T, w *warnings, part string) {
	t.Helper()
	said := w.take()
	if len(said) != 1 || !strings.Contains(said[0], part) || !strings.HasSuffix(said[0], " as it was stays in force") {
		t.Errorf("warnings %q, want one with %q", said, part)
	}
}

// Touching a file reads it again; nobody notices.
func TestTouchedFile(t *testing.T) {
	follow(t, func(t *testing.T, file followedFile, entry func(string) string, want func(key, answer string), w *warnings, _ string) {
		for range 3 {
			file.clock.add(checkInterval)
			file.touch(file.path, settleTime)
			want("a.example", "yes")
		}
		wantSaid(t, w)
	})
}

// Every file of a list is followed: those that it names, and those that these name. One
// that is broken keeps what all of them said.
func TestListOfSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	var w warnings
	c := clock{now: time.Now()}
	at := func(name, text string) followedFile {
		f := followedFile{t, filepath.Join(dir, name), &c}
		f.replace(text)
		return f
	}
	inner := at("inner", "in1.example\n")
	first := at("first", "one.example "+inner.path+"\n")
	second := at("second", "!not.example two.example\n")
	l, err := ParseDomainList([]string{first.path, "!" + second.path, "not.example", "two.example"}, Options{Warn: w.warn, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want := func(yes string, no string) {
		t.Helper()
		for _, name := range strings.Fields(yes) {
			if got := listed(l.Match(t.Context(), name+".example")); got != "yes" {
				t.Errorf("%s: %s", name, got)
			}
		}
		for _, name := range strings.Fields(no) {
			if got := listed(l.Match(t.Context(), name+".example")); got != "no" {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
	want("one in1 not", "two in2")
	inner.replace("in2.example\n")
	second.replace("three.example\n")
	c.add(checkInterval)
	want("one in2 two not", "in1 three")

	newer := at("newer", "new1.example\n")
	first.replace("one.example " + newer.path + "\n")
	c.add(checkInterval)
	want("new1", "in2")
	newer.replace("new2.example\n")
	inner.replace("in3.example !\n") // no part of the list any more
	c.add(checkInterval)
	want("new2", "new1 in3")
	wantSaid(t, &w)

	second.replace("four.example !\n")
	newer.replace("new3.example\n")
	c.add(checkInterval)
	want("new2 two", "new3 four")
	saidOnce(t, &w, second.path+`, line 1: no pattern after '!'`)
	second.replace("four.example\n")
	c.add(checkInterval)
	want("new3 two", "new2 four")
	wantSaid(t, &w)
}

// Tables in a list stay open when a file of it changes; what the file no longer names is
// closed, when the last lookup in it is done.
func TestTablesOfFollowedList(t *testing.T) {
	c := clock{now: time.Now()}
	opened, closed := map[string]int{}, map[string]int{}
	o := Options{Now: c.Now, Types: map[string]Opener{"probe": func(argument string, _ Options) (Table, error) {
		opened[argument]++
		if strings.HasPrefix(argument, "bad") {
			return nil, fmt.Errorf("probe %s is bad", argument)
		}
		return &probeTable{argument, func() { closed[argument]++ }}, nil
	}}}
	file := followedFile{t, tableFile(t, "probe:in.example\n"), &c}
	l, err := ParseDomainList([]string{"probe:out.example", file.path}, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"probe:in.example a\n", "probe:in.example probe:out.example\n", "probe:bad\n", "probe:other.example\n"} {
		file.replace(text)
		c.add(checkInterval)
		for domain, want := range map[string]bool{"out.example": true, "in.example": i < 3, "other.example": i == 3} {
			if got, err := l.Match(t.Context(), domain); got != want || err != nil {
				t.Errorf("version %d: %s is %t, %v", i, domain, got, err)
			}
		}
	}
	if opened["out.example"] != 1 || opened["in.example"] != 1 || closed["in.example"] != 1 || closed["out.example"] != 0 {
		t.Errorf("opened %v, closed %v", opened, closed)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if closed["out.example"] != 1 || closed["other.example"] != 1 {
		t.Errorf("closed %v", closed)
	}
	if _, err := l.Match(t.Context(), "out.example"); err == nil || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("after Close: %v", err)
	}
}

// Lookups go on while a list is replaced over and over: a name that is in all versions
// is always found.
func TestMatchesDuringReplacement(t *testing.T) {
	c := clock{now: time.Now()}
	file := followedFile{t, tableFile(t, "a.example inline:{b.example=x}\n"), &c}
	l, err := ParseDomainList([]string{file.path}, Options{Now: func() time.Time { c.add(checkInterval); return c.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
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
				for _, domain := range []string{"a.example", "b.example"} {
					if got := listed(l.Match(t.Context(), domain)); got != "yes" {
						t.Errorf("%s: %s", domain, got)
						return
					}
				}
			}
		})
	}
	for i := range 50 {
		file.replace(fmt.Sprintf("x%d.example a.example inline:{b.example=x}\n", i))
	}
	close(stop)
	wg.Wait()
	if got := listed(l.Match(t.Context(), "x49.example")); got != "yes" {
		t.Errorf("the last version: %s", got)
	}
}

// probeTable has one key, and says when it is closed.
type probeTable struct {
	key    string
	closed func()
}

func (p *probeTable) Lookup(_ context.Context, key string) (string, bool, error) {
	return "x", key == p.key, nil
}
func (p *probeTable) Name() string { return "probe:" + p.key }
func (p *probeTable) Close() error { p.closed(); return nil }
