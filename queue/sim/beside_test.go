package sim_test

import (
	"fmt"
	"testing"
	"time"

	"aliasmx/queue/sim"
)

// neighbour is what a site suffers from that has a backlog nobody takes.
type neighbour struct {
	name string
	host sim.Host
}

var neighbours = []neighbour{
	{"dead", sim.Host{Down: []sim.Span{{0, sim.Always}}, Timeout: 30 * time.Second}},
	{"crawling", sim.Host{Connect: time.Second, Deliver: time.Minute, Spread: 0.5}},
	{"turning everybody away", sim.Host{Limit: 1, Deliver: 20 * time.Second}},
	{"greylisting", sim.Host{Deliver: time.Second, Greylist: 10 * time.Minute}},
}

// beside is the delays of a healthy site's mail while another site has a backlog.
func beside(t *testing.T, n *neighbour, backlog int) (delays []time.Duration) {
	const letters, every = 8_000, 50 * time.Millisecond
	var healthy *sim.Site
	play(t, sim.Defaults(), func(w *sim.World) {
		healthy = w.Add(&sim.Site{
			Name: "healthy", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: 200 * time.Millisecond, Spread: 0.5}},
		}, 1)
		if n != nil {
			host := n.host
			w.Add(&sim.Site{Name: "ill", Hosts: []*sim.Host{&host}}, 1)
		}
	}, func(s *scene) {
		trace := sim.Steady("healthy", letters, every, healthy.Domain(0))
		if n != nil {
			trace = sim.Merge(sim.Backlog("ill", backlog, "d0.ill.example"), trace)
		}
		s.feed(trace)
		s.until(s.world.Now() + time.Minute)
		delays = s.world.Book.Delays("healthy")
		if len(delays) != letters {
			t.Errorf("%d of %d letters have arrived within a minute", len(delays), letters)
		}
	})
	return delays
}

// TestHealthySiteBesideAnother: whatever another site does with its mail, the p99 of the
// delay to a healthy one stays as it is within a tenth.
func TestHealthySiteBesideAnother(t *testing.T) {
	alone := sim.Quantile(beside(t, nil, 0), 0.99)
	t.Logf("alone: p99 %v", alone)
	for _, n := range neighbours {
		t.Run(n.name, func(t *testing.T) {
			backlog := size(30_000, 500_000)
			p99 := sim.Quantile(beside(t, &n, backlog), 0.99)
			change := 100 * (float64(p99)/float64(alone) - 1)
			t.Logf("%d letters for a site that is %s: p99 %v, %+.1f %%", backlog, n.name, p99, change)
			if change < -10 || change > 10 {
				t.Errorf("p99 of a healthy site: %v alone, %v beside %s", alone, p99, n.name)
			}
		})
	}
}

// TestHealthySiteBesideMany: forty sites crawl, and want more connections than there are.
func TestHealthySiteBesideMany(t *testing.T) {
	var crawling, healthy []*sim.Site
	var alone time.Duration
	for _, ill := range []int{0, 40} {
		play(t, sim.Defaults(), func(w *sim.World) {
			crawling, healthy = nil, nil
			for i := range ill {
				crawling = append(crawling, w.Add(&sim.Site{
					Name: fmt.Sprintf("ill%d", i), Hosts: []*sim.Host{{Deliver: 20 * time.Second, Spread: 0.5}},
				}, 1))
			}
			healthy = append(healthy, w.Add(&sim.Site{
				Name: "healthy", Hosts: []*sim.Host{{Connect: 50 * time.Millisecond, Deliver: 200 * time.Millisecond, Spread: 0.5}},
			}, 1))
		}, func(s *scene) {
			traces := []sim.Trace{sim.Steady("healthy", 1200, 500*time.Millisecond, healthy[0].Domain(0)).After(time.Minute)}
			for _, c := range crawling {
				traces = append(traces, sim.Backlog("ill", 500, c.Domain(0)))
			}
			s.feed(sim.Merge(traces...))
			s.until(s.world.Now() + 5*time.Minute)
			p99 := sim.Quantile(s.world.Book.Delays("healthy"), 0.99)
			if ill == 0 {
				alone = p99
				return
			}
			t.Logf("p99 alone %v, beside %d sites that crawl %v", alone, ill, p99)
			if p99 > 2*time.Second {
				t.Errorf("p99 beside many: %v, alone %v", p99, alone)
			}
		})
	}
}
