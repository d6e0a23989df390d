package alias

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

// Laws of expansion, tried on random tables. A model that knows nothing of expand.go
// says what must come out.
//
// Write step(x) for the addresses that the tables give for x. An address is at rest if
// the tables do not know it, or if it is among its own step. Then, unless a limit is met:
//
//	the targets of x, as a set, are the addresses at rest that can be reached from x
//
// and a limit is met only if there is a way without end that never passes an address
// that leads to itself, or if there are more ways than the limits allow. An address that
// leads to itself stays, and its other targets are followed once. It follows that
// expanding each target again adds nothing and loses nothing: the union of what they lead
// to is the same set. Single targets need not stay what they are: one that leads to itself
// and to others leads to the others again.

// targetsOf is what expand gives, as a sorted set; limit tells that it met one.
func targetsOf(t *testing.T, r *Resolver, x string) (set []string, n int, limit bool) {
	t.Helper()
	got, err := r.expand(context.Background(), splitInternal(x), nil)
	if err != nil {
		if s := mail.StatusOf(err); s.Error() != looping {
			t.Fatalf("%s: %v", x, s)
		}
		return nil, 0, true
	}
	all := map[string]bool{}
	for _, a := range got.targets {
		all[strings.ToLower(a.Internal())] = true
	}
	return slices.Sorted(maps.Keys(all)), len(got.targets), false
}

func propertySeeds(t *testing.T, n uint64, try func(t *testing.T, rnd *rand.Rand, seed uint64)) {
	for seed := range n {
		try(t, rand.New(rand.NewPCG(seed, 7)), seed)
		if t.Failed() {
			return
		}
	}
}

var propertyStarts = []string{"a@virt.example", "b@v2.example", "c+z@v3.example", "zz@virt.example", "h+x+y@v2.example", "a@dest.example"}

// The law of rest, and that expanding again changes nothing.
func TestExpansionRests(t *testing.T) {
	dir := t.TempDir()
	looped, rested, selves := 0, 0, 0
	propertySeeds(t, 400, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		r, m := s.resolver(t, dir, nil), s.model()
		for _, x := range propertyStarts {
			set, n, limit := targetsOf(t, r, x)
			v := m.judge(x)
			switch {
			case v.loops && !limit:
				t.Fatalf("seed %d: %s has a way without end, but leads to %q\n%s", seed, x, set, s)
			case !v.loops && limit && v.ways < r.o.ExpansionLimit:
				t.Fatalf("seed %d: %s meets a limit in %d ways\n%s", seed, x, v.ways, s)
			case limit:
				looped++
				continue
			case !slices.Equal(set, v.rest) || n > r.o.ExpansionLimit:
				t.Fatalf("seed %d: %s leads to %q (%d), want %q\n%s", seed, x, set, n, v.rest, s)
			}
			rested++
			again := map[string]bool{}
			for _, target := range set {
				second, _, limit := targetsOf(t, r, target)
				if limit {
					t.Fatalf("seed %d: %s leads to %s, which meets a limit\n%s", seed, x, target, s)
				}
				if len(second) != 1 || second[0] != target {
					if selves++; !slices.Contains(m.step(target), target) {
						t.Fatalf("seed %d: %s leads to %s, which leads on to %q\n%s", seed, x, target, second, s)
					}
				}
				for _, b := range second {
					again[b] = true
				}
			}
			if union := slices.Sorted(maps.Keys(again)); !slices.Equal(union, set) {
				t.Fatalf("seed %d: %s leads to %q, expanded again to %q\n%s", seed, x, set, union, s)
			}
		}
	})
	if looped < 50 || rested < 500 || selves < 30 {
		t.Errorf("the tables are too tame: %d limits, %d at rest, %d to themselves and on", looped, rested, selves)
	}
}

