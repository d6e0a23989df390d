package pebblestore_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"aliasmx/internal/mail"
	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// estate is what is to be inherited, and what became of it.
type estate struct {
	want map[string]mail.QueueID // of the heir's own mail as well
	// gone is what a next hop has: nobody may give it out again.
	gone map[string]bool
}

// pass is one life of the heir: it delivers something of what is there, and goes on with
// the adoption.
func (e *estate) pass(t *testing.T, disk vfs.FS, rng *rand.Rand, mayDie bool) (mail.Adoption, error) {
	type end struct {
		sofar mail.Adoption
		err   error
	}
	ended := make(chan end, 2)
	go func() {
		sofar, err := e.live(t, disk, rng, func(err error) { // as a process ends: nobody goes on
			if !mayDie {
				t.Errorf("fatal: %v", err)
			}
			ended <- end{err: err}
			select {}
		})
		ended <- end{sofar, err}
	}()
	how := <-ended
	return how.sofar, how.err
}

func (e *estate) live(t *testing.T, disk vfs.FS, rng *rand.Rand, fatal func(error)) (mail.Adoption, error) {
	o := crashOptions(disk)
	o.Now = laterClock
	o.Log, o.Fatal = (&logBook{}).logger(), fatal
	s, err := pebblestore.Open(o)
	if err != nil {
		return mail.Adoption{}, err
	}
	if e != nil && rng.IntN(2) == 0 {
		for text, id := range portrait(t, s) {
			if rng.IntN(3) > 0 {
				continue
			}
			if err := s.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if e.gone[text] {
				t.Errorf("%s is there a second time: %.300s", id, text)
			}
			e.gone[text] = true
		}
	}
	sofar, err := adopt(s, oldDir)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return sofar, err
}

// check opens the heir when all is taken, and wants each message exactly once.
func (e *estate) check(t *testing.T, disk vfs.FS) {
	t.Helper()
	s := openAt(t, disk, "/var/queue", nil)
	got := portrait(t, s)
	for text := range e.gone {
		if id, again := got[text]; again {
			t.Errorf("%s was delivered and is there again: %.300s", id, text)
		}
		got[text] = 0
	}
	if diff := difference(got, e.want); diff != "" {
		t.Error(diff)
	}
	if list, err := storetest.List(s); err != nil {
		t.Error(err)
	} else if err := sameCounts(s, list); err != nil {
		t.Error(err)
	}
	if left := origins(t, s, disk); left > 0 {
		t.Errorf("%d keys of origin are left", left)
	}
}

// checkOld: before the adoption has begun the old node may start, and has all its mail;
// afterwards it may not.
func checkOld(t *testing.T, disk *vfs.MemFS, rng *rand.Rand, want map[string]mail.QueueID) (begun bool) {
	t.Helper()
	clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	o := crashOptions(clone)
	o.Dir, o.Log = oldDir, (&logBook{}).logger()
	s, err := pebblestore.Open(o)
	if err != nil {
		if !strings.Contains(err.Error(), "taken over") {
			t.Errorf("the old node: %v", err)
		}
		return true
	}
	if diff := difference(portrait(t, s), want); diff != "" {
		t.Errorf("the old node starts, and has not its mail: %s", diff)
	}
	_ = s.Close()
	heir := openAt(t, clone, "/var/queue", nil)
	for text, id := range portrait(t, heir) {
		if _, both := want[text]; both {
			t.Errorf("the old node starts, but %s is with its heir", id)
		}
	}
	return false
}

// TestAdoptCrash cuts the power at sync boundaries and other moments of an adoption, goes
// on, cuts it again, while the heir delivers what it has: each message is delivered, or in
// the queue, exactly once, in the state it had.
func TestAdoptCrash(t *testing.T) {
	lines, least := 8, int64(100)
	if testing.Short() {
		lines, least = 2, 25
	}
	var crashes, unbegun atomic.Int64
	t.Run("lines", func(t *testing.T) {
		for seed := range uint64(lines) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 41))
				start := vfs.NewCrashableMem()
				want := variedQueue(t, start, oldDir, uint16(seed%2), rng, 150)
				own := variedQueue(t, start, "/var/queue", 0, rand.New(rand.NewPCG(seed, 42)), 10)
				first := &estate{want: merged(t, own, want), gone: map[string]bool{}}
				crashAdoption(t, start, first, want, rng, 0, &crashes, &unbegun)
			})
		}
	})
	t.Logf("%d power cuts, %d of them before the adoption had begun", crashes.Load(), unbegun.Load())
	if crashes.Load() < least || unbegun.Load() == 0 {
		t.Error("that is too few")
	}
}

