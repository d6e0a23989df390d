package main

import (
	"fmt"
	"io"
)

// `aliasmx queue`: what an operator does to the queue as a whole and Postfix has no
// command for. What Postfix has one for is there under its name: postqueue, postsuper,
// postcat.

type queueCommand struct {
	name    string
	summary string
	run     func(args []string, env environ) int
}

func queueCommands() []queueCommand {
	return []queueCommand{
		{"hold", "send nothing to a destination until it is released", queueHoldCommand},
		{"release", "let mail go to a destination again", queueReleaseCommand},
		{"held", "list the destinations on hold", queueHeldCommand},
		{"adopt", "take over the queue directory of a dead node", queueAdoptCommand},
	}
}

func queueMain(args []string, env environ) int {
	return dispatchQueue(queueCommands(), args, env)
}

// dispatchQueue finds the subcommand in the first argument.
func dispatchQueue(table []queueCommand, args []string, env environ) int {
	if len(args) == 0 {
		queueUsage(env.stderr, table)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		queueUsage(env.stdout, table)
		return exitOK
	}
	for _, c := range table {
		if c.name == args[0] {
			return c.run(args[1:], env)
		}
	}
	fmt.Fprintf(env.stderr, "aliasmx queue: unknown command %q; 'aliasmx queue help' lists them\n", printable(args[0]))
	return exitUsage
}

func queueUsage(w io.Writer, table []queueCommand) {
	fmt.Fprint(w, "usage: aliasmx queue COMMAND [options]\n\n")
	for _, c := range table {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nEach takes -c DIR for the configuration directory.\n")
}
