package sim

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
)

// Plot is a diagram, drawn as SVG for light and dark backgrounds.
type Plot struct {
	Title string
	X, Y  string // what the axes show, with units
	// LogX and LogY make an axis logarithmic. Points at or below zero are then left out.
	LogX, LogY bool
	// From and To bound the x axis; both zero: as the data has it.
	From, To float64
	Series   []Series
	Marks    []Mark
}

// Series is one line of a plot.
type Series struct {
	Name   string
	Points []Point
	Steps  bool // a value holds until the next
	Dots   bool // the points themselves are shown
}

// Point is a value.
type Point struct{ X, Y float64 }

// Mark is a horizontal line that says what is demanded.
type Mark struct {
	Y    float64
	Name string
}

// Sizes of a plot in pixels.
const (
	plotWidth, plotHeight         = 760, 360
	left, right, top, below       = 70, 20, 64, 48
	areaWidth, areaHeight         = plotWidth - left - right, plotHeight - top - below
	plotTicks                     = 6
	plotColours                   = 5 // classes c0 to c4
	legendStep, legendAt, titleAt = 16, 44, 22
)

const plotStyle = `text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}.over{stroke:#fff;stroke-width:4;paint-order:stroke}.back{fill:#fff}.grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}.mark{stroke:#57606a;stroke-width:1.5;stroke-dasharray:6 4}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.c0{stroke:#0969da}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}.c3{stroke:#8250df}.c4{stroke:#6e7781}.dot.c0{fill:#0969da}.dot.c1{fill:#bc4c00}.dot.c2{fill:#1a7f37}.dot.c3{fill:#8250df}.dot.c4{fill:#6e7781}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.over{stroke:#0d1117}.back{fill:#0d1117}.grid{stroke:#30363d}.axis,.mark{stroke:#8b949e}.c0{stroke:#58a6ff}.c1{stroke:#f0883e}.c2{stroke:#3fb950}.c3{stroke:#bc8cff}.c4{stroke:#8b949e}.dot.c0{fill:#58a6ff}.dot.c1{fill:#f0883e}.dot.c2{fill:#3fb950}.dot.c3{fill:#bc8cff}.dot.c4{fill:#8b949e}}`

