package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
)

// faults makes the k-th operation that changes the disk fail, alone or with all that
// follow.
type faults struct {
	at      int64
	onwards bool
	err     error
	count   atomic.Int64
	logSync atomic.Bool // a sync of the log has failed
	hit     atomic.Pointer[string]
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	n := f.count.Add(1)
	if n < f.at || n > f.at && !f.onwards || f.at == 0 {
		return nil
	}
	if isSync(op) && strings.HasSuffix(op.Path, ".log") {
		f.logSync.Store(true)
	}
	text := fmt.Sprintf("%s of %s", opName(op), op.Path)
	f.hit.CompareAndSwap(nil, &text)
	return f.err
}

// TestFaults lets each operation of a small scenario fail, in turn, with an I/O error
// and with a full disk, once and for ever. Nobody is told that his mail is safe after a
// sync of the log has failed; and what a later process finds, on the disk as it was
// synced and on the disk as it was written, is what was acknowledged.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		onwards bool
	}{
		{"input output error", syscall.EIO, false},
		{"input output error from then on", syscall.EIO, true},
		{"disk full", syscall.ENOSPC, false},
		{"disk full from then on", syscall.ENOSPC, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var clean faults
			if fatal := faultScenario(t, &clean); fatal != nil {
				t.Fatalf("without faults: %v", fatal)
			}
			total := clean.count.Load()
			failed := 0
			for k := int64(1); k <= total; k++ {
				f := &faults{at: k, err: tt.err, onwards: tt.onwards}
				if faultScenario(t, f) != nil {
					failed++
				}
				if t.Failed() {
					t.Fatalf("operation %d: %v", k, *f.hit.Load())
				}
			}
			t.Logf("%d operations, the store failed at %d of them", total, failed)
		})
	}
}

// faultScenario works on a queue until it fails or all is done, and checks what it
// leaves. It returns why the store failed.
func faultScenario(t *testing.T, f *faults) error {
	disk, book := vfs.NewCrashableMem(), newLedger()
	rng := rand.New(rand.NewPCG(4, 4))

	// What an earlier process left.
	s, err := pebblestore.Open(crashOptions(disk))
	if err != nil {
		t.Fatal(err)
	}
	(&traffic{ledger: book, store: s, rng: rng, large: 5000}).run(6, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	var failure atomic.Pointer[error]
	log := &logBook{}
	o := crashOptions(errorfs.Wrap(disk, f))
	o.Log = log.logger()
	o.Fatal = func(err error) { failure.Store(&err) }
	s, err = pebblestore.Open(o)
	if err != nil {
		failure.Store(&err)
	} else {
		worker := &traffic{ledger: book, store: s, rng: rng, large: 5000}
		faultTraffic(t, worker, f)
		_ = s.Close()
	}
	for _, percent := range []int{0, 100} {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(5, 5))}
		shot := crash{disk: disk.CrashClone(cfg), then: book.snapshot()}
		if _, err := reopen(t, shot, book); err != nil {
			t.Errorf("%d %% of what was not synced: %v\nlog: %s", percent, err, log)
		}
	}
	if p := failure.Load(); p != nil {
		return *p
	}
	return nil
}

// faultTraffic is the scenario, one step after the other.
func faultTraffic(t *testing.T, w *traffic, f *faults) {
	var applied sync.WaitGroup
	for i := range 8 {
		broken := f.logSync.Load()
		jobs, err := w.send()
		if err == nil && broken {
			t.Error("a message was acknowledged after a failed sync of the log")
		}
		if err != nil && !errors.Is(err, queue.ErrNoSpace) && f.at == 0 {
			t.Errorf("send: %v", err)
		}
		for _, j := range jobs {
			w.attempt(j, &applied)
		}
		if i%2 == 1 {
			more, _, _ := w.store.Claim(context.Background(), "smtp:d1.example", testTime, 2)
			for _, j := range more {
				w.attempt(j, &applied)
			}
		}
	}
	applied.Wait()
}
