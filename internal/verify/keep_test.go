package verify

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

func (w *world) withFile(path string) Options {
	o := w.options()
	o.File = path
	return o
}

// What was learnt is there after a restart, and its times go on.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "verify_cache")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := New(w.withFile(path))
		w.say("bad@dest.example", "no")
		want(t, "good", ask(t, v, "good@virt.example"), good)
		want(t, "bad", ask(t, v, "bad@virt.example"), refused)
		v.Close()
		w.asked()
		w.log()
		v = New(w.withFile(path))
		want(t, "good", ask(t, v, "good@virt.example"), good)
		want(t, "bad", ask(t, v, "bad@virt.example"), refused)
		want(t, "the target", ask(t, v, "bad@dest.example"), refused)
		want(t, "probes", w.asked(), "")
		want(t, "log", w.log(), "") // the cleanup was not long ago
		v.Close()
		time.Sleep(4 * day)
		v = New(w.withFile(path))
		want(t, "good", ask(t, v, "good@virt.example"), good)
		want(t, "log", w.log(), "verify cache btree:/verify_cache full cleanup: retained=2 dropped=2 entries")
		v.Close()
	})
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("files left: %v, %v", list, err)
	}
}

// The file is written a minute after something was learnt, and not before.
func TestSaveIsLazy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verify_cache")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := New(w.withFile(path))
		defer v.Close()
		ask(t, v, "a@virt.example")
		time.Sleep(50 * time.Second)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("written at once")
		}
		ask(t, v, "b@virt.example")
		time.Sleep(15 * time.Second)
		entries, _, err := readFile(path)
		if err != nil || len(entries) != 4 {
			t.Errorf("after a minute: %d entries, %v", len(entries), err)
		}
		info, _ := os.Stat(path)
		time.Sleep(time.Hour)
		if again, _ := os.Stat(path); !again.ModTime().Equal(info.ModTime()) || !os.SameFile(again, info) {
			t.Errorf("written again without need")
		}
	})
}

// A Verifier that nobody asks writes neither file nor log.
func TestUnused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verify_cache")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := New(w.withFile(path))
		time.Sleep(day)
		v.Close()
		want(t, "log", w.log(), "")
	})
	if _, err := os.Stat(path); err == nil {
		t.Errorf("a file was written")
	}
}

// A damaged file is one warning and an empty cache, however it is damaged.
func TestDamagedFile(t *testing.T) {
	whole := encode([]fileLine{{"a@b.example", entry{verdict: deliverable("250 Ok"), updated: time.Unix(1e9, 0)}}}, time.Unix(1e9, 0))
	for name, content := range map[string]string{
		"empty":       "",
		"cut off":     string(whole[:len(whole)/2]),
		"one byte":    strings.Replace(string(whole), "a@b", "a@c", 1),
		"twice":       string(whole) + string(whole),
		"no newline":  string(whole[:len(whole)-1]),
		"another":     "\x00\x01\x02 Berkeley DB\n",
		"other count": strings.Replace(string(whole), "end 1", "end 2", 1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "verify_cache")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				v := New(w.withFile(path))
				want(t, "log", w.log(), "verify address_verify_map "+path+": not as it was written; starting with an empty cache")
				want(t, "works", ask(t, v, "a@virt.example"), good)
				v.Close()
			})
			if entries, _, err := readFile(path); err != nil || len(entries) != 2 {
				t.Errorf("afterwards: %v, %v", entries, err)
			}
		})
	}
}

// A file that cannot be written is a warning; the cache works without.
func TestUnwritableFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file", "verify_cache")
	if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := New(w.withFile(path))
		defer v.Close()
		ask(t, v, "a@virt.example")
		time.Sleep(2 * time.Minute)
		want(t, "works", ask(t, v, "a@virt.example"), good)
		if got := w.log(); !strings.Contains(got, "what is known of addresses is kept in memory only") {
			t.Errorf("log:\n%s", got)
		}
	})
}

