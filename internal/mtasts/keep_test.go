package mtasts

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/cachefile"
	"aliasmx/internal/dns"
)

// Policies are fetched again once a day, and before they expire, so that they go on holding
// although their domains get mail seldom.
func TestRefresh(t *testing.T) {
	for _, c := range []struct {
		age         time.Duration
		days        int
		least, most int // fetches in that time, the first apart
	}{
		{365 * 24 * time.Hour, 20, 20, 27},
		{2 * 24 * time.Hour, 20, 20, 27},
		{24 * time.Hour, 20, 40, 54}, // every half of it
		{time.Hour, 2, 96, 128},
	} {
		t.Run(c.age.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.publish("example.com", "1", policyText("enforce", c.age, "mx.example.com"))
				s := w.source(Options{})
				expect(t, s, "example.com", "mx.example.com", "enforce")
				time.Sleep(time.Duration(c.days) * 24 * time.Hour)
				_, gets := w.counts()
				if gets -= 1; gets < c.least || gets > c.most {
					t.Errorf("%d fetches, want %d to %d", gets, c.least, c.most)
				}
				// DNS and HTTPS are gone: it holds.
				w.set(func() { w.txt, w.addrs = nil, nil })
				expect(t, s, "example.com", "evil.example.org", "refused")
			})
		})
	}
}

// A refresh takes what is published, whatever its id; one that fails is repeated before the
// policy expires, and works as soon as the trouble is over.
func TestRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 7*24*time.Hour, "mx.example.com"))
		s := w.source(Options{})
		expect(t, s, "example.com", "mx.example.com", "enforce")
		w.set(func() { w.page = http.NotFound })
		time.Sleep(6*24*time.Hour + 22*time.Hour)
		if _, gets := w.counts(); gets < 6*23 || gets > 6*33 {
			t.Errorf("%d fetches in almost seven days", gets)
		}
		if log := w.log.String(); strings.Count(log, "cannot be refreshed")/2 != 3 || !strings.Contains(log, "the server answers 404") {
			t.Errorf("log:\n%s", log)
		}
		w.publish("example.com", "1", policyText("enforce", 7*24*time.Hour, "mx.example.net"))
		time.Sleep(70 * time.Minute)
		w.set(func() { w.txt = nil })
		time.Sleep(6 * 24 * time.Hour)
		expect(t, s, "example.com", "mx.example.net", "enforce")
		expect(t, s, "example.com", "mx.example.com", "refused")
	})
}

// A domain that gets no mail is left alone after a month.
func TestUnusedExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 10*24*time.Hour, "mx.example.com"))
		s := w.source(Options{})
		expect(t, s, "example.com", "mx.example.com", "enforce")
		time.Sleep(31 * 24 * time.Hour)
		_, before := w.counts()
		time.Sleep(100 * 24 * time.Hour)
		if _, after := w.counts(); after != before || before < 29 {
			t.Errorf("%d fetches in a month, %d after it", before, after-before)
		}
		w.set(func() { w.txt = nil })
		expect(t, s, "example.com", "mx.example.com", "none")
	})
}

// Policies are there after a restart, and are fetched again one after the other.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 300
		w := newWorld(t)
		file := filepath.Join(t.TempDir(), "data", "mta_sts_cache")
		s := w.source(Options{}, file)
		for i := range n {
			domain := fmt.Sprintf("d%d.example", i)
			w.publish(domain, "1", policyText("enforce", 10*24*time.Hour, "mx.example.com"))
			expect(t, s, domain, "mx.example.com", "enforce")
			expect(t, s, "without."+domain, "mx.example.com", "none")
		}
		// 64 KiB of hosts take more when they are written out.
		long := "version:STSv1\nmode:enforce\nmax_age:864000\n" + strings.Repeat("mx:a.b\n", 9000)
		w.publish("long.example", "1", long)
		expect(t, s, "long.example", "a.b", "enforce")
		w.publish("short.example", "1", policyText("enforce", time.Hour, "mx.example.com"))
		expect(t, s, "short.example", "mx.example.com", "enforce")
		s.Close()
		content, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(content), "without") || strings.Count(string(content), "\n") != n+4 {
			t.Fatalf("%v, file:\n%.500s", err, content)
		}
		time.Sleep(2 * 24 * time.Hour)

		under, most := 0, 0
		w.set(func() {
			w.gets = nil
			w.page = func(rw http.ResponseWriter, r *http.Request) {
				w.set(func() { under++; most = max(most, under) })
				time.Sleep(20 * time.Second)
				w.set(func() { under-- })
				rw.Header().Set("Content-Type", "text/plain")
				io.WriteString(rw, policyText("enforce", 10*24*time.Hour, "mx.example.net"))
			}
		})
		s = w.source(Options{}, file)
		synctest.Wait()
		if txts, gets := w.counts(); gets != 0 || txts == 0 {
			t.Errorf("%d fetches at once", gets)
		}
		time.Sleep(30 * time.Minute)
		if _, gets := w.counts(); gets != 0 {
			t.Errorf("%d fetches in the first half hour", gets)
		}
		time.Sleep(time.Hour)
		if _, gets := w.counts(); gets != n+1 || most > 4 {
			t.Errorf("%d of %d policies are fetched, %d at a time", gets, n+1, most)
		}
		w.set(func() { w.txt = nil })
		expect(t, s, "d7.example", "mx.example.net", "enforce")
		expect(t, s, "short.example", "mx.example.net", "none")
	})
}

