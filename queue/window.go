package queue

import "math"

// How many attempts at once a site bears: the algorithm of Postfix 2.5
// (SCHEDULER_README). Good feedback counts at the end of a run of 1/feedback events,
// bad feedback at its beginning, so that a server that limits its clients is met by
// fewer connections at once and not after the next dozen refusals. Whether the
// site is dead is a separate count: of failed pseudo-cohorts, runs of as many
// failures as the window is wide, without one success between.

// window is one site's concurrency.
type window struct {
	size             int
	success, failure float64 // towards the next step up, left until the next step down
	cohorts          float64 // failed pseudo-cohorts since the last success
}

// Feedback is how much one attempt counts (default_destination_concurrency_positive_feedback):
// Num, or Num divided by the window, or by its square root.
type Feedback struct {
	Num float64
	Per FeedbackPer
}

// FeedbackPer is what a Feedback is divided by.
type FeedbackPer uint8

// The divisors: "1/4", "1/concurrency", "1/sqrt_concurrency" of postconf(5).
const (
	PerNothing FeedbackPer = iota
	PerWindow
	PerRoot
)

func (f Feedback) at(size int) float64 {
	switch f.Per {
	case PerWindow:
		return f.Num / float64(size)
	case PerRoot:
		return f.Num / math.Sqrt(float64(size))
	}
	return f.Num
}

// rounding is how far a sum of feedbacks may miss a whole number: 1/3 three times.
const rounding = 1e-9

// good notes an attempt without trouble, while busy connections are open. A window
// far wider than what is used must not grow: bad feedback would come too late.
func (w *window) good(p *TransportParams, busy, most int) {
	w.cohorts = 0
	if w.size >= busy+p.InitialConcurrency {
		return
	}
	for w.success += p.PositiveFeedback.at(w.size); w.success >= 1-rounding; w.success-- {
		w.size++
		w.failure = 0
	}
	w.limit(most)
}

// bad notes a connection that failed, and tells whether the site is dead.
func (w *window) bad(p *TransportParams) (dead bool) {
	w.cohorts += 1 / float64(w.size)
	if p.FailedCohortLimit > 0 && w.cohorts > p.FailedCohortLimit {
		return true
	}
	for w.failure -= p.NegativeFeedback.at(w.size); w.failure < -rounding; w.failure++ {
		w.size--
		w.success = 0
	}
	w.size = max(w.size, 1)
	return false
}

// halve is for a site that has asked for less mail.
func (w *window) halve() {
	*w = window{size: max(w.size/2, 1)}
}

// limit keeps the window within the settings, also when those have changed.
func (w *window) limit(most int) { w.size = max(1, min(w.size, most)) }
