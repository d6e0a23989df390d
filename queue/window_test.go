package queue

import "testing"

func TestWindow(t *testing.T) {
	const up, down = '+', '-'
	for _, c := range []struct {
		name   string
		params TransportParams
		events string
		want   int
		dead   bool
	}{
		{"grows at the end of a run", TransportParams{PositiveFeedback: Feedback{Num: 0.25}}, "+++", 5, false},
		{"by one", TransportParams{PositiveFeedback: Feedback{Num: 0.25}}, "++++", 6, false},
		{"a third three times is one", TransportParams{PositiveFeedback: Feedback{Num: 1.0 / 3}}, "+++", 6, false},
		{"up to the limit", TransportParams{PositiveFeedback: Feedback{Num: 1}, ConcurrencyLimit: 7}, "++++++", 7, false},
		{"shrinks at the beginning of a run", TransportParams{NegativeFeedback: Feedback{Num: 0.25}}, "-", 4, false},
		{"and again after its end", TransportParams{NegativeFeedback: Feedback{Num: 0.25}}, "-----", 3, false},
		{"a success between changes nothing", TransportParams{NegativeFeedback: Feedback{Num: 0.25}}, "-+---", 4, false},
		{"one for one, as Postfix", TransportParams{NegativeFeedback: Feedback{Num: 1}}, "--", 3, false},
		{"not below one", TransportParams{NegativeFeedback: Feedback{Num: 1}, FailedCohortLimit: 100}, "--------", 1, false},
		{"dead after two failed cohorts", TransportParams{NegativeFeedback: Feedback{Num: 0.25}, FailedCohortLimit: 2}, "--------", 3, true},
		{"dead with a window of one", TransportParams{InitialConcurrency: 1, FailedCohortLimit: 2}, "---", 1, true},
		{"not when one succeeds", TransportParams{InitialConcurrency: 1, FailedCohortLimit: 2, PositiveFeedback: Feedback{Num: 0.1}}, "--+--", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := fill(c.params)
			w := window{size: p.InitialConcurrency}
			dead := false
			for _, e := range c.events {
				switch e {
				case up:
					w.good(&p, w.size, p.ConcurrencyLimit)
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
	p := fill(TransportParams{PositiveFeedback: Feedback{Num: 1}})
	w := window{size: p.InitialConcurrency}
	for range 50 {
		w.good(&p, 1, p.ConcurrencyLimit)
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
	p := DefaultTransportParams()
	w := window{size: p.InitialConcurrency}
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
		w.good(&p, active, p.ConcurrencyLimit)
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