// Whatever the limits, expansion ends within them: so many questions, targets and bytes.
func TestExpansionWithinLimits(t *testing.T) {
	dir := t.TempDir()
	propertySeeds(t, 200, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		asked := 0
		r := s.resolver(t, dir, func(o *Options) {
			o.RecursionLimit, o.ExpansionLimit, o.AddressLengthLimit = 1+rnd.IntN(20), 1+rnd.IntN(20), 10+rnd.IntN(30)
			o.VirtualAliasMaps = append(table.Maps{counter{&asked}}, o.VirtualAliasMaps...)
		})
		for _, x := range propertyStarts {
			asked = 0
			got, err := r.expand(t.Context(), splitInternal(x), nil)
			const keys = 3 // of an address with an extension
			if asked > keys*r.o.RecursionLimit*r.o.ExpansionLimit {
				t.Fatalf("seed %d: %d lookups for %s\n%s", seed, asked, x, s)
			}
			if err != nil {
				if st := mail.StatusOf(err); st.Error() != looping {
					t.Fatalf("seed %d: %s: %v\n%s", seed, x, st, s)
				}
				continue
			}
			if len(got.targets) == 0 || len(got.targets) > r.o.ExpansionLimit {
				t.Fatalf("seed %d: %s has %d targets\n%s", seed, x, len(got.targets), s)
			}
			for _, a := range got.targets {
				if len(a.Internal()) > r.o.AddressLengthLimit && a.Internal() != x {
					t.Fatalf("seed %d: %s leads to %s\n%s", seed, x, a, s)
				}
			}
		}
	})
}

// counter is an empty table that counts.
type counter struct{ n *int }

func (c counter) Lookup(context.Context, string) (string, bool, error) {
	*c.n++
	return "", false, nil
}
func (c counter) Name() string { return "fake:counter" }
func (c counter) Close() error { return nil }

// The order of entries in a source does not matter, nor do duplicates behind the first.
func TestOrderOfEntries(t *testing.T) {
	dir := t.TempDir()
	propertySeeds(t, 80, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		first := s.resolver(t, dir, nil)
		var other tableSet
		for _, lines := range s.tables {
			mixed := slices.Clone(lines)
			rnd.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			for range rnd.IntN(3) {
				key, _, _ := strings.Cut(mixed[rnd.IntN(len(mixed))], " ")
				mixed = append(mixed, strings.ToUpper(key)+" duplicate@elsewhere.example")
			}
			other.tables = append(other.tables, mixed)
		}
		second := other.resolver(t, dir, nil)
		for _, x := range propertyStarts {
			if a, b := answer(first, splitInternal(x)), answer(second, splitInternal(x)); a != b {
				t.Fatalf("seed %d: %s leads to\n%s\nin another order to\n%s\n%s", seed, x, a, b, s)
			}
		}
	})
}

// The case of an address and of the tables changes nothing but the case of the targets.
func TestCaseOfAddresses(t *testing.T) {
	dir := t.TempDir()
	mix := func(rnd *rand.Rand, text string) string {
		b := []byte(text)
		for i, c := range b {
			if 'a' <= c && c <= 'z' && rnd.IntN(2) == 0 {
				b[i] = c - 'a' + 'A'
			}
		}
		return string(b)
	}
	propertySeeds(t, 80, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		plain := s.resolver(t, dir, nil)
		var other tableSet
		for _, lines := range s.tables {
			var mixed []string
			for _, l := range lines {
				mixed = append(mixed, mix(rnd, l))
			}
			other.tables = append(other.tables, mixed)
		}
		cased := other.resolver(t, dir, nil)
		for _, x := range propertyStarts {
			want := strings.ToLower(answer(plain, splitInternal(x)))
			for _, r := range []*Resolver{plain, cased} {
				y := mix(rnd, x)
				if got := strings.ToLower(answer(r, splitInternal(y))); got != want {
					t.Fatalf("seed %d: %s leads to\n%s\nbut %s to\n%s\n%s", seed, x, want, y, got, s)
				}
			}
		}
	})
}

