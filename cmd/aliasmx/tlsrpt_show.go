package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"aliasmx/internal/admin"
	"aliasmx/internal/postconf"
	"aliasmx/internal/tlsrpt"
)

// tlsrptCommand shows what a running daemon has counted for TLS reports.
func tlsrptCommand(args []string, env environ) int {
	var flags struct {
		controlFlags
		JSON   bool   `help:"Counts as JSON, one object a line."`
		Domain string `arg:"" optional:"" help:"Show the report that this domain would get now."`
	}
	if done, status := parseFlags("tlsrpt", "Show how TLS with other domains went since the last reports, or the report for one of them.", &flags, args, env); done {
		return status
	}
	return withDaemon("tlsrpt", flags.Config, env, func(ctx context.Context, _ *postconf.Config, c *admin.Client) error {
		if flags.Domain != "" {
			var doc tlsrpt.Report
			if err := c.TLSReport(ctx, flags.Domain, &doc); err != nil {
				return err
			}
			out := json.NewEncoder(env.stdout)
			out.SetEscapeHTML(false)
			out.SetIndent("", "  ")
			return out.Encode(doc)
		}
		var counts []tlsrpt.Count
		if err := c.TLSReport(ctx, "", &counts); err != nil {
			return err
		}
		if !flags.JSON {
			return printTLSCounts(env.stdout, counts)
		}
		for _, count := range counts {
			if err := writeJSONLine(env.stdout, count); err != nil {
				return err
			}
		}
		return nil
	})
}

// printTLSCounts writes a table.
func printTLSCounts(w io.Writer, counts []tlsrpt.Count) error {
	if len(counts) == 0 {
		_, err := fmt.Fprintln(w, "No sessions yet.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "day\tdomain\treports\tpolicy\tgood\tfailed\tbecause of\n")
	for _, c := range counts {
		if c.Domain == "" {
			c.Domain = "(others)"
		}
		policy := c.Policy
		if c.Of != c.Domain && policy != "" {
			policy += " of " + c.Of
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", c.Day, cell(c.Domain), c.Reports, cell(policy), c.Successes, c.Failures, cell(because(c.Results)))
	}
	return table.Flush()
}

// because lists the results of failures, most frequent first.
func because(results map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(results), func(a, b string) int {
		if results[a] != results[b] {
			return int(min(results[b], 1<<30)) - int(min(results[a], 1<<30))
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, results[name])
	}
	return strings.Join(names, ", ")
}
