package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// parseFlags reads the arguments of one of our own commands into a struct that kong
// understands. It returns true when the command is over: help was shown, or the
// arguments were wrong.
func parseFlags(name, summary string, flags any, args []string, env environ) (done bool, status int) {
	exited := -1
	parser, err := kong.New(flags,
		kong.Name("aliasmx "+name), kong.Description(summary),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(code int) { exited = code }))
	if err != nil {
		return true, fail(env, "aliasmx", exitSoftware, err)
	}
	_, err = parser.Parse(args)
	switch {
	case exited >= 0:
		return true, exited
	case err != nil:
		fmt.Fprintf(env.stderr, "aliasmx %s: %v; 'aliasmx %s --help' tells more\n", name, err, name)
		return true, exitUsage
	}
	return false, exitOK
}

// firstArgument is the index of the first argument that is neither a flag nor the value of
// one; -1: there is none. valued are the flags that have their value behind them.
func firstArgument(args []string, valued ...string) int {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return -1
		case slices.Contains(valued, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return i
		}
	}
	return -1
}
