package sim_test

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/queue"
	"aliasmx/queue/sim"
)

// full runs the sizes that docs/scheduler.md speaks of: minutes in place of seconds.
var full = flag.Bool("minutes", false, "simulate 500,000 and 1,000,000 letters where otherwise fewer are")

// size is how many letters a large scenario has.
func size(usual, inFull int) int {
	if *full {
		return inFull
	}
	return usual
}

// scene is a scenario under way: a queue in a world, in a bubble.
type scene struct {
	*sim.Rig
	t      testing.TB
	world  *sim.World
	store  queue.Store
	params queue.Params
}

// play runs a scenario on a store of its own. What lost mail or broke a cap has failed.
func play(t *testing.T, p queue.Params, build func(w *sim.World), run func(s *scene)) {
	t.Helper()
	playOn(t, func() queue.Store { return sim.NewShelf() }, p, build, run)
}

// playOn runs it on a store of another kind.
func playOn(t *testing.T, open func() queue.Store, p queue.Params, build func(w *sim.World), run func(s *scene)) {
	t.Helper()
	const seed = 1
	synctest.Test(t, func(t *testing.T) {
		store := open()
		w := sim.NewWorld(seed)
		build(w)
		rig, err := sim.Start(sim.Setup{Store: store, World: w, Params: p, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		s := &scene{Rig: rig, t: t, world: w, store: store, params: p}
		run(s)
		s.check()
		if err := rig.Stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
}

// check asks for what holds in every scenario.
func (s *scene) check() {
	s.t.Helper()
	synctest.Wait()
	if lost, err := s.Lost(); err != nil || lost > 0 {
		s.t.Errorf("%d letters lost, %v", lost, err)
	}
	for _, site := range s.world.Sites() {
		limit := s.params.Default.ConcurrencyLimit
		if n := site.Limits.Concurrency; n > 0 {
			limit = n
		}
		if site.Most() > limit {
			s.t.Errorf("%s had %d connections at a time, allowed are %d", site.Name, site.Most(), limit)
		}
	}
	if limit := s.params.ProcessLimit; s.world.Most() > limit {
		s.t.Errorf("%d connections at a time, allowed are %d", s.world.Most(), limit)
	}
}

func (s *scene) feed(t sim.Trace) {
	s.t.Helper()
	if err := s.Feed(t); err != nil {
		s.t.Fatal(err)
	}
}

// until lets time pass until the world is so old.
func (s *scene) until(d time.Duration) {
	time.Sleep(d - s.world.Now())
	synctest.Wait()
}

// settle lets time pass until every letter has arrived, or too much has.
func (s *scene) settle(patience time.Duration) {
	s.t.Helper()
	for end := s.world.Now() + patience; s.world.Now() < end; s.until(s.world.Now() + 10*time.Second) {
		if s.Undelivered() == 0 {
			return
		}
	}
	s.t.Errorf("%d letters have not arrived after %v", s.Undelivered(), patience)
}
