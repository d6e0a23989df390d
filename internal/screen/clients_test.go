package screen

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tell is the lines of the log since the last call, but for those that a client comes.
func (p *place) tell() string {
	var kept []string
	for line := range strings.SplitSeq(p.log.take(), "\n") {
		if rest, ok := strings.CutPrefix(line, "postscreen: "); ok && !strings.HasPrefix(rest, "CONNECT") {
			kept = append(kept, strings.ReplaceAll(rest, "[192.0.2.1]:1024", "C"))
		}
	}
	return strings.Join(kept, "|")
}

// come has a client come and go, and tells how long it waited and what the log had.
func (p *place) come() string {
	v := p.enter("192.0.2.1")
	v.leave()
	return fmt.Sprintf("%v %s", v.after, p.tell())
}

func expect(t *testing.T, when, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", when, got, want)
	}
}

// Who has passed a test does not take it again until that has expired.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.Sites = sites(t, "bl.example") })
		p.lists.delay["bl.example"] = time.Second
		p.lists.ttl["bl.example"] = 2 * time.Hour // bounded by postscreen_dnsbl_max_ttl
		expect(t, "the first time", p.come(), "6s PASS NEW C")
		time.Sleep(59 * time.Minute)
		expect(t, "within all times", p.come(), "0s PASS OLD C")
		time.Sleep(2 * time.Minute)
		expect(t, "the lists have expired", p.come(), "1s PASS OLD C")
		p.lists.ttl["bl.example"] = time.Second // and postscreen_dnsbl_min_ttl
		time.Sleep(61 * time.Minute)
		expect(t, "again", p.come(), "1s PASS OLD C")
		time.Sleep(58 * time.Second)
		expect(t, "within the least time", p.come(), "0s PASS OLD C")
		time.Sleep(3 * time.Second)
		p.lists.ttl["bl.example"] = 48 * time.Hour
		expect(t, "not any more", p.come(), "1s PASS OLD C")
		time.Sleep(23 * time.Hour)
		expect(t, "all has expired", p.come(), "6s PASS OLD C")
		p.lists.answers["bl.example"] = "127.0.0.2"
		time.Sleep(2 * time.Hour)
		expect(t, "listed, ignored", p.come(), "1s DNSBL rank 1 for C")
		p.lists.answers["bl.example"] = ""
		expect(t, "and asked again", p.come(), "1s PASS OLD C")
	})
}

// What is ignored has not been passed, and takes nothing else away.
func TestIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.Sites = sites(t, "bl.example") })
		v := p.enter("192.0.2.1")
		v.say("x")
		v.leave()
		expect(t, "it talks", p.tell(), "PREGREET 1 after 0 from C: x")
		expect(t, "the next time", p.come(), "6s PASS NEW C")
		if n := p.lists.asked["bl.example"]; n != 1 {
			t.Errorf("the lists were asked %d times", n)
		}
	})
}

// Connections at a time do not profit from each other's allow list, and one is new.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, nil)
		a := p.enter("192.0.2.1")
		time.Sleep(time.Second)
		b := p.enter("192.0.2.1")
		<-a.done // and it waits for smtpd
		expect(t, "one", p.tell(), "PASS NEW C")
		b.leave()
		expect(t, "the other", p.tell(), "PASS OLD C")
		if b.after != 6*time.Second {
			t.Errorf("the other waited %v", b.after)
		}
		expect(t, "while one is open", p.come(), "0s ")
		a.leave()
		expect(t, "a third", p.come(), "0s PASS OLD C")
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.ClientConnections, o.PreQueueLimit, o.PostQueueLimit = 2, 11, 5 })
		p.enter("192.0.2.1")
		p.enter("192.0.2.1")
		expect(t, "a third connection", p.come(), "0s NOQUEUE: reject: CONNECT from C: too many connections|DISCONNECT C")
		var all []*visit
		for i := range 8 {
			all = append(all, p.enter(fmt.Sprintf("198.51.100.%d", i)))
		}
		expect(t, "10 connections", p.tell(), "entering STRESS mode with 9 connections")
		v := p.enter("203.0.113.1")
		expect(t, "11 connections", v.words(), "421 4.3.2 All screening ports are busy\r\n")
		v.leave()
		p.log.take()
		time.Sleep(6 * time.Second) // all of the others pass, and wait for smtpd
		synctest.Wait()
		if n := p.d.clients.post; n != 10 {
			t.Fatalf("%d wait for smtpd", n)
		}
		v = p.enter("203.0.113.2")
		expect(t, "smtpd is busy", v.words(), "421 4.3.2 All server ports are busy\r\n")
		v.leave()
		if got := p.log.take(); !strings.Contains(got, "NOQUEUE: reject: CONNECT from [203.0.113.2]:1024: all server ports busy") {
			t.Errorf("log:\n%s", got)
		}
		for _, v := range all {
			v.leave()
		}
		if got := p.log.take(); !strings.Contains(got, "leaving STRESS mode with 7 connections") {
			t.Errorf("log:\n%s", got)
		}
		if len(p.d.clients.byAddr) != 1 || p.d.clients.check != 2 {
			t.Errorf("%d clients, %d connections are left", len(p.d.clients.byAddr), p.d.clients.check)
		}
	})
}

