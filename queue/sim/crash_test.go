package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"aliasmx/queue"
	"aliasmx/queue/memstore"
	"aliasmx/queue/pebblestore"
	"aliasmx/queue/sim"
)

// fuse cuts the power at one of the next operations of the disk, between one and the
// other, and keeps what is on the disk then.
type fuse struct {
	world *sim.World
	disk  *vfs.MemFS

	mu   sync.Mutex // guards what follows
	rng  *rand.Rand
	left int        // operations until it blows; 0: never
	then *vfs.MemFS // the disk after the power cut
}

func (f *fuse) String() string { return "fuse" }

// light sets the fuse.
func (f *fuse) light() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = 1 + f.rng.IntN(60)
}

// MaybeError implements errorfs.Injector.
func (f *fuse) MaybeError(errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return nil
	}
	if f.left--; f.left == 0 {
		f.world.Crash() // before the picture: what was acknowledged until then must be in it
		f.then = f.disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: []int{0, 30, 70, 100}[f.rng.IntN(4)],
			RNG:                 rand.New(rand.NewPCG(f.rng.Uint64(), 1)),
		})
	}
	return nil
}

// out puts the fuse out. If it has blown, it returns the disk.
func (f *fuse) out() *vfs.MemFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = 0
	return f.then
}

// wildWorld has a site of every kind, and some with several troubles.
func wildWorld(w *sim.World) (domains []string) {
	usual := sim.Host{Connect: 50 * time.Millisecond, Deliver: 500 * time.Millisecond, Spread: 0.5}
	add := func(name string, n int, change ...func(h *sim.Host)) {
		site := &sim.Site{Name: name, Sessions: 1 + len(change)/2}
		for i := range max(len(change), 1) {
			host := usual
			if len(change) > 0 {
				change[i](&host)
			}
			site.Hosts = append(site.Hosts, &host)
		}
		domains = append(domains, sim.Domains(w.Add(site, n), n)...)
	}
	fine := func(*sim.Host) {}
	down := func(h *sim.Host) { h.Down, h.Timeout = []sim.Span{{0, sim.Always}}, 30*time.Second }
	add("healthy", 3)
	add("limiter", 3, func(h *sim.Host) { h.Limit = 3 })
	add("greylister", 3, func(h *sim.Host) { h.Greylist = 5 * time.Minute })
	add("slow", 2, func(h *sim.Host) { h.Speed = 2000 })
	add("crawling", 2, func(h *sim.Host) { h.Deliver = time.Minute })
	add("balanced", 2, fine, fine, fine, down)
	add("away", 3, func(h *sim.Host) { h.Down = []sim.Span{{2 * time.Hour, 8 * time.Hour}} })
	add("rate", 3, func(h *sim.Host) { h.Rate, h.Per = 6, time.Minute })
	add("strict", 2, func(h *sim.Host) { h.Reject = 0.3 })
	add("dead", 2, down)
	add("worst", 2, func(h *sim.Host) {
		h.Limit, h.Greylist, h.Reject, h.Rate, h.Per = 2, time.Minute, 0.1, 20, time.Minute
		h.Down = []sim.Span{{time.Hour, 2 * time.Hour}, {5 * time.Hour, 6 * time.Hour}}
	})
	return domains
}

// wildTrace is mail for all of it, most of it for some: single letters, and every so often
// one to all, with a body that has a file of its own.
func wildTrace(letters int, every time.Duration, seed uint64, domains []string) sim.Trace {
	trace := sim.Zipf("letter", letters, every, seed, 1.1, domains...).Sized(3000)
	for i := 0; i < len(trace); i += 40 {
		trace[i].To, trace[i].Size = domains, 200_000
	}
	return trace
}

