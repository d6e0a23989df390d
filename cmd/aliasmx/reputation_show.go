package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"aliasmx/internal/admin"
	"aliasmx/internal/postconf"
	"aliasmx/internal/reputation"
)

// reputationCommand shows what a running daemon has counted.
func reputationCommand(args []string, env environ) int {
	var flags struct {
		controlFlags
		JSON  bool   `short:"j" help:"As JSON, one object a line."`
		About string `arg:"" optional:"" name:"alias-or-domain" help:"Only this alias, or this domain."`
	}
	if done, status := parseFlags("reputation", "Show what became of the mail of each alias, and to each destination, in the last 30 days. Those that most is complained of come first.", &flags, args, env); done {
		return status
	}
	return withDaemon("reputation", flags.Config, env, func(ctx context.Context, _ *postconf.Config, c *admin.Client) error {
		var rows []reputation.Row
		if err := c.Reputation(ctx, flags.About, &rows); err != nil {
			return err
		}
		if !flags.JSON {
			return printReputation(env.stdout, rows)
		}
		for _, row := range rows {
			if err := writeJSONLine(env.stdout, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// printReputation writes a table for each kind of rows.
func printReputation(w io.Writer, rows []reputation.Row) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "No mail yet.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	kind := ""
	for _, r := range rows {
		if r.Kind != kind {
			if kind != "" {
				fmt.Fprintln(table)
			}
			kind = r.Kind
			fmt.Fprintf(table, "%s\tin\tdelivered\trefused\t5.7.x\treturned\tcomplaints\trate\n", kind)
		}
		rate := "-"
		if r.Delivered > 0 {
			rate = fmt.Sprintf("%.2f%%", 100*r.Rate)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", cell(r.Name), r.In, r.Delivered, r.Refused, r.Policy, r.Returned, r.Complaints, rate)
	}
	return table.Flush()
}