// Draw writes the plot.
func (p *Plot) Draw(w io.Writer) error {
	x, y := p.axes()
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">\n<title>%s</title>\n<style>%s</style>\n",
		plotWidth, plotHeight, html.EscapeString(p.Title), plotStyle)
	fmt.Fprintf(&b, "<rect class=\"back\" width=\"%d\" height=\"%d\"/>\n", plotWidth, plotHeight)
	text(&b, left, titleAt, "start", "title", p.Title)
	for _, t := range x.ticks() {
		at := left + x.at(t)*areaWidth
		fmt.Fprintf(&b, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", at, top, at, top+areaHeight)
		anchor := "middle"
		if x.at(t) > 0.98 {
			anchor, at = "end", at+right-4
		}
		text(&b, at, top+areaHeight+16, anchor, "", label(t))
	}
	for _, t := range y.ticks() {
		at := top + (1-y.at(t))*areaHeight
		fmt.Fprintf(&b, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", left, at, left+areaWidth, at)
		text(&b, left-6, at+4, "end", "", label(t))
	}
	fmt.Fprintf(&b, "<path class=\"axis\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n", left, top, top+areaHeight, left+areaWidth)
	text(&b, left+areaWidth/2, plotHeight-10, "middle", "", p.X)
	fmt.Fprintf(&b, "<g transform=\"translate(16 %d) rotate(-90)\">", top+areaHeight/2)
	text(&b, 0, 0, "middle", "", p.Y)
	b.WriteString("</g>\n")
	for _, m := range p.Marks {
		at := top + (1-y.at(m.Y))*areaHeight
		fmt.Fprintf(&b, "<line class=\"mark\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", left, at, left+areaWidth, at)
	}
	legend := float64(left)
	for i, s := range p.Series {
		class := fmt.Sprintf("c%d", i%plotColours)
		p.line(&b, s, class, x, y)
		fmt.Fprintf(&b, "<line class=\"line %s\" x1=\"%.0f\" y1=\"%d\" x2=\"%.0f\" y2=\"%d\"/>\n", class, legend, legendAt-4, legend+legendStep, legendAt-4)
		text(&b, legend+legendStep+5, legendAt, "start", "", s.Name)
		legend += legendStep + 24 + 6.7*float64(len(s.Name))
	}
	for _, m := range p.Marks { // on top of the lines
		text(&b, left+areaWidth-4, top+(1-y.at(m.Y))*areaHeight-5, "end", "over", m.Name)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plot) line(b *strings.Builder, s Series, class string, x, y axis) {
	var path, dots strings.Builder
	for _, at := range s.Points {
		if !x.shows(at.X) || !y.shows(at.Y) {
			continue
		}
		px, py := left+x.at(at.X)*areaWidth, top+(1-y.at(at.Y))*areaHeight
		switch {
		case path.Len() == 0:
			fmt.Fprintf(&path, "M%.1f %.1f", px, py)
		case s.Steps:
			fmt.Fprintf(&path, "H%.1fV%.1f", px, py)
		default:
			fmt.Fprintf(&path, "L%.1f %.1f", px, py)
		}
		if s.Dots {
			fmt.Fprintf(&dots, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", class, px, py)
		}
	}
	if s.Steps && path.Len() > 0 {
		fmt.Fprintf(&path, "H%.1f", float64(left+areaWidth))
	}
	fmt.Fprintf(b, "<path class=\"line %s\" d=\"%s\"/>\n%s", class, path.String(), dots.String())
}

func text(b *strings.Builder, x, y float64, anchor, class, s string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(b, "<text%s x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", class, x, y, anchor, html.EscapeString(s))
}

// axis maps values to 0 to 1.
type axis struct {
	from, to float64
	log      bool
}

func (p *Plot) axes() (x, y axis) {
	x = axis{math.Inf(1), math.Inf(-1), p.LogX}
	y = axis{0, math.Inf(-1), p.LogY}
	if p.LogY {
		y.from = math.Inf(1)
	}
	if p.From != p.To {
		x.from, x.to = p.From, p.To
	}
	for _, s := range p.Series {
		for _, at := range s.Points {
			if p.From == p.To && (!p.LogX || at.X > 0) {
				x.from, x.to = math.Min(x.from, at.X), math.Max(x.to, at.X)
			}
			if x.shows(at.X) && (!p.LogY || at.Y > 0) {
				y.from, y.to = math.Min(y.from, at.Y), math.Max(y.to, at.Y)
			}
		}
	}
	for _, m := range p.Marks {
		y.from, y.to = math.Min(y.from, m.Y), math.Max(y.to, m.Y)
	}
	if p.LogY {
		y.from, y.to = math.Pow(10, math.Floor(math.Log10(y.from))), math.Pow(10, math.Ceil(math.Log10(y.to)))
	} else {
		y.to += (y.to - y.from) * 0.08
	}
	return x, y
}

func (a axis) shows(v float64) bool {
	return (!a.log || v > 0) && (math.IsInf(a.from, 1) || v >= a.from && v <= a.to)
}

func (a axis) at(v float64) float64 {
	if a.to <= a.from {
		return 0
	}
	if a.log {
		return math.Log(v/a.from) / math.Log(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

// ticks are round values: powers of ten, or steps of 1, 2 or 5.
func (a axis) ticks() (ticks []float64) {
	if a.log {
		for t := math.Pow(10, math.Ceil(math.Log10(a.from)-1e-9)); t <= a.to*1.0001; t *= 10 {
			ticks = append(ticks, t)
		}
		return ticks
	}
	step := math.Pow(10, math.Floor(math.Log10((a.to-a.from)/plotTicks)))
	for _, f := range []float64{2, 2.5, 2} {
		if (a.to-a.from)/step > plotTicks {
			step *= f
		}
	}
	for i := math.Ceil(a.from / step); i*step <= a.to+step/1e6; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

func label(v float64) string {
	if v == 0 {
		return "0" // never -0
	}
	if math.Abs(v) >= 1e4 {
		s := strconv.FormatFloat(v, 'f', 0, 64)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
