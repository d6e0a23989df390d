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
		s.feed(sim.Backlog("letter", 200*limit, site.Domain(0)))
		l.end = 100 * time.Second
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

func TestLimiter(t *testing.T) {
	for _, limit := range []int{3, 5, 10, 15} {
		for _, oneEach := range []bool{true, false} {
			l := limiter(t, sim.Defaults(), limit, oneEach)
			least, most := sim.Swing(l.gauge, after(l.tries, 50), l.end)
			t.Logf("limit %d, one each %v: %.1f %% of %d attempts refused; window %d to %d", limit, oneEach, 100*l.deferred, len(l.tries), least, most)
			l = limiter(t, sim.Postfix(), limit, oneEach)
			least, most = sim.Swing(l.gauge, after(l.tries, 50), l.end)
			t.Logf("postfix, one each %v: %.1f %% of %d attempts refused; window %d to %d", oneEach, 100*l.deferred, len(l.tries), least, most)
		}
	}
}
