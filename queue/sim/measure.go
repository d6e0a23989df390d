package sim

import (
	"slices"
	"time"
)

// Quantile is the smallest delay that a share of all do not exceed; 0 without any.
func Quantile(delays []time.Duration, share float64) time.Duration {
	if len(delays) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(delays))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// Jain is the fairness of shares by Jain's index: 1 when all are equal, 1/n when one has
// everything.
func Jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// Share is how many of the attempts ended in one of the ways.
func Share(tries []Try, ways ...Outcome) float64 {
	n := 0
	for _, t := range tries {
		if slices.Contains(ways, t.Outcome) {
			n++
		}
	}
	if len(tries) == 0 {
		return 0
	}
	return float64(n) / float64(len(tries))
}

// Swing is the least and the most of a gauge from one time to another.
func Swing(gauge []Level, from, until time.Duration) (least, most int) {
	first := true
	see := func(n int) {
		if first {
			least, most, first = n, n, false
		}
		least, most = min(least, n), max(most, n)
	}
	for i, l := range gauge {
		if l.At >= until {
			break
		}
		if l.At >= from || i+1 == len(gauge) || gauge[i+1].At > from {
			see(l.N)
		}
	}
	return least, most
}

// Within is for which share of the time a gauge was from least to most.
func Within(gauge []Level, from, until time.Duration, least, most int) float64 {
	var in time.Duration
	for i, l := range gauge {
		end := until
		if i+1 < len(gauge) {
			end = min(end, gauge[i+1].At)
		}
		if begin := max(l.At, from); end > begin && l.N >= least && l.N <= most {
			in += end - begin
		}
	}
	return float64(in) / float64(until-from)
}

// PerBin counts times in bins of a width, up to an end.
func PerBin(times []time.Duration, width, end time.Duration) []int {
	bins := make([]int, int((end+width-1)/width))
	for _, t := range times {
		if i := int(t / width); t >= 0 && i < len(bins) {
			bins[i]++
		}
	}
	return bins
}
