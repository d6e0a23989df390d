package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Arrival is a letter that comes.
type Arrival struct {
	At   time.Duration
	To   []string // a domain for each recipient
	Size int      // of the body; 0: a few lines
	Kind string
}

// Trace is arrivals in the order of time.
type Trace []Arrival

// Steady is n letters at equal distances, to the domains in turn.
func Steady(kind string, n int, every time.Duration, domains ...string) Trace {
	t := make(Trace, n)
	for i := range t {
		t[i] = Arrival{At: time.Duration(i) * every, To: domains[i%len(domains) : i%len(domains)+1], Kind: kind}
	}
	return t
}

// Backlog is n letters at once, to the domains in turn.
func Backlog(kind string, n int, domains ...string) Trace { return Steady(kind, n, 0, domains...) }

// Zipf is n letters at equal distances to domains of which each has the less mail the
// later it stands: the k-th has 1/k^s of the first's.
func Zipf(kind string, n int, every time.Duration, seed uint64, s float64, domains ...string) Trace {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 2)), s, 1, uint64(len(domains)-1))
	t := make(Trace, n)
	for i := range t {
		k := int(z.Uint64())
		t[i] = Arrival{At: time.Duration(i) * every, To: domains[k : k+1], Kind: kind}
	}
	return t
}

// Sized gives all letters a body of so many bytes.
func (t Trace) Sized(size int) Trace {
	for i := range t {
		t[i].Size = size
	}
	return t
}

// After moves all letters back in time.
func (t Trace) After(d time.Duration) Trace {
	for i := range t {
		t[i].At += d
	}
	return t
}

// Merge is all traces together.
func Merge(traces ...Trace) Trace {
	all := slices.Concat(traces...)
	slices.SortStableFunc(all, func(a, b Arrival) int { return cmp.Compare(a.At, b.At) })
	return all
}

// Domains is n domains of a site.
func Domains(s *Site, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = s.Domain(i)
	}
	return names
}
