package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"aliasmx/internal/dnscheck"
)

// dnsFindings writes the findings about one domain or host after the other, and remembers
// which levels there were.
type dnsFindings struct {
	out  io.Writer
	json bool
	has  map[dnscheck.Level]bool
	err  error // of writing, the first
}

func (d *dnsFindings) show(findings []dnscheck.Finding) {
	if d.has == nil {
		d.has = make(map[dnscheck.Level]bool)
	}
	for _, f := range findings {
		d.has[f.Level] = true
		if d.json && d.err == nil {
			d.err = writeJSONLine(d.out, f)
		}
	}
	if d.json || d.err != nil || len(findings) == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintln(&b, printable(findings[0].Domain))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", f.What, f.Level, printable(f.Text))
	}
	table.Flush()
	if lines := toPublish(findings); len(lines) > 0 {
		fmt.Fprintf(&b, "\npublish these:\n\n%s\n", strings.Join(lines, "\n"))
	}
	_, d.err = fmt.Fprintln(d.out, b.String())
}

// toPublish are the records of findings in the syntax of zone files, each once, with the
// policy that belongs to them as a comment.
func toPublish(findings []dnscheck.Finding) (lines []string) {
	for _, f := range findings {
		for _, r := range f.Publish {
			line := printable(r.String())
			if slices.Contains(lines, line) {
				continue
			}
			if r.Replaces {
				lines = append(lines, "; in place of what is there ("+f.What+"):")
			}
			lines = append(lines, line)
		}
		if f.Policy != "" {
			lines = append(lines, "; https://mta-sts."+f.Domain+"/.well-known/mta-sts.txt has to say:")
			for line := range strings.SplitSeq(strings.TrimSpace(f.Policy), "\r\n") {
				lines = append(lines, ";   "+line)
			}
		}
	}
	return lines
}
