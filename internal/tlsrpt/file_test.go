package tlsrpt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aliasmx/internal/cachefile"
)

// filled is a Reporter that knows a little of everything.
func filled(t testing.TB, w *world) *Reporter {
	t.Helper()
	r := w.at(noon)
	for i, result := range append(results(), "", "", "odd") {
		s := noonSession(fmt.Sprintf("d%d.example", i%3), result, sts("x.example"), tlsa("mx.x.example"))
		s.Reason = fmt.Sprintf("reason \"%d\" é", i)
		r.Session(s)
		r.Session(noonSession("plain.example", result))
	}
	r.decide(key{dayOf(noon), "d0.example"}, nil)
	r.decide(key{dayOf(noon), "plain.example"}, ErrNoRecord)
	begun := r.tallies[key{dayOf(noon), "d1.example"}]
	begun.begun, begun.attempts, begun.done = noon, 3, []string{"mailto:a@x.example"}
	r.beyond[dayOf(noon)] = &totals{OK: 3, Failed: 4}
	return r
}

// What was counted is the same after a restart.
func TestFileKeepsAll(t *testing.T) {
	w := newWorld(t)
	r := filled(t, w)
	r.save()
	again := w.at(noon)
	if got, want := again.Counts(), r.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, domain := range []string{"d0.example", "d1.example", "d2.example"} {
		got, err := again.ReportOn(domain)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := r.ReportOn(domain); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	a, b := again.tallies[key{dayOf(noon), "d1.example"}], r.tallies[key{dayOf(noon), "d1.example"}]
	if !a.begun.Equal(b.begun) || a.attempts != b.attempts || !reflect.DeepEqual(a.done, b.done) || a.due.Unix() != b.due.Unix() {
		t.Errorf("got  %+v\nwant %+v", a, b)
	}
	if again.room != r.room {
		t.Errorf("room for %d, want %d", again.room.left, r.room.left)
	}
	if strings.Contains(w.logged(), "WARN") {
		t.Errorf("the log says\n%s", w.logged())
	}
}

// A file that is not as it was written costs its counts, and nothing else.
func TestDamagedFile(t *testing.T) {
	w := newWorld(t)
	filled(t, w).save()
	good, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	line := func(s string) []byte { return cachefile.Encode(fileKind, noon, 1, []byte(s+"\n")) }
	const fine = `{"day":1769817600,"domain":"x.example","sessions":{"ok":1,"failed":0},"policies":[{"type":"sts","domain":"x.example","ok":1}],"due":1}`
	for name, content := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)/2], "a byte more": append(good[:len(good):len(good)], 'x'), "one bit": bytes.Replace(good, []byte("d0"), []byte("d4"), 1),
		"no JSON":               line("x"),
		"no midnight":           line(strings.Replace(fine, "1769817600", "1769817601", 1)),
		"no domain":             line(strings.Replace(fine, `"x.example","sessions"`, `"x..example","sessions"`, 1)),
		"domain in capitals":    line(strings.Replace(fine, `"x.example","sessions"`, `"X.example","sessions"`, 1)),
		"no policy type":        line(strings.Replace(fine, `"sts"`, `"magic"`, 1)),
		"no result":             line(strings.Replace(fine, `"ok":1}]`, `"failed":[{"result":"x","n":1}]}]`, 1)),
		"too many":              line(strings.Replace(fine, `"ok":1}]`, `"ok":9007199254740992}]`, 1)),
		"never due":             line(strings.Replace(fine, `"due":1`, `"due":0`, 1)),
		"unknown wish":          line(strings.Replace(fine, `"due":1`, `"due":1,"wish":3`, 1)),
		"details of the silent": line(strings.Replace(fine, `"due":1`, `"due":1,"wish":2`, 1)),
		"twice":                 cachefile.Encode(fileKind, noon, 2, []byte(fine+"\n"+fine+"\n")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.WriteFile(w.file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			r := w.at(noon)
			if counts := r.Counts(); len(counts) != 0 || r.room.left != maxRoom || len(r.domains) != 0 {
				t.Errorf("it knows %+v", counts)
			}
			if want := "TLSRPT: " + w.file + ": not as it was written; the sessions counted in it are not reported"; !strings.Contains(w.logged(), want) {
				t.Errorf("the log has no %q:\n%s", want, w.logged())
			}
			r.Session(noonSession("x.example", "")) // and goes on
			r.save()
			if got := w.at(noon).Counts(); len(got) != 1 {
				t.Errorf("afterwards it knows %+v", got)
			}
		})
	}
	w = newWorld(t)
	if err := os.WriteFile(w.file, line(fine), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := len(w.at(noon).Counts()); n != 1 {
		t.Errorf("of the line that is fine %d are read: the others prove nothing\n%s", n, w.logged())
	}
}

// A file that cannot be written costs nobody anything but a restart; the log says it once.
func TestFileCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	w.file = filepath.Join(t.TempDir(), "file", "tlsrpt")
	r := w.at(noon)
	r.Session(noonSession("x.example", ""))
	if err := os.WriteFile(filepath.Dir(w.file), nil, 0o644); err != nil { // where a directory would have to be
		t.Fatal(err)
	}
	r.save()
	r.save()
	if n := strings.Count(w.logged(), "sessions are counted in memory only"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.logged())
	}
	if err := os.Remove(filepath.Dir(w.file)); err != nil {
		t.Fatal(err)
	}
	r.save()
	if n := len(w.at(noon).Counts()); n != 1 {
		t.Errorf("when it can be written again it has %d counts", n)
	}
}

// FuzzFile: whatever stands in a line, it is refused or means the same after it was written
// again; and what is reported of it keeps to the schema.
func FuzzFile(f *testing.F) {
	w := &world{t: &testing.T{}, lookups: map[string]int{}}
	seed := filled(f, w)
	b, err := seed.encode(noon)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "{") {
			f.Add(strings.TrimSuffix(line, "\n"))
		}
	}
	f.Add(`{"day":0,"domain":"x","due":1,"policies":[{"type":"tlsa","domain":"y","strings":["a\nb",""],"failed":[{"result":"dane-required","n":9007199254740991,"local":"fe80::1%x"}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\n") {
			return
		}
		r := w.at(noon)
		if err := r.decode(cachefile.Encode(fileKind, noon, 1, []byte(text+"\n"))); err != nil {
			if len(r.tallies)+len(r.beyond)+len(r.domains) > 0 || r.room.left != maxRoom {
				t.Errorf("refused, and yet there is %+v", r.Counts())
			}
			return
		}
		first, err := r.encode(noon)
		if err != nil {
			t.Fatal(err)
		}
		again := w.at(noon)
		if err := again.decode(first); err != nil {
			t.Fatalf("%v: %s", err, first)
		}
		if second, _ := again.encode(noon); !bytes.Equal(first, second) {
			t.Errorf("got  %s\nthen %s", first, second)
		}
		for _, tally := range r.tallies {
			raw, err := json.Marshal(tally.report(&r.params))
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tally.policies {
				if p.ok+p.failures() == 0 {
					return // no session is counted so
				}
			}
			if err := checkReport(raw); err != nil && len(tally.policies) > 0 {
				t.Errorf("%v in %s", err, raw)
			}
		}
	})
}
