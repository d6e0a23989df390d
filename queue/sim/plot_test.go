package sim_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/queue"
	"aliasmx/queue/sim"
)

var update = flag.Bool("update", false, "draw docs/plots anew")

const plots = "../../docs/plots"

// drawings are the plots of docs/scheduler.md, each from a scenario that is asserted in
// the tests beside.
var drawings = []struct {
	name string
	draw func(t *testing.T) *sim.Plot
}{
	{"window", drawWindow},
	{"deferred", drawDeferred},
	{"beside", drawBeside},
	{"outage", drawOutage},
	{"rate", drawRate},
	{"shares", drawShares},
	{"memory", drawMemory},
}

// TestPlots draws them with -update. Without, it holds docs/scheduler.md against what is
// there: each plot is shown, says what its axes are, and can be read.
func TestPlots(t *testing.T) {
	page, err := os.ReadFile("../../docs/scheduler.md")
	if err != nil && !*update {
		t.Fatal(err)
	}
	for _, d := range drawings {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(plots, d.name+".svg")
			if *update {
				var b bytes.Buffer
				if err := d.draw(t).Draw(&b); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			svg, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wellFormed(t, svg)
			if !strings.Contains(string(page), "(plots/"+d.name+".svg)") {
				t.Errorf("docs/scheduler.md does not show plots/%s.svg", d.name)
			}
		})
	}
}

// wellFormed reads a plot as XML.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDraw(t *testing.T) {
	p := sim.Plot{
		Title: "a < b", X: "time, s", Y: "octets", LogX: true,
		Series: []sim.Series{{Name: "one & two", Points: []sim.Point{{0, 1}, {1, 10_000}, {100, 20_000}}, Steps: true, Dots: true}},
		Marks:  []sim.Mark{{Y: 15_000, Name: "limit"}},
	}
	var b bytes.Buffer
	if err := p.Draw(&b); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.Bytes())
	for _, want := range []string{">a &lt; b<", ">time, s<", ">octets<", ">one &amp; two<", ">limit<", ">20,000<", ">100<", `d="M70.0`, "prefers-color-scheme:dark"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, &b)
		}
	}
	if n := strings.Count(b.String(), "<circle"); n != 2 { // zero has no place on such an axis
		t.Errorf("%d dots", n)
	}
}

// points is a gauge in seconds, counted from a time, with the last second before.
func points(gauge []sim.Level, from, until time.Duration) (points []sim.Point) {
	for _, l := range gauge {
		if at := l.At - from; at >= -time.Second && l.At <= until {
			points = append(points, sim.Point{X: at.Seconds(), Y: float64(l.N)})
		}
	}
	return points
}

func drawWindow(t *testing.T) *sim.Plot {
	const limit, shown = 10, 30 * time.Second
	ours := limiter(t, sim.Defaults(), limit, true)
	theirs := limiter(t, sim.Postfix(), limit, true)
	return &sim.Plot{
		Title: "A host that bears 10 connections: how many are tried",
		X:     "time since the first letter, s", Y: "connections", From: 0, To: shown.Seconds(),
		Series: []sim.Series{
			{Name: "feedback 1 (Postfix's default)", Points: points(theirs.gauge, 0, shown), Steps: true},
			{Name: "feedback 1/4", Points: points(ours.gauge, 0, shown), Steps: true},
		},
		Marks: []sim.Mark{{limit, "what the host bears"}},
	}
}

func drawDeferred(t *testing.T) *sim.Plot {
	share := func(p queue.Params) (points []sim.Point) {
		for _, limit := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18} {
			points = append(points, sim.Point{X: float64(limit), Y: 100 * limiter(t, p, limit, true).deferred})
		}
		return points
	}
	return &sim.Plot{
		Title: "Attempts that a host with a limit of connections refuses",
		X:     "connections the host bears", Y: "refused, % of all attempts",
		Series: []sim.Series{
			{Name: "feedback 1 (Postfix's default)", Points: share(sim.Postfix()), Dots: true},
			{Name: "feedback 1/4", Points: share(sim.Defaults()), Dots: true},
		},
		Marks: []sim.Mark{{25, "demanded: at most 25 %"}},
	}
}

