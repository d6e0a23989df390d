package sim_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/queue/sim"
)

const lifetime = 5 * 24 * time.Hour // maximal_queue_lifetime

// TestExpiry: mail that nobody takes is given up between its lifetime and one sweep more.
func TestExpiry(t *testing.T) {
	for _, c := range []struct {
		name  string
		host  sim.Host
		sweep time.Duration
	}{
		// At its own next attempt: the longest back-off, with its jitter.
		{"greylisted for ever", sim.Host{Deliver: time.Second, Greylist: sim.Always}, 4400 * time.Second},
		// No pause goes beyond the end, and what sleeps is looked at when it is overdue by
		// maximal_backoff_time.
		{"dead", sim.Host{Down: []sim.Span{{0, sim.Always}}, Timeout: 30 * time.Second}, 4400 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			const letters = 200
			play(t, sim.Defaults(), func(w *sim.World) {
				host := c.host
				w.Add(&sim.Site{Name: "ill", Hosts: []*sim.Host{&host}}, 1)
			}, func(s *scene) {
				s.feed(sim.Steady("letter", letters, 7*time.Minute, "d0.ill.example"))
				s.until(lifetime + 2*24*time.Hour + 12*time.Hour)
				first, last := sim.Always, time.Duration(0)
				for _, l := range s.world.Book.Letters {
					if l.Failed == 0 {
						t.Fatalf("a letter of %v was never given up", l.Sent)
					}
					first, last = min(first, l.Failed-l.Sent), max(last, l.Failed-l.Sent)
				}
				t.Logf("given up after 5 d and %v to %v; %d reports", first-lifetime, last-lifetime, s.world.Book.Reports)
				if first < lifetime || last > lifetime+c.sweep {
					t.Errorf("given up after %v to %v", first, last)
				}
				if s.world.Book.Reports != letters {
					t.Errorf("%d reports about %d letters", s.world.Book.Reports, letters)
				}
			})
		})
	}
}

// heap is how much is in use, and how much of it are stacks.
func heap() (objects, stacks int64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// deferredRAM is how many octets the queue takes, at most, with so much mail for 200
// dead sites: what there is beyond the store when it runs, over two hours of retries.
func deferredRAM(t *testing.T, letters int) (octets int64) {
	const sites = 200 // even the fewest letters fill what is fetched ahead for each
	synctest.Test(t, func(t *testing.T) {
		store := sim.NewShelf()
		w := sim.NewWorld(1)
		w.Book = nil // which grows with every attempt
		hosts := []*sim.Host{{Down: []sim.Span{{0, sim.Always}}, Timeout: 30 * time.Second}}
		for i := range sites {
			w.Add(&sim.Site{Name: fmt.Sprintf("s%d", i), Hosts: hosts}, 1)
		}
		for i := range letters {
			if err := sim.Shelve(store, w.Sites()[i%sites].Domain(0)); err != nil {
				t.Fatal(err)
			}
		}
		before, stacks := heap()
		before -= store.Octets()
		rig, err := sim.Start(sim.Setup{Store: store, World: w, Params: sim.Defaults(), Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			now, nowStacks := heap()
			octets = max(octets, now-store.Octets()-before+nowStacks-stacks)
		}
		if err := rig.Stop(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return octets
}

func TestMemoryIsFlatOverDeferred(t *testing.T) {
	few := deferredRAM(t, 10_000)
	many := size(100_000, 1_000_000)
	more := deferredRAM(t, many)
	t.Logf("10000 deferred: %.1f MiB; %d deferred: %.1f MiB", float64(few)/(1<<20), many, float64(more)/(1<<20))
	// Ten times as much would be seven MiB more; stacks of goroutines that have ended come
	// and go, the more the busier the machine is.
	if more > few+6<<20 {
		t.Errorf("%d octets with 10,000 deferred, %d with %d", few, more, many)
	}
}