// What was learnt is in the file a minute later, without an end that comes in order.
func TestSavedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
		file := filepath.Join(t.TempDir(), "mta_sts_cache")
		s := w.source(Options{}, file)
		expect(t, s, "example.com", "mx.example.com", "enforce")
		time.Sleep(learntDelay + time.Millisecond) // a crash after this forgets nothing
		w.set(func() { w.txt = nil })
		// Those without a policy are no reason to write it again.
		expect(t, s, "other.example", "mx.example.com", "none")
		synctest.Wait()
		s.mu.Lock()
		if !s.dirty.IsZero() {
			t.Error("the file is to be written again")
		}
		s.mu.Unlock()
		expect(t, w.source(Options{}, file), "example.com", "evil.example.org", "refused")
	})
}

// A file that is not as it was written, or cannot be written, keeps nobody from starting.
func TestBadFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("example.com", "1", policyText("enforce", 24*time.Hour, "mx.example.com"))
		dir := t.TempDir()
		file := filepath.Join(dir, "mta_sts_cache")
		s := w.source(Options{}, file)
		expect(t, s, "example.com", "mx.example.com", "enforce")
		s.Close()
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range content {
			content[i] ^= 1
			if entries, err := decode(content, time.Now()); err == nil {
				t.Errorf("with byte %d changed: %v", i, entries)
			}
			content[i] ^= 1
			if _, err := decode(content[:i], time.Now()); err == nil {
				t.Errorf("cut off after %d bytes: taken", i)
			}
		}
		os.WriteFile(file, content[:len(content)-5], 0o600)
		s = w.source(Options{}, file)
		if log := w.log.String(); !strings.Contains(log, "smtp_tls_mta_sts_cache "+file+": not as it was written; starting without policies") {
			t.Errorf("log: %s", log)
		}
		expect(t, s, "example.com", "mx.example.com", "enforce")
		s.Close()
		if entries, err := readFile(file, time.Now()); err != nil || len(entries) != 1 {
			t.Errorf("afterwards: %v, %v", entries, err)
		}

		s = w.source(Options{}, filepath.Join(file, "below a file"))
		expect(t, s, "example.com", "mx.example.com", "enforce")
		time.Sleep(saveDelay + time.Second)
		if !strings.Contains(w.log.String(), "MTA-STS policies are kept in memory only") {
			t.Errorf("log: %s", w.log.String())
		}
		w.set(func() { w.txtIs["_mta-sts.example.com"] = &dns.Error{Name: "x", Type: "TXT"} })
		expect(t, s, "example.com", "evil.example.org", "refused")
	})
}

// A clock that was wrong when the file was written makes no policy hold for longer.
func TestTimesToCome(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p, _ := ParsePolicy([]byte(policyText("enforce", time.Hour, "mx.example.com")))
	b := encode(map[string]*entry{"example.com": {id: "1", policy: p, fetched: now.AddDate(1, 0, 0), used: now.AddDate(1, 0, 0)}}, now)
	entries, err := decode(b, now)
	if e := entries["example.com"]; err != nil || e == nil || !e.expires().Equal(now.Add(time.Hour)) || !e.used.Equal(now) {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestDomainTwice(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p, _ := ParsePolicy([]byte(policyText("enforce", time.Hour, "mx.example.com")))
	line := fmt.Sprintf("example.com 1 %d %d %q\n", now.Unix(), now.Unix(), p.String())
	for n, good := range map[int]bool{1: true, 2: false} {
		b := cachefile.Encode(fileKind, time.Time{}, n, []byte(strings.Repeat(line, n)))
		if _, err := decode(b, now); (err == nil) != good {
			t.Errorf("%d times: %v", n, err)
		}
	}
}

// FuzzDecode: what is read is written as it was.
func FuzzDecode(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	p, _ := ParsePolicy([]byte(policyText("testing", time.Hour, "mx.example.com", "*.example.net")))
	f.Add("example.com", "1", now.Unix(), now.Unix()-5, p.String())
	f.Add("a b", "", int64(0), int64(-1), "version: STSv1")
	f.Fuzz(func(t *testing.T, domain, id string, fetched, used int64, file string) {
		line := fmt.Sprintf("%s %s %d %d %q", domain, id, fetched, used, file)
		name, e, ok := decodeEntry(line)
		if !ok || !e.valid(now) {
			return
		}
		entries, err := decode(encode(map[string]*entry{name: e}, now), now)
		if got := entries[name]; err != nil || len(entries) != 1 || got.id != e.id || got.policy.String() != e.policy.String() || got.fetched.After(now) {
			t.Fatalf("%q: %+v, %v", line, got, err)
		}
	})
}
