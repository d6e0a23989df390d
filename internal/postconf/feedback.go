package postconf

import (
	"math"
	"strconv"
	"strings"
)

// Feedback is how much one event moves a concurrency (SCHEDULER_README): Step, or Step
// divided by the concurrency or its square root.
type Feedback struct {
	Step float64 // 0 to 1
	Over FeedbackOver
}

// FeedbackOver is what a step is divided by.
type FeedbackOver uint8

// The divisors: none, "concurrency", "sqrt_concurrency".
const (
	OverNothing FeedbackOver = iota
	OverConcurrency
	OverSqrtConcurrency
)

// Feedback is the value of a parameter such as
// default_destination_concurrency_positive_feedback.
func (c *Config) Feedback(name string) Feedback {
	f, _ := parseFeedback(c.Get(name))
	return f
}

// parseFeedback reads a number, perhaps divided by a number, by the concurrency or by its
// square root. What comes out lies between 0 and 1, as in Postfix, which warns of anything
// else and takes it for 1.
func parseFeedback(s string) (f Feedback, ok bool) {
	over, under, divided := strings.Cut(s, "/")
	step, err := strconv.ParseFloat(trimSpace(over), 64)
	if err != nil {
		return f, false
	}
	switch under = trimSpace(under); {
	case !divided:
		f = Feedback{Step: step}
	case under == "concurrency":
		f = Feedback{step, OverConcurrency}
	case under == "sqrt_concurrency":
		f = Feedback{step, OverSqrtConcurrency}
	default:
		n, err := strconv.ParseFloat(under, 64)
		if err != nil || !(n > 0 && n <= math.MaxInt32) || step < 0 {
			return f, false
		}
		f = Feedback{Step: step / n}
	}
	return f, f.Step >= 0 && f.Step <= 1
}