// The cleanup comes with the first question and then every interval.
func TestCleanup(t *testing.T) {
	bubble(t, nil, func(t *testing.T, w *world, v *Verifier) {
		time.Sleep(day)
		ask(t, v, "good@virt.example")
		w.say("bad@dest.example", "no")
		ask(t, v, "bad@virt.example")
		w.log()
		time.Sleep(4 * day)
		got := strings.Split(w.log(), "\n")
		if len(got) != 8 || !strings.HasSuffix(got[0], "retained=4 dropped=0 entries") || !strings.HasSuffix(got[7], "retained=2 dropped=0 entries") {
			t.Errorf("log:\n%s", strings.Join(got, "\n"))
		}
		if len(v.cache.entries) != 2 {
			t.Errorf("%d entries left", len(v.cache.entries))
		}
	})
	bubble(t, func(o *Options) { o.CleanupInterval = 0 }, func(t *testing.T, w *world, v *Verifier) {
		ask(t, v, "good@virt.example")
		time.Sleep(40 * day)
		if got := w.log(); strings.Contains(got, "cleanup: ") || len(v.cache.entries) != 2 {
			t.Errorf("log:\n%s", got)
		}
	})
}

// The cache is bounded, and a flood of bad addresses does not drive out the good ones.
func TestCacheIsBounded(t *testing.T) {
	p := &Params{NegativeCache: true, PositiveExpire: day, NegativeExpire: day}
	c := cache{max: 1000, entries: map[string]*entry{}}
	now := time.Unix(1e9, 0)
	for i := range 300 {
		c.learn(fmt.Sprint("good", i), deliverable("ok"), p, now)
	}
	for i := range 20_000 {
		now = now.Add(time.Millisecond)
		c.learn(fmt.Sprint("bad", i), deferred(mail.Code(4, 0, 0), "no"), p, now)
		if len(c.entries) > 1000 {
			t.Fatalf("%d entries", len(c.entries))
		}
	}
	n := 0
	for _, e := range c.entries {
		if e.good() {
			n++
		}
	}
	if n < 299 {
		t.Errorf("%d of 300 good addresses are left", n)
	}
}

// Whatever is in the cache comes back from the file.
func TestFileRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	text := func() string {
		b := make([]byte, r.IntN(20))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	wanted := map[string]*entry{}
	var lines []fileLine
	for range 1000 {
		e := entry{updated: time.Unix(1+r.Int64N(1e10), 0), verdict: mail.Verdict{
			State:  mail.VerdictState(1 + r.IntN(3)),
			Status: mail.Status{Code: r.IntN(600), Enhanced: mail.Code(uint16(r.IntN(6)), uint16(r.IntN(1000)), uint16(r.IntN(1000))), Text: text()},
			Reason: text(),
		}}
		if r.IntN(2) == 0 {
			e.probed = time.Unix(1+r.Int64N(1e10), 0)
		}
		key := fmt.Sprintf("%d %s", len(lines), text())
		wanted[key] = &e
		lines = append(lines, fileLine{key, e})
	}
	got, cleaned, err := decode(encode(lines, time.Unix(12345, 0)))
	if err != nil || !cleaned.Equal(time.Unix(12345, 0)) || !reflect.DeepEqual(got, wanted) {
		t.Errorf("seed %d: not as it was written: %v", seed, err)
	}
}

// FuzzDecode: what can be read is read as what was written.
func FuzzDecode(f *testing.F) {
	f.Add(encode(nil, time.Time{}))
	f.Add(encode([]fileLine{{"a@b.example", entry{verdict: deliverable("250 \"Ok\"\xff"), updated: time.Unix(1e9, 0)}}}, time.Unix(1e9, 0)))
	f.Add([]byte("aliasmx verify_cache 1 0\nend 0 00000000\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum would keep nearly all inputs out.
		if at := strings.LastIndex(string(b), "\nend ") + 1; at > 0 {
			key, e, ok := decodeEntry(strings.TrimSuffix(string(b[:at]), "\n"))
			if ok {
				again, e2, ok := decodeEntry(strings.Split(string(encode([]fileLine{{key, *e}}, time.Time{})), "\n")[1])
				if !ok || again != key || !reflect.DeepEqual(e, e2) {
					t.Errorf("%q: %q %+v, again %q %+v", b, key, e, again, e2)
				}
			}
		}
		entries, cleaned, err := decode(b)
		if err != nil {
			return
		}
		c := cache{entries: entries}
		again, cleaned2, err := decode(encode(c.list(), cleaned))
		if err != nil || !cleaned.Equal(cleaned2) || !reflect.DeepEqual(entries, again) {
			t.Errorf("%q: %v, again %v, %v", b, entries, again, err)
		}
	})
}