// U-label and A-label are one domain, whichever form a table or a client writes.
func TestLabelsMeet(t *testing.T) {
	dir := t.TempDir()
	toU := strings.NewReplacer("v2.example", "bücher.example", "v3.example", "straße.example")
	toA := strings.NewReplacer("bücher.example", "xn--bcher-kva.example", "straße.example", "xn--strae-oqa.example")
	change := func(o *Options) {
		o.EquateLabels = true
		o.VirtualAliasDomains = domains(t, "virt.example", "bücher.example", "xn--strae-oqa.example")
	}
	rested := 0
	propertySeeds(t, 400, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		keyIsU := map[string]bool{"bücher": rnd.IntN(2) == 0, "straße": rnd.IntN(2) == 0}
		var other tableSet
		for _, lines := range s.tables {
			var mixed []string
			for _, l := range lines {
				// The keys of one domain have one form, the values any.
				key, value, _ := strings.Cut(toU.Replace(l), " ")
				for label, u := range keyIsU {
					if strings.Contains(key, label) && !u {
						key = toA.Replace(key)
					}
				}
				if rnd.IntN(2) == 0 {
					value = toA.Replace(value)
				}
				mixed = append(mixed, key+" "+value)
			}
			other.tables = append(other.tables, mixed)
		}
		r, m := other.resolver(t, dir, change), s.model()
		for _, x := range propertyStarts {
			v := m.judge(x)
			if v.loops || v.ways*4 > r.o.ExpansionLimit {
				continue
			}
			want := map[string]bool{}
			for _, a := range v.rest {
				want[toA.Replace(toU.Replace(a))] = true
			}
			for _, form := range []string{toU.Replace(x), toA.Replace(toU.Replace(x))} {
				set, _, limit := targetsOf(t, r, form)
				got := map[string]bool{}
				for _, a := range set {
					got[toA.Replace(a)] = true
				}
				if limit || !maps.Equal(got, want) {
					t.Fatalf("seed %d: %s leads to %q (limit %t), want %q\n%s", seed, form, set, limit, v.rest, other)
				}
				rested++
			}
		}
	})
	if rested < 300 {
		t.Errorf("only %d addresses came to rest", rested)
	}
}

// Canonical mapping ends on every table, after so many lookups at most, and what it gives
// is at rest unless the tables go on for ever.
func TestCanonicalEnds(t *testing.T) {
	dir := t.TempDir()
	stuck, rested := 0, 0
	propertySeeds(t, 200, func(t *testing.T, rnd *rand.Rand, seed uint64) {
		s := randomTables(rnd)
		asked := 0
		r := s.resolver(t, dir, func(o *Options) {
			o.CanonicalMaps = append(table.Maps{counter{&asked}}, o.VirtualAliasMaps...)
			o.CanonicalClasses = everywhere
			o.VirtualAliasMaps = nil
		})
		m := s.model()
		for _, x := range propertyStarts {
			asked = 0
			got, err := r.canonical(t.Context(), envelopeRecipient, splitInternal(x), nil)
			if err != nil || asked > 3*maxCanonical {
				t.Fatalf("seed %d: %s: %v after %d lookups\n%s", seed, x, err, asked, s)
			}
			// The first of several addresses counts.
			at, seen := x, map[string]bool{}
			for next := m.step(at); len(next) > 0 && next[0] != at && len(seen) < maxCanonical; next = m.step(at) {
				at = next[0]
				seen[at] = true
				if len(seen) >= maxCanonical {
					break
				}
				if after := m.step(at); len(after) > 0 && after[0] != at && seen[after[0]] {
					at = ""
					break
				}
			}
			if at == "" || len(seen) >= maxCanonical {
				stuck++
				continue
			}
			rested++
			if strings.ToLower(got.Internal()) != at {
				t.Fatalf("seed %d: %s becomes %s, want %s\n%s", seed, x, got, at, s)
			}
		}
	})
	if stuck < 20 || rested < 500 {
		t.Errorf("the tables are too tame: %d without end, %d at rest", stuck, rested)
	}
}