func drawBeside(t *testing.T) *sim.Plot {
	sizes := []int{1000, 10_000, 50_000}
	if *full {
		sizes = append(sizes, 500_000)
	}
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	alone := milliseconds(sim.Quantile(beside(t, nil, 0), 0.99))
	p := &sim.Plot{
		Title: "A healthy site beside one that is not: p99 of the delay",
		X:     "letters for the other site", Y: "p99 of the healthy site, ms", LogX: true,
		Marks: []sim.Mark{{alone * 1.1, "alone + 10 %"}, {alone * 0.9, "alone - 10 %"}},
	}
	for _, n := range neighbours[:2] {
		s := sim.Series{Name: "the other is " + n.name, Dots: true}
		for _, size := range sizes {
			s.Points = append(s.Points, sim.Point{X: float64(size), Y: milliseconds(sim.Quantile(beside(t, &n, size), 0.99))})
		}
		p.Series = append(p.Series, s)
	}
	return p
}

func drawOutage(t *testing.T) *sim.Plot {
	const shown = 20 * time.Second
	site, _, back := outage(t, true)
	bound := sim.Series{Name: "demanded: at most 5 · 2^t"}
	for s := 0.0; s <= 3.5; s += 0.1 {
		bound.Points = append(bound.Points, sim.Point{X: s, Y: float64(slowStart(time.Duration(s * float64(time.Second))))})
	}
	return &sim.Plot{
		Title: "After an outage of six hours: connections to the site",
		X:     "time since the first success, s (a delivery takes one)", Y: "open connections", From: -1, To: shown.Seconds(),
		Series: []sim.Series{
			{Name: "open connections", Points: points(site.Gauge(), back, back+shown), Steps: true},
			bound,
		},
		Marks: []sim.Mark{{20, "default_destination_concurrency_limit"}},
	}
}

func drawRate(t *testing.T) *sim.Plot {
	const rate = 120
	p := provider(t, rate)
	var taken, refused []time.Duration
	for _, try := range p.tries {
		if try.Outcome == sim.Taken {
			taken = append(taken, try.Ended)
		} else {
			refused = append(refused, try.Ended)
		}
	}
	series := func(name string, times []time.Duration) sim.Series {
		s := sim.Series{Name: name, Steps: true}
		for i, n := range sim.PerBin(times, time.Minute, p.end) {
			s.Points = append(s.Points, sim.Point{X: float64(i), Y: float64(n)})
		}
		return s
	}
	return &sim.Plot{
		Title: "A provider that takes 120 letters a minute, while 180 a minute come",
		X:     "time, minutes", Y: "attempts a minute",
		Series: []sim.Series{series("taken", taken), series("refused: 450 4.7.28", refused)},
		Marks:  []sim.Mark{{rate, "the provider's limit"}},
	}
}

func drawShares(t *testing.T) *sim.Plot {
	index, shares := jain(t, 50, 180)
	slices.Sort(shares)
	s := sim.Series{Name: fmt.Sprintf("fifty equal sites; Jain's index %.3f", index), Dots: true}
	for i, n := range shares {
		s.Points = append(s.Points, sim.Point{X: float64(i + 1), Y: n})
	}
	return &sim.Plot{
		Title: "What each site has got when half of all mail was delivered",
		X:     "site, in the order of its share", Y: "letters", Series: []sim.Series{s},
		Marks: []sim.Mark{{90, "an equal share"}},
	}
}

func drawMemory(t *testing.T) *sim.Plot {
	sizes := []int{10_000, 30_000, 100_000}
	if *full {
		sizes = append(sizes, 300_000, 1_000_000)
	}
	s := sim.Series{Name: "the queue without its store", Dots: true}
	for _, n := range sizes {
		s.Points = append(s.Points, sim.Point{X: float64(n), Y: float64(deferredRAM(t, n)) / (1 << 20)})
	}
	return &sim.Plot{
		Title: "Memory with deferred mail for 200 dead sites, the most within two hours",
		X:     "deferred letters", Y: "MiB", LogX: true, Series: []sim.Series{s},
	}
}
