package pebblestore_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aliasmx/queue"
	"aliasmx/queue/memstore"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// TestModel plays random operations on the store and on a model in memory.
func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			clock := storetest.NewClock(testTime)
			model := memstore.New(memstore.Options{Now: clock.Now, RecipientLimit: 3})
			defer model.Close()
			o := pebblestore.Options{
				Dir: "/queue", FS: vfs.NewMem(), Now: clock.Now, RecipientLimit: 3,
				InlineLimit: 500, MemTableSize: 1 << (10 + seed),
			}
			reopen := func(s queue.Store) queue.Store {
				if err := s.Close(); err != nil {
					t.Fatalf("Close: %v", err)
				}
				return mustOpen(t, o)
			}
			storetest.Compare(t, seed, 1500, clock, model, mustOpen(t, o), reopen)
		})
	}
}
