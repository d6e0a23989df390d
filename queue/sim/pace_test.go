package sim_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue/sim"
)

// paced is what came of a provider that takes so many letters a minute, with more of them
// coming for an hour, beside a site without limits.
type paced struct {
	tries []sim.Try
	other []time.Duration // delays of the other site's mail
	end   time.Duration
}

func provider(t *testing.T, rate int) (p paced) {
	var site, other *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "provider", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: 500 * time.Millisecond, Spread: 0.2, Rate: rate, Per: time.Minute}},
		}, 20)
		other = w.Add(&sim.Site{
			Name: "other", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: 200 * time.Millisecond, Spread: 0.5}},
		}, 1)
	}, func(s *scene) {
		p.end = time.Hour
		every := time.Minute / time.Duration(rate) * 2 / 3 // half as much again as it takes
		s.feed(sim.Merge(
			sim.Steady("letter", int(p.end/every), every, sim.Domains(site, 20)...),
			sim.Steady("other", 12_000, 300*time.Millisecond, other.Domain(0)),
		))
		p.tries = s.world.Book.Of(site)
		p.other = s.world.Book.Delays("other")
		s.settle(4 * 24 * time.Hour)
	})
	return p
}

func TestRateLimitedProvider(t *testing.T) {
	alone := sim.Quantile(beside(t, nil, 0), 0.99)
	for _, rate := range []int{30, 120, 600} {
		p := provider(t, rate)
		var taken, refused int // after the first ten minutes
		for _, try := range p.tries {
			switch {
			case try.Ended < 10*time.Minute:
			case try.Outcome == sim.Taken:
				taken++
			default:
				refused++
			}
		}
		perMinute := float64(taken) / 50
		share := float64(refused) / float64(taken+refused)
		p99 := sim.Quantile(p.other, 0.99)
		t.Logf("%d a minute allowed: %.1f a minute taken, %.1f %% of the attempts refused; p99 of another site %v, alone %v", rate, perMinute, 100*share, p99, alone)
		if perMinute < 0.7*float64(rate) {
			t.Errorf("only %.1f a minute of %d", perMinute, rate)
		}
		if share > 0.15 {
			t.Errorf("%.1f %% of the attempts were refused", 100*share)
		}
		if p99 > alone*11/10 {
			t.Errorf("another site suffers: p99 %v, alone %v", p99, alone)
		}
	}
}

// TestRateDelay: with default_destination_rate_delay there is one delivery at a time, and
// the pause between two is kept.
func TestRateDelay(t *testing.T) {
	const delay = 3 * time.Second
	for _, domains := range []int{1, 5} {
		var site *sim.Site
		play(t, sim.Defaults(), func(w *sim.World) {
			site = w.Add(&sim.Site{
				Name: "slow", Limits: mail.SiteLimits{RateDelay: delay},
				Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}},
			}, domains)
		}, func(s *scene) {
			s.feed(sim.Backlog("letter", 300, sim.Domains(site, domains)...))
			s.settle(time.Hour)
			tries := s.world.Book.Of(site)
			slices.SortFunc(tries, func(a, b sim.Try) int { return cmp.Compare(a.Began, b.Began) })
			least, most := sim.Always, time.Duration(0)
			for i, try := range tries[1:] {
				least, most = min(least, try.Began-tries[i].Ended), max(most, try.Began-tries[i].Ended)
			}
			t.Logf("%d domains: pauses from %v to %v, at most %d connections", domains, least, most, site.Most())
			if least < delay || most > delay+2*time.Second || site.Most() != 1 {
				t.Errorf("pauses from %v to %v, %d connections at a time", least, most, site.Most())
			}
		})
	}
}

// TestRateOfASite: of a site that may be given a hundred letters a minute, no minute has
// more, and not many less.
func TestRateOfASite(t *testing.T) {
	const rate = 100
	var site *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "bounded", Limits: mail.SiteLimits{Rate: rate, Per: time.Minute},
			Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}},
		}, 5)
	}, func(s *scene) {
		s.feed(sim.Backlog("letter", 1500, sim.Domains(site, 5)...))
		s.settle(time.Hour)
		tries := s.world.Book.Of(site)
		slices.SortFunc(tries, func(a, b sim.Try) int { return cmp.Compare(a.Began, b.Began) })
		most, from := 0, 0
		for i, try := range tries {
			for try.Began-tries[from].Began >= time.Minute {
				from++
			}
			most = max(most, i-from+1)
		}
		took := tries[len(tries)-1].Began - tries[0].Began
		t.Logf("at most %d in any minute, 1,500 in %v", most, took)
		if most > rate || took > 20*time.Minute {
			t.Errorf("%d in a minute, all in %v", most, took)
		}
	})
}
