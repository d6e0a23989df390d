package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aliasmx/internal/admin"
	"aliasmx/internal/mail"
	"aliasmx/queue"
)

// The destinations of `aliasmx status`.

// busyDestinations are those that something is to be said of, in their order, at most
// admin.StatusDestinations.
func busyDestinations(all []queue.DestStatus, held []mail.HeldDest) (list []admin.Destination) {
	for _, d := range all {
		name := strings.ToLower(string(d.Dest))
		isHeld := slices.ContainsFunc(held, func(h mail.HeldDest) bool {
			return string(h.Dest) == name || string(h.Dest) == mail.Dest(name).NextHop()
		})
		idle := d.Waiting == 0 && d.Attempts == 0 && d.Connections == 0 && d.Reason == "" && d.Spacing == 0
		if idle && !isHeld {
			continue
		}
		if len(list) == admin.StatusDestinations {
			break
		}
		list = append(list, admin.Destination{
			Name: string(d.Dest), Site: d.Site,
			Waiting: d.Waiting, Attempts: d.Attempts, Connections: d.Connections, Window: d.Window,
			DeadUntil: d.DeadUntil, Reason: d.Reason, Held: isHeld, Spacing: d.Spacing.Seconds(),
		})
	}
	return list
}

// printDestinations writes a table of them. Times are local.
func printDestinations(w io.Writer, list []admin.Destination) {
	if len(list) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\n  destination\tsite\twaiting\tconnections/window\tstate\n")
	for _, d := range list {
		fmt.Fprintf(table, "  %s\t%s\t%d\t%d/%d\t%s\n", cell(d.Name), cell(d.Site), d.Waiting, d.Connections, d.Window, stateOf(d))
	}
	table.Flush()
}

// stateOf says what keeps mail from a destination.
func stateOf(d admin.Destination) string {
	var states []string
	reason := strings.TrimPrefix(d.Reason, "delivery temporarily suspended: ")
	if !d.DeadUntil.IsZero() {
		text := "suspended until " + d.DeadUntil.Local().Format(time.TimeOnly)
		if reason != "" && !d.Held {
			text += ": " + cell(reason)
		}
		states = append(states, text)
	}
	if d.Held {
		states = append(states, "held")
	}
	if d.Spacing > 0 {
		each := time.Duration(d.Spacing * float64(time.Second)).Round(time.Millisecond)
		states = append(states, "one each "+each.String())
	}
	if len(states) == 0 {
		return "-"
	}
	return strings.Join(states, ", ")
}

// cell is what others have written, for a terminal: printable and no longer than a line.
func cell(s string) string {
	const most = 100
	if s == "" {
		return "-"
	}
	if r := []rune(printable(s)); len(r) > most {
		return string(r[:most]) + "..."
	}
	return printable(s)
}
