package pebblestore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"aliasmx/queue"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/storetest"
)

// TestModel plays half a million random operations beside a map, with memtables so small
// that most of them are flushed, and reopening; the other half of the million is memstore's.
func TestModel(t *testing.T) {
	runs, steps := 20, 25_000
	if testing.Short() {
		steps = 300
	}
	var played atomic.Int64
	t.Run("runs", func(t *testing.T) {
		for seed := range uint64(runs) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				played.Add(int64(playModel(t, seed, steps)))
			})
		}
	})
	t.Logf("%d steps", played.Load())
	if played.Load() != int64(runs*steps) {
		t.Errorf("%d steps were played, want %d", played.Load(), runs*steps)
	}
}

func playModel(t *testing.T, seed uint64, steps int) int {
	clock := storetest.NewClock(testTime)
	o := pebblestore.Options{
		Dir: "/queue", FS: newDisk(), Now: clock.Now, RecipientLimit: 3,
		InlineLimit: 500, MemTableSize: 1 << (16 + seed%4),
	}
	p := &storetest.Play{Seed: seed, Clock: clock, Store: mustOpen(t, o), Large: 4000}
	p.Reopen = func(s queue.Store) (queue.Store, error) {
		if err := s.Close(); err != nil {
			return s, err
		}
		return mustOpen(t, o), nil
	}
	if err := p.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(steps); err != nil {
		t.Fatal(err)
	}
	return p.Steps()
}
