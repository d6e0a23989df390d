package memstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"aliasmx/queue/memstore"
	"aliasmx/queue/storetest"
)

// TestModel plays half a million random operations beside a map; the other half of the
// million is pebblestore's.
func TestModel(t *testing.T) {
	runs, steps := 20, 25_000
	if testing.Short() {
		steps = 1000
	}
	var played atomic.Int64
	t.Run("runs", func(t *testing.T) {
		for seed := range uint64(runs) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				clock := storetest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
				s := memstore.New(memstore.Options{Now: clock.Now, RecipientLimit: 3})
				defer s.Close()
				p := &storetest.Play{Seed: seed, Clock: clock, Store: s, Large: 4000}
				if err := p.Begin(); err != nil {
					t.Fatal(err)
				}
				if err := p.Run(steps); err != nil {
					t.Fatal(err)
				}
				played.Add(int64(p.Steps()))
			})
		}
	})
	t.Logf("%d steps", played.Load())
	if played.Load() != int64(runs*steps) {
		t.Errorf("%d steps were played, want %d", played.Load(), runs*steps)
	}
}
