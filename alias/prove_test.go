package alias

import (
	"context"
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

// textTable writes a source text and opens it.
func textTable(t testing.TB, dir, name, text string) table.Table {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tb, err := table.Open("texthash:"+path, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// proof is what Prove finds, a line each, sorted: a table in memory has no order.
func proof(r *Resolver, dir string) []string {
	var lines []string
	r.Prove(context.Background(), func(f Finding) bool {
		where := f.Where
		if where == "" {
			where = f.Parameter
		}
		info := ""
		if f.Info {
			info = " (info)"
		}
		lines = append(lines, strings.ReplaceAll(fmt.Sprintf("%s%s | %s | %s | %s", f.Kind, info, where, f.Key, f.Text), dir, "DIR"))
		return true
	})
	slices.Sort(lines)
	return lines
}

// Each thing that can be wrong, as it is told: testdata/prove.golden.
func TestProve(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 80) + "@dest.example"
	first := textTable(t, dir, "first", `good@virt.example      joe@dest.example, bob
postmaster@virt.example good@virt.example
bob                    bob@dest.example
twice@virt.example     one@dest.example
`)
	second := textTable(t, dir, "second", `# the second table
twice@virt.example     two@dest.example
self@virt.example      self@virt.example
both@virt.example      both@virt.example, joe@dest.example
gone@virt.example      nobody@virt.example
gone2@virt.example     nobody@virt.example, none@virt.example
half@virt.example      nobody@virt.example, joe@dest.example
a@virt.example         b@virt.example
b@virt.example         joe@dest.example, c@virt.example
c@virt.example         a@virt.example
into@virt.example      joe@dest.example, a@virt.example
selfloop@virt.example  selfloop2@virt.example, selfloop@virt.example
selfloop2@virt.example selfloop@virt.example, joe@dest.example
deep@virt.example      deep1@virt.example
deep1@virt.example     deep2@virt.example
deep2@virt.example     deep3@virt.example
deep3@virt.example     deep4@virt.example
deep4@virt.example     joe@dest.example
many@virt.example      1@d.example,2@d.example,3@d.example,4@d.example,5@d.example,6@d.example
grow@virt.example      grow+a@virt.example
long@virt.example      `+long+`
empty@virt.example     ,,
odd@virt.example       joe@worse..example, joe@dest.example
relayed@virt.example   known@relay.example, unknown@relay.example
user@virt.example      local@mx.example.com
x@foreign.example      joe@dest.example
"plain"@virt.example   joe@dest.example
"odd user"@virt.example joe@dest.example
joe@virt.example.      joe@dest.example
two words              x
@all.example           @virt.example
@mirror.example        @mirror.example
@catch.example         joe@dest.example
@bad..example          joe@dest.example
-x@virt.example        joe@dest.example
a,b                    joe@dest.example
virt.example           listed in main.cf, too
`)
	remote := fake("socketmap:inet:127.0.0.1:1:x")
	for _, c := range []struct {
		name   string
		tables table.Maps
	}{{"listable", table.Maps{first, second}}, {"with one that cannot be listed", table.Maps{first, second, remote}}} {
		t.Run(c.name, func(t *testing.T) {
			r := newTestResolver(t, nil, func(o *Options) {
				o.VirtualAliasMaps = c.tables
				o.VirtualAliasDomains = domains(t, "virt.example", "!not.example", "all.example", "mirror.example", "catch.example",
					"none.example", "both.example", "texthash:"+filepath.Join(dir, "first"))
				o.MyDestination = domains(t, "localhost", "both.example", "mx.example.com")
				o.RelayDomains = domains(t, "relay.example")
				o.RelayRecipientMaps = table.Maps{fake("fake:relay", "known@relay.example x")}
				o.LocalRecipientMaps = table.Maps{fake("fake:local")}
				o.RecursionLimit, o.ExpansionLimit, o.AddressLengthLimit = 4, 5, 60
				o.RecipientDelimiter = "+"
			})
			got := strings.Join(proof(r, dir), "\n") + "\n"
			golden := "testdata/prove.golden"
			if len(c.tables) > 2 {
				golden = "testdata/prove-opaque.golden"
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s; -update rewrites it. Got:\n%s", golden, got)
			}
		})
	}
}

// A sound configuration gives no finding, but for what it is good to know.
func TestProveSound(t *testing.T) {
	dir := t.TempDir()
	tb := textTable(t, dir, "virtual", `example.org          x
info@example.org     somebody@elsewhere.example
postmaster@example.org info@example.org
list@example.org     info@example.org, list@example.org, else@elsewhere.example
@old.example         @example.org
old.example          x
bücher.example       x
postmaster@xn--bcher-kva.example info@example.org
`)
	r := newTestResolver(t, nil, func(o *Options) {
		o.VirtualAliasMaps = table.Maps{tb}
		o.VirtualAliasDomains = domains(t, tb.Name())
		o.EquateLabels = true
	})
	got := proof(r, dir)
	want := []string{"catch-all (info) | DIR/virtual, line 5 | @old.example | takes every address of old.example that has no entry of its own"}
	// list@ leads to itself beside others: that part of it is returned to the sender.
	want = append([]string{"broken-target | DIR/virtual, line 4 | list@example.org | target list@example.org leads nowhere: " +
		"User unknown in virtual alias table; mail to it is returned to the sender"}, want...)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What refuses mail is found, and what is found as refusing does refuse it: for random
// tables Prove ends and agrees with Expand.
func TestProveAgreesWithExpand(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	refused := []Kind{DeadEnd, SelfAlias, Loop, OverLimit, NoAddress}
	for round := range 1000 {
		var text strings.Builder
		n := 1 + rnd.IntN(12)
		name := func() string {
			if rnd.IntN(6) == 0 {
				return fmt.Sprintf("u%d@dest.example", rnd.IntN(n))
			}
			return fmt.Sprintf("u%d@virt.example", rnd.IntN(n+2))
		}
		for i := range n {
			targets := make([]string, 1+rnd.IntN(3))
			for j := range targets {
				targets[j] = name()
			}
			fmt.Fprintf(&text, "u%d@virt.example %s\n", i, strings.Join(targets, ", "))
		}
		tb := textTable(t, t.TempDir(), "virtual", text.String())
		r := newTestResolver(t, nil, func(o *Options) {
			o.VirtualAliasMaps = table.Maps{tb}
			o.RecursionLimit, o.ExpansionLimit = 30+rnd.IntN(30), 50+rnd.IntN(200)
		})
		found := make(map[string]Kind)
		r.Prove(context.Background(), func(f Finding) bool {
			if slices.Contains(refused, f.Kind) {
				found[f.Key] = f.Kind
			}
			return true
		})
		for i := range n {
			key := fmt.Sprintf("u%d@virt.example", i)
			says := answer(r, address(t, key))
			got := "accepted"
			switch found[key] {
			case DeadEnd, SelfAlias:
				got = "550"
			case Loop, OverLimit:
				got = "451"
			}
			want := "accepted"
			if !strings.Contains(says, "@") {
				want = says[:3]
			}
			if got != want {
				t.Fatalf("seed %d, round %d: %s: Expand says %q, Prove %q\n%s", seed, round, key, says, found[key], text.String())
			}
		}
	}
}

// The proof ends when its caller has enough, and when its time is over.
func TestProveEnds(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "u%d@virt.example nobody@virt.example\n", i)
	}
	tb := textTable(t, dir, "virtual", text.String())
	r := newTestResolver(t, nil, func(o *Options) { o.VirtualAliasMaps = table.Maps{tb, tb} })
	n := 0
	r.Prove(context.Background(), func(Finding) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("%d findings after the third was enough", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var kinds []Kind
	r.Prove(ctx, func(f Finding) bool {
		cancel()
		kinds = append(kinds, f.Kind)
		return true
	})
	if want := []Kind{DeadEnd, Unproven}; !slices.Equal(kinds, want) {
		t.Errorf("got %q, want %q", kinds, want)
	}
}

// A table that fails is told of, and is no reason to call an alias dead.
func TestProveBrokenTable(t *testing.T) {
	dir := t.TempDir()
	tb := textTable(t, dir, "virtual", "a@virt.example gone@virt.example\n")
	broken := fake("hash:/etc/broken")
	broken.broken["gone@virt.example"] = true
	r := newTestResolver(t, nil, func(o *Options) { o.VirtualAliasMaps = table.Maps{tb, broken} })
	for _, line := range proof(r, dir) {
		if !strings.HasPrefix(line, "unproven") && !strings.HasPrefix(line, "postmaster") {
			t.Error(line)
		}
	}
}

// BenchmarkProve goes through an indexed table of 100,000 entries.
func BenchmarkProve(b *testing.B) {
	for _, bad := range []bool{false, true} {
		name := "sound"
		if bad {
			name = "circles"
		}
		b.Run(name, func(b *testing.B) {
			const n = 100_000
			var text strings.Builder
			for i := range n {
				if bad {
					fmt.Fprintf(&text, "user%d@virt.example user%d@virt.example\n", i, i^1)
				} else {
					fmt.Fprintf(&text, "user%d@virt.example user%d@dest.example\n", i, i)
				}
			}
			path := filepath.Join(b.TempDir(), "virtual")
			if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			if err := table.Build("hash:"+path, table.BuildOptions{}); err != nil {
				b.Fatal(err)
			}
			tb, err := table.Open("hash:"+path, table.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer tb.Close()
			r := newTestResolver(b, nil, func(o *Options) { o.VirtualAliasMaps = table.Maps{tb} })
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				r.Prove(context.Background(), func(Finding) bool { found++; return true })
				if want := map[bool]int{false: 1, true: n + 1}[bad]; found != want { // and no postmaster
					b.Fatal(found)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}