// Who waits for smtpd is not tested any more.
func TestWaitForServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.PreQueueLimit = 11 })
		for i := range 10 {
			p.enter(fmt.Sprintf("198.51.100.%d", i))
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if v := p.enter("192.0.2.1"); !v.leave() {
			t.Errorf("heard %q", v.words())
		}
	})
}

// Lookups are bounded, and none is forgotten.
func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		var asked atomic.Int32
		for range 2 {
			for range 2*maxLookups + 10 {
				l.add(func() {
					time.Sleep(time.Second)
					asked.Add(1)
				})
			}
			begun := time.Now()
			l.wait()
			if n := asked.Swap(0); n != 2*maxLookups+10 || time.Since(begun) != 3*time.Second {
				t.Errorf("%d were asked in %v", n, time.Since(begun))
			}
		}
	})
}

// Under stress clients wait less.
func TestStress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, func(o *Options) { o.PreQueueLimit = 10 })
		for i := range 8 {
			p.enter(fmt.Sprintf("198.51.100.%d", i))
		}
		v := p.enter("192.0.2.1") // the ninth
		if !v.leave() || v.after != 2*time.Second {
			t.Errorf("waited %v", v.after)
		}
		time.Sleep(10 * time.Second)
	})
}

// A client that nobody had to look at at one door is tested at another, and what is
// remembered of it can be read again.
func TestTwoDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "postscreen_cache")
		log := newLines()
		c := NewClients(ClientsOptions{Log: slog.New(log), File: file})
		free, strict := &place{t: t, log: log, lists: newFakeLists()}, &place{t: t, log: log, lists: newFakeLists()}
		free.open(c, func(o *Options) { o.Access = []Rule{{word: "permit"}} })
		strict.open(c, nil)
		v := free.enter("192.0.2.1")
		expect(t, "at the other door", strict.come(), "6s ALLOWLISTED C|PASS OLD C")
		v.leave()
		c.Close()
		if lines, _, err := readFile(file); err != nil || len(lines) != 1 || lines[0].stamps[dnsbl] != stampNone {
			t.Errorf("the file has %v, %v", lines, err)
		}
	})
}

// The allow list outlives a restart, and a file that is damaged is as good as none.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "sub", "postscreen_cache")
		log := newLines()
		p := &place{t: t, log: log, lists: newFakeLists()}
		begin := func() *Clients {
			c := NewClients(ClientsOptions{Log: slog.New(log), File: file, Name: "btree:x", CacheParams: CacheParams{Retention: time.Hour, Cleanup: 12 * time.Hour}})
			p.open(c, nil)
			return c
		}
		c := begin()
		synctest.Wait()
		if _, err := os.Stat(file); err == nil {
			t.Error("a file without a client")
		}
		expect(t, "the first time", p.come(), "6s PASS NEW C")
		c.Close()
		c = begin()
		expect(t, "after a restart", p.come(), "0s PASS OLD C")
		p.enter("192.0.2.2").leave()
		time.Sleep(61 * time.Second) // as if the process had been killed then
		saved, err := os.ReadFile(file)
		if err != nil || strings.Count(string(saved), "192.0.2.") != 2 {
			t.Errorf("the file: %v\n%s", err, saved)
		}
		log.take()
		time.Sleep(37 * time.Hour)
		if got := log.take(); !strings.Contains(got, "postscreen: cache btree:x full cleanup: retained=0 dropped=2 entries") {
			t.Errorf("log:\n%s", got)
		}
		c.Close()

		for _, damage := range []string{"", "x", string(saved[:len(saved)-3]), strings.Replace(string(saved), "192.0.2.1", "192.0.2.3", 1)} {
			if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
			c = begin()
			if got := log.take(); !strings.Contains(got, "warning: postscreen_cache_map "+file+": not as it was written; starting with an empty allow list") {
				t.Errorf("%q: log:\n%s", damage, got)
			}
			expect(t, "after damage", p.come(), "6s PASS NEW C")
			c.Close()
			log.take()
			c = begin()
			expect(t, "and a new file", p.come(), "0s PASS OLD C")
			c.Close()
		}
	})
}

// A file that cannot be written is tried again, and the list works.
func TestNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "in the way")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		log := newLines()
		p := &place{t: t, log: log, lists: newFakeLists()}
		c := NewClients(ClientsOptions{Log: slog.New(log), File: filepath.Join(dir, "cache")})
		p.open(c, nil)
		p.come()
		time.Sleep(3 * time.Minute)
		if n := strings.Count(log.take(), "the allow list is kept in memory only"); n < 2 {
			t.Errorf("%d warnings", n)
		}
		if got := p.come(); !strings.HasPrefix(got, "0s ") || !strings.Contains(got, "PASS OLD C") {
			t.Errorf("in memory: %q", got)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := os.Stat(filepath.Join(dir, "cache")); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

func TestMakeRoom(t *testing.T) {
	l := allowList{max: 10, entries: map[netip.Addr]stamps{}}
	addr := netip.MustParseAddr("192.0.2.0")
	for i := range int64(100) {
		addr = addr.Next()
		l.put(addr, stamps{i, 1, 1, 1, 1})
		if len(l.entries) > 10 || l.entries[addr][0] != i {
			t.Fatalf("%d entries after %d", len(l.entries), i)
		}
	}
	for addr, s := range l.entries { // all were looked at each time
		if s[0] < 90 {
			t.Errorf("%s, which expires first, is left", addr)
		}
	}
}
