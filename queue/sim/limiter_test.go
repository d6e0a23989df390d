package sim_test

import (
	"testing"
	"time"

	"aliasmx/queue"
	"aliasmx/queue/sim"
)

// limited is what came of a backlog for a host that bears only so many connections. It
// ends before what was refused is tried again: until then the host is always busy.
type limited struct {
	gauge    []sim.Level
	tries    []sim.Try
	deferred float64
	end      time.Duration
}

func limiter(t *testing.T, p queue.Params, limit int, oneEach bool) (l limited) {
	var site *sim.Site
	play(t, p, func(w *sim.World) {
		site = w.Add(&sim.Site{
			Name: "limiter", OneEach: oneEach,
			Hosts: []*sim.Host{{Limit: limit, Connect: 50 * time.Millisecond, Deliver: time.Second, Spread: 0.2}},
		}, 1)
	}, func(s *scene) {
		s.feed(sim.Backlog("letter", 500*limit, site.Domain(0)))
		l.end = 250 * time.Second
		s.until(l.end)
		l.tries = s.world.Book.Of(site)
		l.deferred = sim.Share(l.tries, sim.Turned)
		l.gauge = site.Gauge()
		s.settle(24 * time.Hour)
		if most := site.Hosts[0].Most(); most > limit {
			t.Errorf("the host had %d connections of %d: the model is broken", most, limit)
		}
	})
	return l
}

// after is when the n-th letter had been taken.
func after(tries []sim.Try, n int) time.Duration {
	for _, t := range tries {
		if t.Outcome == sim.Taken {
			if n--; n == 0 {
				return t.Ended
			}
		}
	}
	return sim.Always
}

// TestLimiter: at a host with a limit of connections, the window finds the limit within
// fifty deliveries and stays within one of it, and no more than a quarter of the attempts
// is refused. Postfix's own feedback has half of them refused (SCHEDULER_README), which
// proves the model.
func TestLimiter(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 5, 10, 15} {
		for _, oneEach := range []bool{true, false} {
			l := limiter(t, sim.Defaults(), limit, oneEach)
			found := after(l.tries, 50)
			within := sim.Within(l.gauge, found, l.end, limit-1, limit+1)
			least, most := sim.Swing(l.gauge, found, l.end)
			t.Logf("limit %d, one letter each %v: %.1f %% of %d attempts refused; from %v on %d to %d connections, within one of the limit for %.1f %% of the time",
				limit, oneEach, 100*l.deferred, len(l.tries), found, least, most, 100*within)
			if l.deferred > 0.25 {
				t.Errorf("limit %d, one letter each %v: %.1f %% of the attempts were refused", limit, oneEach, 100*l.deferred)
			}
			if within < 0.95 {
				t.Errorf("limit %d, one letter each %v: the window was within one of the limit for %.1f %% of the time", limit, oneEach, 100*within)
			}
		}
	}
	theirs := limiter(t, sim.Postfix(), 10, true)
	t.Logf("limit 10, by Postfix's feedback: %.1f %% of %d attempts refused", 100*theirs.deferred, len(theirs.tries))
	if theirs.deferred < 0.47 || theirs.deferred > 0.53 {
		t.Errorf("by Postfix's feedback %.1f %% were refused; its authors found 49.7 %%", 100*theirs.deferred)
	}
}
