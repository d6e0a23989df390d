package queue

import "testing"

func TestWindow(t *testing.T) {
	const up, down = '+', '-'
	for _, c := range []struct {
		name   string
		params Params
		events string
		want   int
		dead   bool
	}{
		{"grows at the end of a run", Params{PositiveFeedback: 0.25}, "+++", 5, false},
		{"by one", Params{PositiveFeedback: 0.25}, "++++", 6, false},
		{"a third three times is one", Params{PositiveFeedback: 1.0 / 3}, "+++", 6, false},
		{"up to the limit", Params{PositiveFeedback: 1, DestinationConcurrencyLimit: 7}, "++++++", 7, false},
		{"shrinks at the beginning of a run", Params{NegativeFeedback: 0.25}, "-", 4, false},
		{"and again after its end", Params{NegativeFeedback: 0.25}, "-----", 3, false},
		{"a success between changes nothing", Params{NegativeFeedback: 0.25}, "-+---", 4, false},
		{"one for one, as Postfix", Params{NegativeFeedback: 1}, "--", 3, false},
		{"not below one", Params{NegativeFeedback: 1, FailedCohortLimit: 100}, "--------", 1, false},
		{"dead after two failed cohorts", Params{NegativeFeedback: 0.25, FailedCohortLimit: 2}, "--------", 3, true},
		{"dead with a window of one", Params{InitialConcurrency: 1, FailedCohortLimit: 2}, "---", 1, true},
		{"not when one succeeds", Params{InitialConcurrency: 1, FailedCohortLimit: 2, PositiveFeedback: 0.1}, "--+--", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.params.withDefaults()
			w := p.newWindow("smtp")
			dead := false
			for _, e := range c.events {
				switch e {
				case up:
					w.good(&p, "smtp", w.size)
				case down:
					dead = w.bad(&p)
				}
			}
			if w.size != c.want || dead != c.dead {
				t.Errorf("%s: window %d, dead %v; want %d, %v", c.events, w.size, dead, c.want, c.dead)
			}
		})
	}
}

// A window that is not used must not grow: the news that it is too wide would come
// late.
func TestUnusedWindowDoesNotGrow(t *testing.T) {
	p := Params{PositiveFeedback: 1}.withDefaults()
	w := p.newWindow("smtp")
	for range 50 {
		w.good(&p, "smtp", 1)
	}
	if w.size != 6 {
		t.Errorf("window %d, want 6: one in use and 5 initially", w.size)
	}
}

// TestWindowAtALimiter is the experiment of SCHEDULER_README: a server that answers
// 421 to more than ten connections at once. With a feedback of 1/4, every fifth
// attempt fails in theory.
func TestWindowAtALimiter(t *testing.T) {
	const limit, deliveries = 10, 2000
	p := Params{}.withDefaults()
	w := p.newWindow("smtp")
	active, sent, refused := 0, 0, 0
	for sent < deliveries {
		for active < w.size {
			if active < limit {
				active++
				continue
			}
			refused++
			if w.bad(&p) {
				t.Fatal("dead, while most connections succeed")
			}
		}
		w.good(&p, "smtp", active)
		active--
		sent++
		if sent > 50 && (w.size < limit-1 || w.size > limit+1) {
			t.Fatalf("after %d deliveries: window %d", sent, w.size)
		}
	}
	if share := float64(refused) / float64(sent+refused); share > 0.25 {
		t.Errorf("%.0f %% deferred", 100*share)
	}
}
