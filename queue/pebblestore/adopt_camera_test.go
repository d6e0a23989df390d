package pebblestore_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Power cuts of an adoption are those of Pebble's strict file system: two stores are on it.

// adoptCut is one state that the disk may be in after a power cut, and what was
// acknowledged before.
type adoptCut struct {
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
	shots []adoptCut
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
	c.shots = append(c.shots, adoptCut{
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

// adoptFaults makes the k-th operation that changes the disk fail, alone or with all that
// follow.
type adoptFaults struct {
	at      int64
	onwards bool
	err     error
	count   atomic.Int64
	hit     atomic.Pointer[string]
}

func (f *adoptFaults) String() string { return "adoptFaults" }

func (f *adoptFaults) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	n := f.count.Add(1)
	if n < f.at || n > f.at && !f.onwards || f.at == 0 {
		return nil
	}
	text := fmt.Sprintf("%s of %s", opName(op), op.Path)
	f.hit.CompareAndSwap(nil, &text)
	return f.err
}
