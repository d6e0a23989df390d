package pebblestore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"aliasmx/queue/pebblestore"
)

// crash is one state that the disk may be in after a power cut, and what was
// acknowledged before.
type crash struct {
	disk *vfs.MemFS
	then *ledger
	what string
}

// camera takes such states while a store works. It stands in the way of every
// operation of the file system.
type camera struct {
	disk    *vfs.MemFS
	ledger  *ledger
	ops     atomic.Int64 // operations since the last picture
	next    atomic.Int64 // take one at this many
	onlyAt  func(errorfs.Op) bool
	percent []int

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	shots []crash
	limit int
}

func (c *camera) String() string { return "camera" }

// MaybeError implements errorfs.Injector: it never has an error, it takes pictures,
// each before the operation is done.
func (c *camera) MaybeError(op errorfs.Op) error {
	if !c.onlyAt(op) || c.ops.Add(1) != c.next.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shots) == c.limit {
		return nil
	}
	then := c.ledger.snapshot() // before the picture: what is in it must be in the picture
	percent := c.percent[c.rng.IntN(len(c.percent))]
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(c.rng.Uint64(), 1))}
	c.shots = append(c.shots, crash{
		disk: c.disk.CrashClone(cfg),
		then: then,
		what: fmt.Sprintf("before %s of %s, %d %% of what was not synced", opName(op), op.Path, percent),
	})
	c.ops.Store(0)
	c.next.Store(1 + c.rng.Int64N(60))
	return nil
}

func opName(op errorfs.Op) string {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData:
		return "sync"
	case errorfs.OpFileWrite:
		return "write"
	}
	return fmt.Sprintf("operation %d", op.Kind)
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
}

func isWrite(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }

// TestCrash cuts the power at sync boundaries and in between, opens the queue again,
// and holds it against what was acknowledged: nothing lost, nothing altered, nothing
// finished that was not, each failure with its report and each report with its
// failure. The queue found then goes on working, until the next power cut.
func TestCrash(t *testing.T) {
	const lines, generations = 8, 15
	var crashes atomic.Int64
	t.Run("lines", func(t *testing.T) {
		for seed := range uint64(lines) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 99))
				disk, book := vfs.NewCrashableMem(), newLedger()
				for generation := range generations {
					shots, ever := live(t, disk, book, rng, 8)
					var survivors []*ledger
					for _, shot := range shots {
						found, err := reopen(t, shot, ever)
						if err != nil {
							t.Fatalf("seed %d, generation %d, power cut %s: %v", seed, generation, shot.what, err)
						}
						crashes.Add(1)
						survivors = append(survivors, found)
					}
					if k := rng.IntN(len(shots) + 1); k < len(shots) {
						disk, book = shots[k].disk, survivors[k]
					} else {
						disk, book = vfs.NewCrashableMem(), newLedger()
					}
				}
			})
		}
	})
	t.Logf("%d power cuts", crashes.Load())
	if crashes.Load() < 300 {
		t.Errorf("only %d power cuts", crashes.Load())
	}
}

func crashOptions(disk vfs.FS) pebblestore.Options {
	return pebblestore.Options{
		Dir: "/var/queue", FS: disk, InlineLimit: 4000, MemTableSize: 1,
	}
}

// live opens a queue and lets several sessions work on it, and returns some of the
// states its disk went through, opening and closing included.
func live(t *testing.T, disk *vfs.MemFS, book *ledger, rng *rand.Rand, limit int) (shots []crash, ever *ledger) {
	c := &camera{
		disk: disk, ledger: book, limit: limit, percent: []int{0, 30, 70, 100},
		rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), onlyAt: isSync,
	}
	if rng.IntN(2) == 0 {
		c.onlyAt = isWrite
	}
	c.next.Store(1 + rng.Int64N(30))
	o := crashOptions(errorfs.Wrap(disk, c))
	large := 5000
	if rng.IntN(3) == 0 { // much goes through memory, which is flushed meanwhile
		o.InlineLimit, large = 64<<10, 30_000
	}
	log := &logBook{}
	o.Log = log.logger()
	o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	s, err := pebblestore.Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	var sessions sync.WaitGroup
	for range 4 {
		work := &traffic{ledger: book, store: s, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), large: large}
		sessions.Go(func() { work.run(12, nil) })
	}
	sessions.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if text := log.String(); strings.Contains(text, "level=ERROR") {
		t.Errorf("log: %s", text)
	}
	return c.shots, book
}

// reopen opens what is left after a power cut and holds it against the ledger.
func reopen(t *testing.T, shot crash, ever *ledger) (*ledger, error) {
	log := &logBook{}
	o := crashOptions(shot.disk)
	o.Log = log.logger()
	o.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
	s, err := pebblestore.Open(o)
	if err != nil {
		return nil, err
	}
	found, err := verify(s, shot.then, ever)
	if err == nil && s.Stats().Corrupt > 0 {
		err = fmt.Errorf("something is corrupt: %s", log)
	}
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return found, err
}
