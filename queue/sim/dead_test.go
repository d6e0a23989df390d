package sim_test

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/queue/sim"
)

// backoff is the pause after the n-th death in a row, without jitter.
func backoff(n int) time.Duration {
	d := 300 * time.Second
	for range n {
		d = min(2*d, 4000*time.Second)
	}
	return d
}

// TestDeadSite: a site that is not there gets one probe per back-off, however much mail
// there is for it.
func TestDeadSite(t *testing.T) {
	const timeout = 30 * time.Second
	for _, domains := range []int{1, 50} {
		var site *sim.Site
		play(t, sim.Defaults(), func(w *sim.World) {
			site = w.Add(&sim.Site{
				Name: "dead", Hosts: []*sim.Host{{Down: []sim.Span{{0, sim.Always}}, Timeout: timeout}},
			}, domains)
		}, func(s *scene) {
			s.feed(sim.Merge(
				sim.Backlog("letter", 2000, sim.Domains(site, domains)...),
				sim.Steady("letter", 24*60, time.Minute, sim.Domains(site, domains)...),
			))
			tries := s.world.Book.Of(site)
			slices.SortFunc(tries, func(a, b sim.Try) int { return cmp.Compare(a.Began, b.Began) })
			var last time.Duration // when the attempts that found out ended
			n := 0
			for _, try := range tries {
				if n == 0 && try.Began-last < 200*time.Second {
					last = try.Ended - timeout // the site was dead before the last of these ended
					continue
				}
				if pause := try.Began - last; pause < backoff(n)*9/10 {
					t.Errorf("%d domains: probe %d came %v after the one before, not %v", domains, n+1, pause, backoff(n))
				}
				last = try.Ended
				n++
			}
			t.Logf("%d domains: %d attempts in 24 h, %d of them probes", domains, len(tries), n)
			if most := int(24*time.Hour/(4000*time.Second*9/10)) + 6; n > most || n < 15 {
				t.Errorf("%d domains: %d probes in 24 h, %d at most", domains, n, most)
			}
		})
	}
}

// outage plays six hours without a site, with a letter a second.
func outage(t *testing.T, oneEach bool) (site *sim.Site, tries []sim.Try, back time.Duration) {
	const from, until = time.Hour, 7 * time.Hour
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "away", OneEach: oneEach,
			Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.1, Down: []sim.Span{{from, until}}, Timeout: 10 * time.Second}},
		}, 1)
	}, func(s *scene) {
		s.feed(sim.Steady("letter", 9*3600, time.Second, site.Domain(0)))
		s.settle(24 * time.Hour)
		tries = s.world.Book.Of(site)
		for _, try := range tries {
			if try.Ended > until && try.Outcome == sim.Taken {
				back = try.Ended
				break
			}
		}
	})
	return site, tries, back
}

// slowStart is how many connections a site may have at most, so long after its first
// success: as many as at first, twice as many with each second, which is how long its
// fastest delivery takes.
func slowStart(after time.Duration) int {
	return int(5 * math.Exp2(min(after.Seconds()/0.94, 20)))
}

// TestAfterAnOutage: when a site is back, connections to it begin with as many as at first
// and grow no faster than twofold with each delivery's time.
func TestAfterAnOutage(t *testing.T) {
	for _, oneEach := range []bool{true, false} {
		site, tries, back := outage(t, oneEach)
		var after []time.Duration
		for _, l := range site.Gauge() {
			if l.At >= back && l.N > slowStart(l.At-back) {
				t.Errorf("one each %v: %d connections %v after the first success, %d at most", oneEach, l.N, l.At-back, slowStart(l.At-back))
			}
		}
		for _, try := range tries {
			if try.Use == 1 {
				after = append(after, try.Began-back)
			}
		}
		begun := sim.PerBin(after, 940*time.Millisecond, 15*time.Second)
		t.Logf("one each %v: back after %v; connections begun in the time of each delivery: %v", oneEach, back, begun)
		for i, n := range begun {
			if most := slowStart(time.Duration(i+1) * 940 * time.Millisecond); n > most {
				t.Errorf("%d connections begun in the %d. delivery's time, %d at most", n, i+1, most)
			}
		}
	}
}

