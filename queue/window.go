package queue

// How many attempts at once a destination bears: the algorithm of Postfix 2.5
// (SCHEDULER_README). Good feedback counts at the end of a run of 1/feedback events,
// bad feedback at its beginning, so that a server that limits its clients is met by
// fewer connections at once and not after the next dozen refusals. Whether the
// destination is dead is a separate count: of failed pseudo-cohorts, runs of as many
// failures as the window is wide, without one success between.

// window is one destination's concurrency.
type window struct {
	size             int
	success, failure float64 // towards the next step up, left until the next step down
	cohorts          float64 // failed pseudo-cohorts since the last success
}

// rounding is how far a sum of feedbacks may miss a whole number: 1/3 three times.
const rounding = 1e-9

func (p *Params) newWindow(transport string) window {
	return window{size: min(p.InitialConcurrency, p.concurrency(transport))}
}

// good notes an attempt without trouble, while busy connections are open. A window
// far wider than what is used must not grow: bad feedback would come too late.
func (w *window) good(p *Params, transport string, busy int) {
	w.cohorts = 0
	if w.size >= busy+p.InitialConcurrency {
		return
	}
	for w.success += p.PositiveFeedback; w.success >= 1-rounding; w.success-- {
		w.size++
		w.failure = 0
	}
	w.limit(p, transport)
}

// bad notes a connection that failed, and tells whether the destination is dead.
func (w *window) bad(p *Params) (dead bool) {
	w.cohorts += 1 / float64(w.size)
	if w.cohorts > p.FailedCohortLimit {
		return true
	}
	for w.failure -= p.NegativeFeedback; w.failure < -rounding; w.failure++ {
		w.size--
		w.success = 0
	}
	w.size = max(w.size, 1)
	return false
}

// limit keeps the window within the settings, also when those have changed.
func (w *window) limit(p *Params, transport string) {
	w.size = max(1, min(w.size, p.concurrency(transport)))
}