// TestNothingIsLost: in the wild world every letter arrives, or its sender knows that it has
// not, and nobody gets one twice. On the store that is the reference, and on the one that
// the other scenarios are played on.
func TestNothingIsLost(t *testing.T) {
	for name, open := range map[string]func() queue.Store{
		"memstore": func() queue.Store { return memstore.New(memstore.Options{}) },
		"shelf":    func() queue.Store { return sim.NewShelf() },
	} {
		t.Run(name, func(t *testing.T) {
			var domains []string
			playOn(t, open, sim.Defaults(), func(w *sim.World) { domains = wildWorld(w) }, func(s *scene) {
				s.feed(wildTrace(1000, 30*time.Second, 1, domains))
				s.settle(8 * 24 * time.Hour)
				failed := 0
				for id, l := range s.world.Book.Letters {
					if l.Twice > 0 {
						t.Errorf("%s was delivered twice", id)
					}
					if !l.Done() {
						failed++
					}
				}
				t.Logf("%d letters, %d not delivered to all and reported, %d attempts", len(s.world.Book.Letters), failed, len(s.world.Book.Tries))
				if failed == 0 || failed > 300 {
					t.Errorf("%d letters have failed", failed)
				}
			})
		})
	}
}

// TestNothingIsLostInCrashes: a wild world, mail for all of it, a real store on a disk in
// memory, and a power cut every half hour, at any operation of the disk. In the end every
// letter that was acknowledged has arrived, or its sender knows that it has not.
func TestNothingIsLostInCrashes(t *testing.T) {
	for seed := range uint64(size(2, 20)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crashes(t, seed) })
		})
	}
}

func crashes(t *testing.T, seed uint64) {
	const letters, every = 1200, 30 * time.Second
	rng := rand.New(rand.NewPCG(seed, 4))
	w := sim.NewWorld(seed)
	domains := wildWorld(w)
	trace := wildTrace(letters, every, seed, domains)
	disk := vfs.NewCrashableMem()
	for from := 0; ; {
		f := &fuse{world: w, disk: disk, rng: rand.New(rand.NewPCG(rng.Uint64(), 5))}
		store, err := pebblestore.Open(pebblestore.Options{
			Dir: "/queue", FS: errorfs.Wrap(disk, f), MemTableSize: 1,
			Fatal: func(err error) { t.Errorf("fatal: %v", err) },
		})
		if err != nil {
			t.Fatalf("seed %d: after %d power cuts: %v", seed, w.Crashes(), err)
		}
		s := open(t, store, w, seed)
		var cut *time.Timer
		if from < letters {
			cut = time.AfterFunc(time.Duration(10+rng.IntN(40))*time.Minute, f.light)
		}
		n, err := s.FeedFrom(0, trace[from:])
		from += n
		if errors.Is(err, sim.ErrCrashed) {
			from++
		} else if err != nil {
			t.Fatal(err)
		}
		if cut != nil {
			cut.Stop()
		}
		if then := f.out(); then != nil {
			if err := errors.Join(s.Stop(), store.Close()); err != nil {
				t.Error(err)
			}
			disk = then
			continue
		}
		s.settle(8 * 24 * time.Hour)
		s.check()
		if err := errors.Join(s.Stop(), store.Close()); err != nil {
			t.Error(err)
		}
		break
	}
	twice, failed := 0, 0
	for _, l := range w.Book.Letters {
		twice += l.Twice
		if !l.Done() {
			failed++
		}
	}
	t.Logf("%d power cuts, %d letters, %d not delivered to all and reported, %d recipients had one twice", w.Crashes(), len(w.Book.Letters), failed, twice)
	if w.Crashes() < 8 {
		t.Errorf("only %d power cuts", w.Crashes())
	}
	// Twice is what was under way when the power went, and no more.
	if most := w.Crashes() * 10; twice > most {
		t.Errorf("seed %d: %d recipients got a letter twice", seed, twice)
	}
}

// open runs a queue that crashes.
func open(t *testing.T, store queue.Store, w *sim.World, seed uint64) *scene {
	t.Helper()
	p := sim.Defaults()
	rig, err := sim.Start(sim.Setup{Store: store, World: w, Params: p, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return &scene{Rig: rig, t: t, world: w, store: store, params: p}
}