// crashAdoption plays one life of the heir, and from each of the states that the disk went
// through another one.
func crashAdoption(t *testing.T, disk *vfs.MemFS, e *estate, old map[string]mail.QueueID, rng *rand.Rand, depth int, crashes, unbegun *atomic.Int64) {
	c := &camera{
		disk: disk, ledger: newLedger(), limit: 14, percent: []int{0, 30, 70, 100},
		rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), onlyAt: isSync,
	}
	if rng.IntN(2) == 0 {
		c.onlyAt = isWrite
	}
	c.next.Store(1 + rng.Int64N(20))
	before := maps.Clone(e.gone)
	// What this life delivers is not known to the states before it: it delivers nothing.
	var idle *estate
	if _, err := idle.pass(t, errorfs.Wrap(disk, c), rng, false); err != nil {
		t.Fatalf("adopt: %v", err)
	}
	e.check(t, disk)
	for i, shot := range c.shots {
		crashes.Add(1)
		if !checkOld(t, shot.disk, rng, old) {
			unbegun.Add(1)
		}
		next := &estate{want: e.want, gone: maps.Clone(before)}
		if depth < 1 && i%3 == 0 {
			crashAdoption(t, shot.disk, next, old, rng, depth+1, crashes, unbegun)
		} else {
			sofar, err := next.pass(t, shot.disk, rng, false)
			if err != nil || !sofar.Whole {
				t.Errorf("adopt again: %+v, %v", sofar, err)
			}
			next.check(t, shot.disk)
		}
		if t.Failed() {
			t.Fatalf("power cut %s", shot.what)
		}
	}
}

// TestAdoptFaults lets operations of an adoption that change the disk fail, one a life, on either
// side. What is found afterwards is whole, and the adoption comes to its end in the next
// life.
func TestAdoptFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		onwards bool
		lives   int64 // a full disk is waited for, so there are fewer
	}{
		{"input output error", syscall.EIO, false, 60},
		{"input output error from then on", syscall.EIO, true, 60},
		{"disk full", syscall.ENOSPC, false, 15},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(4, 4))
			start := vfs.NewCrashableMem()
			want := variedQueue(t, start, oldDir, 1, rng, 60)
			all := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}
			var clean adoptFaults
			disk := start.CrashClone(all)
			var idle *estate
			if _, err := idle.pass(t, errorfs.Wrap(disk, &clean), rng, false); err != nil {
				t.Fatal(err)
			}
			failed := 0
			total := clean.count.Load()
			if testing.Short() {
				tt.lives /= 10
			}
			step := max(total/tt.lives, 1) // with what is left over, other operations at each run
			for k := 1 + rand.Int64N(step); k <= total; k += step {
				f := &adoptFaults{at: k, err: tt.err, onwards: tt.onwards}
				disk := start.CrashClone(all)
				sofar, err := idle.pass(t, errorfs.Wrap(disk, f), rng, true)
				if err != nil {
					failed++
				}
				for _, percent := range []int{0, 100} {
					disk := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
					e := &estate{want: want, gone: map[string]bool{}}
					if again, err := e.pass(t, disk, rng, false); err != nil || !again.Whole {
						t.Errorf("adopt again: %+v, %v", again, err)
					}
					e.check(t, disk)
				}
				if t.Failed() {
					t.Fatalf("operation %d (%v), then %+v, %v", k, *f.hit.Load(), sofar, err)
				}
			}
			t.Logf("%d operations, the adoption failed at %d of them", total, failed)
			if failed == 0 && tt.err != syscall.ENOSPC { // a full disk is waited for, as long as it is
				t.Error("nothing failed")
			}
		})
	}
}

