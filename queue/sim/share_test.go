package sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"aliasmx/queue/sim"
)

// jain is how fairly equal sites were served when half of their mail was delivered, by
// what each has got.
func jain(t *testing.T, sites, letters int) (index float64, shares []float64) {
	play(t, sim.Defaults(), func(w *sim.World) {
		for i := range sites {
			w.Add(&sim.Site{Name: fmt.Sprintf("s%d", i), Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}}}, 1)
		}
	}, func(s *scene) {
		var traces []sim.Trace
		for _, site := range s.world.Sites() { // not in turn: who came first has no advantage
			traces = append(traces, sim.Backlog("letter", letters, site.Domain(0)))
		}
		s.feed(sim.Merge(traces...))
		s.settle(24 * time.Hour)
		got := map[*sim.Site]float64{}
		for i, try := range s.world.Book.Tries {
			if i >= sites*letters/2 {
				break
			}
			got[try.Site]++
		}
		for _, site := range s.world.Sites() {
			shares = append(shares, got[site])
		}
		index = sim.Jain(shares)
	})
	return index, shares
}

func TestEqualSitesGetEqualShares(t *testing.T) {
	for _, sites := range []int{3, 7, 50, 200} {
		index, shares := jain(t, sites, max(9000/sites, 100))
		t.Logf("%d equal sites: Jain's index %.3f, shares from %.0f to %.0f letters", sites, index, slices.Min(shares), slices.Max(shares))
		if index <= 0.95 {
			t.Errorf("%d equal sites: Jain's index %.3f", sites, index)
		}
	}
}

// TestZipf: among sites with very unequal amounts of mail, those with little are not
// behind those with much.
func TestZipf(t *testing.T) {
	const sites = 300
	play(t, sim.Defaults(), func(w *sim.World) {
		for i := range sites {
			w.Add(&sim.Site{Name: fmt.Sprintf("s%d", i), Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}}}, 1)
		}
	}, func(s *scene) {
		var domains []string
		for _, site := range s.world.Sites() {
			domains = append(domains, site.Domain(0))
		}
		s.feed(sim.Zipf("letter", 20_000, 10*time.Millisecond, 1, 1.2, domains...))
		s.settle(24 * time.Hour)
		worst := time.Duration(0)
		for _, try := range s.world.Book.Tries {
			if try.Site != s.world.Sites()[0] && try.Site != s.world.Sites()[1] {
				worst = max(worst, try.Letter.Delay())
			}
		}
		t.Logf("the worst delay at all sites but the two largest: %v", worst)
		if worst > time.Minute {
			t.Errorf("a letter for a small site waited %v", worst)
		}
	})
}

// TestNewAndDeferred: after an outage, new mail and what was deferred take turns.
func TestNewAndDeferred(t *testing.T) {
	const back = 20 * time.Minute
	var site *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "back", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Down: []sim.Span{{0, back}}}},
		}, 1)
	}, func(s *scene) {
		s.feed(sim.Steady("old", 3000, 300*time.Millisecond, site.Domain(0)))
		s.until(back)
		s.feed(sim.Steady("new", 60_000, 25*time.Millisecond, site.Domain(0)))
		s.settle(24 * time.Hour)
		// From when the window is open until the old ones are through.
		var from time.Duration = -1
		var old, fresh, left int = 0, 0, 3000
		for _, try := range s.world.Book.Of(site) {
			if try.Outcome != sim.Taken {
				continue
			}
			if from < 0 {
				from = try.Ended
			}
			if try.Ended-from >= time.Minute && left > 100 {
				if try.Letter.Kind == "old" {
					old++
				} else {
					fresh++
				}
			}
			if try.Letter.Kind == "old" {
				left--
			}
		}
		t.Logf("while both waited: %d old, %d new", old, fresh)
		if share := float64(old) / float64(old+fresh); old < 500 || share < 0.45 || share > 0.55 {
			t.Errorf("the old ones had %.2f of the deliveries (%d old, %d new)", share, old, fresh)
		}
	})
}

// TestSmallBesideBulk: of letters to many, or large ones, one goes for five others.
func TestSmallBesideBulk(t *testing.T) {
	const each = 4000 // what is loaded as it comes: half of qmgr_message_active_limit
	for _, kind := range []string{"to many", "large"} {
		t.Run(kind, func(t *testing.T) {
			var site *sim.Site
			play(t, sim.Defaults(), func(w *sim.World) {
				site = w.Add(&sim.Site{Name: "both", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}}}, 10)
			}, func(s *scene) {
				bulk := sim.Backlog("bulk", each, sim.Domains(site, 10)...).Sized(300 << 10)
				if kind == "to many" {
					bulk = sim.Trace{}
					for range each / 10 {
						bulk = append(bulk, sim.Arrival{To: sim.Domains(site, 10), Kind: "bulk"})
					}
				}
				s.feed(sim.Merge(bulk, sim.Backlog("small", each, sim.Domains(site, 10)...)))
				s.settle(24 * time.Hour)
				n := map[string]int{}
				for _, try := range s.world.Book.Of(site) {
					if n["small"] < each*9/10 {
						n[try.Letter.Kind]++
					}
				}
				ratio := float64(n["small"]) / float64(max(n["bulk"], 1))
				t.Logf("while both waited: %d small, %d bulk: %.1f to 1", n["small"], n["bulk"], ratio)
				if ratio < 4 || ratio > 6.5 {
					t.Errorf("%.1f small letters to one of bulk", ratio)
				}
			})
		})
	}
}

// TestManyDomainsOfOneProvider: ten thousand domains whose mail goes to the same hosts
// share one window.
func TestManyDomainsOfOneProvider(t *testing.T) {
	domains := 10_000
	var site, other *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{Name: "provider", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}}}, domains)
		other = w.Add(&sim.Site{Name: "other", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}}}, 1)
	}, func(s *scene) {
		s.feed(sim.Merge(
			sim.Backlog("provider", 2*domains, sim.Domains(site, domains)...),
			sim.Steady("other", 500, time.Second, other.Domain(0)),
		))
		s.settle(24 * time.Hour)
		p99 := sim.Quantile(s.world.Book.Delays("other"), 0.99)
		t.Logf("%d domains: at most %d connections; p99 of another site %v", domains, site.Most(), p99)
		if p99 > 2*time.Second {
			t.Errorf("another site's mail waited: p99 %v", p99)
		}
	})
}
