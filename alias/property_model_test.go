package alias

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/table"
)

// Random tables, and a model of what they mean: virtual(5) and its expansion as a graph.

// tableSet is random tables: of each, keys and values in the order of the source.
type tableSet struct {
	tables [][]string
	growth bool // an entry may lengthen the address without end
}

var propertyDomains = []string{"virt.example", "v2.example", "v3.example"}

func randomAddress(rnd *rand.Rand, growth bool) string {
	users := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	local := users[rnd.IntN(len(users))]
	if growth && rnd.IntN(6) == 0 {
		local += []string{"+x", "+y"}[rnd.IntN(2)]
	}
	domain := "dest.example"
	if rnd.IntN(4) > 0 {
		domain = propertyDomains[rnd.IntN(len(propertyDomains))]
	}
	return local + "@" + domain
}

func randomTables(rnd *rand.Rand) tableSet {
	s := tableSet{growth: rnd.IntN(3) == 0}
	entries := 1 + rnd.IntN(14)
	used := map[string]bool{}
	for range 1 + rnd.IntN(3) {
		var lines []string
		for range entries {
			key := randomAddress(rnd, s.growth)
			var values []string
			switch rnd.IntN(12) {
			case 0:
				key = "@" + propertyDomains[rnd.IntN(len(propertyDomains))]
			case 1:
				key = "@" + propertyDomains[rnd.IntN(len(propertyDomains))]
				values = []string{"@" + propertyDomains[rnd.IntN(len(propertyDomains))]}
			case 2:
				values = []string{key}
			}
			if values == nil || rnd.IntN(2) == 0 && values[0][0] != '@' {
				for range 1 + rnd.IntN(3) {
					values = append(values, randomAddress(rnd, s.growth))
				}
			}
			id := fmt.Sprint(len(s.tables), key)
			if used[id] {
				continue
			}
			used[id] = true
			lines = append(lines, key+" "+strings.Join(values, ", "))
		}
		s.tables = append(s.tables, lines)
	}
	return s
}

// resolver opens the tables from texts, as postmap and texthash read them.
func (s tableSet) resolver(t *testing.T, dir string, change func(*Options)) *Resolver {
	t.Helper()
	var all table.Maps
	for i, lines := range s.tables {
		file := filepath.Join(dir, fmt.Sprintf("t%d", i))
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		tb, err := table.Open("texthash:"+file, table.Options{Now: standstill})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tb.Close() })
		all = append(all, tb)
	}
	return newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = all
		o.VirtualAliasDomains = domains(t, propertyDomains...)
		o.RecipientDelimiter = "+"
		o.RecursionLimit, o.ExpansionLimit = 60, 100
		if change != nil {
			change(o)
		}
	})
}

// standstill keeps tables from looking at files that the next ones were written to.
func standstill() time.Time { return time.Unix(0, 0) }

func (s tableSet) String() string {
	var b strings.Builder
	for i, lines := range s.tables {
		fmt.Fprintf(&b, "table %d:\n\t%s\n", i, strings.Join(lines, "\n\t"))
	}
	return b.String()
}

// model is virtual(5) said once more, for tables without quotes and bare names.
type model []map[string][]string

func (s tableSet) model() model {
	var m model
	for _, lines := range s.tables {
		entries := map[string][]string{}
		for _, l := range lines {
			key, value, _ := strings.Cut(l, " ")
			if _, dup := entries[strings.ToLower(key)]; !dup {
				entries[strings.ToLower(key)] = strings.Split(strings.ToLower(value), ", ")
			}
		}
		m = append(m, entries)
	}
	return m
}

func (m model) step(x string) []string {
	local, domain, _ := strings.Cut(x, "@")
	bare, ext := local, ""
	if i := strings.IndexByte(local, '+'); i > 0 {
		bare, ext = local[:i], local[i:]
	}
	for _, key := range []struct{ key, ext string }{{x, ""}, {bare + "@" + domain, ext}, {"@" + domain, ""}} {
		for _, entries := range m {
			values, ok := entries[key.key]
			if !ok {
				continue
			}
			var to []string
			for _, v := range values {
				user, at, _ := strings.Cut(v, "@")
				if user == "" {
					user = strings.TrimSuffix(local, key.ext)
				}
				to = append(to, user+key.ext+"@"+at)
			}
			return to
		}
	}
	return nil
}

// verdict is what the model says of an address.
type verdict struct {
	rest  []string // what is at rest, sorted
	ways  int      // how many ways there are, at most
	loops bool     // a way without end
}

const manyWays = 1 << 20

func (m model) judge(x string) verdict {
	v := verdict{}
	steps := map[string][]string{}
	for todo := []string{x}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, known := steps[at]; known {
			continue
		}
		if len(steps) > 400 { // these tables have no more addresses unless they grow
			v.loops = true
			return v
		}
		steps[at] = m.step(at)
		todo = append(todo, steps[at]...)
	}
	ways := map[string]int{}
	const open = -1
	var count func(at string) int
	count = func(at string) int {
		switch n, known := ways[at]; {
		case known && n == open:
			v.loops = true
			return manyWays
		case known:
			return n
		}
		if slices.Contains(steps[at], at) {
			ways[at] = 1
			return 1
		}
		ways[at] = open
		n := 0
		for _, to := range steps[at] {
			n = min(n+count(to), manyWays)
		}
		ways[at] = max(n, 1)
		return ways[at]
	}
	for at, to := range steps {
		v.ways = min(v.ways+count(at), manyWays)
		if len(to) == 0 || slices.Contains(to, at) {
			v.rest = append(v.rest, at)
			for _, other := range to {
				v.ways = min(v.ways+count(other), manyWays)
			}
		}
	}
	slices.Sort(v.rest)
	return v
}