// TestAdoptSickDisk: when the disk of the dead node fails for good, the adoption ends, and
// this queue goes on. The directory stays locked: its database may still be writing.
func TestAdoptSickDisk(t *testing.T) {
	disk := vfs.NewMem()
	want := variedQueue(t, disk, oldDir, 1, rand.New(rand.NewPCG(1, 2)), 150)
	var sick atomic.Bool
	s := openAt(t, errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if sick.Load() && strings.HasPrefix(op.Path, oldDir) && isSync(op) {
			return syscall.EIO
		}
		return nil
	})), "/var/queue", nil)
	sofar, err := s.Adopt(t.Context(), oldDir, func(mail.Adoption, []queue.DestHead) { sick.Store(true) })
	if !errors.Is(err, syscall.EIO) || sofar.Messages == 0 {
		t.Fatalf("adopted %+v, %v", sofar, err)
	}
	if _, err := put(s, rand.New(rand.NewPCG(1, 1)), 100); err != nil {
		t.Errorf("this queue: %v", err)
	}
	sick.Store(false)
	if _, err := adopt(s, oldDir); !errors.Is(err, queue.ErrInUse) {
		t.Errorf("once more: %v", err)
	}
	if len(want) == sofar.Messages {
		t.Error("all was taken")
	}
}

// TestAdoptDamaged: whatever is broken in the old queue, what can be read is taken, what is
// damaged goes to the corrupt queue, and what cannot be read at all is counted and named.
func TestAdoptDamaged(t *testing.T) {
	for name, tt := range map[string]struct {
		small, large func(id mail.QueueID) func(*pebble.Batch)
		file         func([]byte) []byte
		corrupt      int
		left         int
	}{
		"body": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Set(pebblestore.BodyKey(id), []byte("x"), nil) }
		}, corrupt: 1},
		"body gone": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Delete(pebblestore.BodyKey(id), nil) }
		}, corrupt: 1},
		"file":      {file: func(b []byte) []byte { b[7] ^= 1; return b }, corrupt: 1},
		"file cut":  {file: func(b []byte) []byte { return b[:100] }, corrupt: 1},
		"file gone": {file: func([]byte) []byte { return nil }, corrupt: 1},
		"envelope": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Set(pebblestore.MessageKey(id), []byte("x"), nil) }
		}, corrupt: 1},
		"envelope gone": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Delete(pebblestore.MessageKey(id), nil) }
		}, corrupt: 1},
		"envelope of another": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) {
				_ = b.Set(pebblestore.MessageKey(id), pebblestore.EncodeEnvelope(storetest.Envelope(id+1, testTime, "smtp:a")), nil)
			}
		}, corrupt: 1},
		"job": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Set(pebblestore.JobKey(id, 0), []byte("x"), nil) }
		}, corrupt: 1},
		"jobs gone": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) { _ = b.Delete(pebblestore.JobKey(id, 0), nil) }
		}, corrupt: 1},
		"all but the body": {small: func(id mail.QueueID) func(*pebble.Batch) {
			return func(b *pebble.Batch) {
				_ = b.Delete(pebblestore.MessageKey(id), nil)
				_ = b.Delete(pebblestore.JobKey(id, 0), nil)
			}
		}, left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			old := openAt(t, disk, oldDir, nil)
			ids := make(map[int]mail.QueueID)
			for _, size := range []int{10, 20, 9000, 9100} {
				jobs, err := put(old, rand.New(rand.NewPCG(uint64(size), 1)), size)
				if err != nil {
					t.Fatal(err)
				}
				old.Release(jobs)
				ids[size] = jobs[0].ID
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			victim := ids[20]
			if tt.file != nil {
				victim = ids[9000]
				for _, path := range files(t, disk, oldDir+"/big") {
					if strings.HasSuffix(path, victim.String()) {
						rewrite(t, disk, path, tt.file)
					}
				}
			} else {
				pebblestore.Tamper(t, disk, oldDir+"/db", tt.small(victim))
			}
			log := &logBook{}
			s := openAt(t, disk, "/var/queue", func(o *pebblestore.Options) { o.Log = log.logger() })
			sofar, err := adopt(s, oldDir)
			if want := (mail.Adoption{Messages: 3 + tt.corrupt, Corrupt: tt.corrupt, Left: tt.left, Whole: true}); err != nil || sofar != want {
				t.Errorf("adopted %+v, %v; want %+v", sofar, err, want)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), victim.String()) {
				t.Errorf("nobody was told of %s: %s", victim, log)
			}
			list, err := storetest.List(s)
			if err != nil || len(list) != 3+tt.corrupt {
				t.Fatalf("%d messages, %v", len(list), err)
			}
			for _, l := range list {
				if (l.Queue == "corrupt") != (l.ID == victim) {
					t.Errorf("%s is in the %s queue", l.ID, l.Queue)
				}
			}
			if tt.corrupt > 0 {
				if err := s.Remove(t.Context(), victim); err != nil {
					t.Errorf("Remove: %v", err)
				}
			}
		})
	}
}
