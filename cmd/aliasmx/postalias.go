package main

import (
	"fmt"
	"io"

	"aliasmx/internal/table"
)

// postalias(1) is postmap(1) for the texts of aliases(5), and newaliases(1) has it build
// all that alias_database names.

const postaliasUsage = "usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."

func postaliasCommand(args []string, env environ) int {
	return buildTables(args, newPostalias("postalias", env))
}

func newPostalias(name string, env environ) *postmapJob {
	return &postmapJob{name: name, env: env, build: table.BuildOptions{AsOwner: true, SourceMode: true, Aliases: true}}
}

func (j *postmapJob) usage() string {
	if j.build.Aliases {
		return postaliasUsage
	}
	return postmapUsage
}

// between stands between key and value where both are printed.
func (j *postmapJob) between() string {
	if j.build.Aliases {
		return ":\t"
	}
	return "\t"
}

// newaliasesCommand takes a configuration directory, and nothing else.
func newaliasesCommand(args []string, env environ) int {
	dir := ""
	options, err := getopt(args, "c:C:", func(letter byte, arg string) error {
		dir = arg
		return nil
	})
	if err != nil || len(options) > 0 {
		fmt.Fprintln(env.stderr, "newaliases: fatal: usage: newaliases [-c config_dir]")
		return exitUsage
	}
	cfg, err := loadConfig(configDir(dir, env), env)
	if err != nil {
		return fail(env, "newaliases", exitTempFail, err)
	}
	list := cfg.List("alias_database")
	if len(list) == 0 {
		io.WriteString(env.stderr, "newaliases: warning: alias_database is empty: there is nothing to build\n")
		return exitOK
	}
	return buildTables(append([]string{"-c", cfg.Dir(), "--"}, list...), newPostalias("postalias", env))
}