// TestBacklogAfterSuccess: with the first success all that waited because of the site is
// delivered, in the order in which it was due, without waiting until it is.
func TestBacklogAfterSuccess(t *testing.T) {
	const letters, back = 3000, 40 * time.Minute
	due := map[mail.QueueID]time.Time{}
	var site *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "back", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: time.Second, Down: []sim.Span{{0, back}}}},
		}, 1)
	}, func(s *scene) {
		s.store.(*sim.Shelf).Deferred = func(id mail.QueueID, at time.Time) { due[id] = at }
		s.feed(sim.Steady("letter", letters, 700*time.Millisecond, site.Domain(0)))
		s.settle(24 * time.Hour)
		var order []sim.Try
		for _, try := range s.world.Book.Of(site) {
			if try.Outcome == sim.Taken {
				order = append(order, try)
			}
		}
		slices.SortFunc(order, func(a, b sim.Try) int { return cmp.Compare(a.Began, b.Began) })
		took := order[len(order)-1].Ended - order[0].Ended
		t.Logf("%d letters within %v after the first", len(order), took)
		if most := letters/20*1100*time.Millisecond + 40*time.Second; took > most {
			t.Errorf("the backlog took %v, %v at most", took, most)
		}
		byDue := slices.Clone(order)
		slices.SortStableFunc(byDue, func(a, b sim.Try) int { return due[a.Letter.ID].Compare(due[b.Letter.ID]) })
		place := map[mail.QueueID]int{}
		for i, try := range byDue {
			place[try.Letter.ID] = i
		}
		worst := 0
		for i, try := range order[1:] { // the first was the probe
			worst = max(worst, i+1-place[try.Letter.ID], place[try.Letter.ID]-i-1)
		}
		t.Logf("no letter was more than %d places from where its due time has it", worst)
		if worst > 64 {
			t.Errorf("a letter was %d places from where its due time has it", worst)
		}
	})
}

// oneBad plays four hours of mail for four hosts behind a balancer, one of which is dead, and
// tells for how long nothing was tried, and the share that was deferred.
func oneBad(t *testing.T, postfix, oneEach bool) (idle time.Duration, deferred float64) {
	p := sim.Defaults()
	if postfix {
		p = sim.Postfix()
	}
	var site *sim.Site
	play(t, p, func(w *sim.World) {
		host := func(down ...sim.Span) *sim.Host {
			return &sim.Host{Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2, Down: down, Timeout: time.Second}
		}
		site = w.Add(&sim.Site{
			Name: "balanced", OneEach: oneEach, Hosts: []*sim.Host{host(), host(), host(), host(sim.Span{From: 0, Until: sim.Always})},
		}, 1)
	}, func(s *scene) {
		s.feed(sim.Steady("letter", 4*3600, time.Second, site.Domain(0)))
		tries := s.world.Book.Of(site)
		for i, try := range tries[1:] {
			if pause := try.Ended - tries[i].Ended; pause > 30*time.Second {
				idle += pause
			}
		}
		deferred = sim.Share(tries, sim.Unreachable)
		s.settle(24 * time.Hour)
	})
	return idle, deferred
}

func TestOneBadOfFour(t *testing.T) {
	for _, oneEach := range []bool{true, false} {
		idle, deferred := oneBad(t, false, oneEach)
		theirs, share := oneBad(t, true, oneEach)
		t.Logf("one each %v: nothing tried for %v of four hours, %.1f %% deferred; by Postfix's feedback %v, %.1f %%", oneEach, idle, 100*deferred, theirs, 100*share)
		if idle > 0 {
			t.Errorf("one each %v: one bad host of four stopped all mail for %v", oneEach, idle)
		}
		if oneEach && theirs == 0 {
			t.Error("Postfix's feedback survives it too: the scenario proves nothing")
		}
	}
}
