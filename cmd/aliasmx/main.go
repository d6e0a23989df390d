// Command aliasmx is a mail relay for forwarding-only domains: the daemon and every
// command that goes with it, in one binary.
//
// This package wires the rooms together and is the only place that reads flags, the
// environment and the configuration. Each command is a file; where the daemon is put
// together is daemon.go. Called by another name (sendmail, mailq, postqueue ...), as
// through a symbolic link, the binary is that command.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Exit statuses, as sysexits(3) and Postfix have them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 64
	exitDataErr     = 65
	exitNoUser      = 67
	exitUnavailable = 69
	exitSoftware    = 70
	exitTempFail    = 75
	exitConfig      = 78
)

type command struct {
	name    string
	summary string
	run     func(args []string, env environ) int
}

func commands() []command {
	return []command{
		{"start", "run the daemon in the foreground", startCommand},
		{"stop", "stop the daemon; transfers under way finish", stopCommand},
		{"reload", "read configuration and tables again", reloadCommand},
		{"status", "tell how the daemon is", statusCommand},
		{"check", "prove configuration and tables", checkCommand},
		{"explain", "show step by step how an address expands", explainCommand},
		{"demo", "the whole thing on loopback, to look at", demoCommand},
		{"sendmail", "submit a message, as sendmail(1)", sendmailCommand},
		{"mailq", "list the queue", mailqCommand},
		{"postconf", "show and edit parameters, as postconf(1)", postconfCommand},
		{"postmap", "build and query tables, as postmap(1)", postmapCommand},
		{"postalias", "build and query alias tables, as postalias(1)", postaliasCommand},
		{"newaliases", "build the tables of alias_database", newaliasesCommand},
		{"postqueue", "list and flush the queue, as postqueue(1)", postqueueCommand},
		{"postsuper", "delete, hold, release, requeue, as postsuper(1)", postsuperCommand},
		{"passwd", "print the hash of a password, for a table of users", passwdCommand},
		{"postcat", "show a message in the queue, as postcat(1)", postcatCommand},
		{"qshape", "how much mail waits for which domain, and how long, as qshape(1)", qshapeCommand},
		{"srs", "rewrite a sender, or find the one behind a rewritten address", srsCommand},
		{"dkim", "make and test keys that sign mail: see 'aliasmx dkim help'", dkimMain},
		{"tlsrpt", "show how TLS with other domains went, and what will be reported", tlsrptCommand},
		{"reverse-alias", "print the address by which the owner of an alias answers", reverseAliasCommand},
		{"reputation", "show what becomes of the mail of aliases, and complaints", reputationCommand},
		{"seal", "print a message with a new ARC set on top", sealCommand},
		{"queue", "what Postfix has no command for: see 'aliasmx queue help'", queueMain},
		{"version", "print the version", versionCommand},
	}
}

func main() {
	env := environ{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, environ: os.Environ,
	}
	os.Exit(run(os.Args, env))
}

// run finds the command in the name of the binary or in its first argument.
func run(argv []string, env environ) int {
	name, args := filepath.Base(argv[0]), argv[1:]
	for _, c := range commands() {
		// "start" and the like are ours: nobody means them by the name of a link.
		if c.name == name && isPostfixName(name) {
			return c.run(args, env)
		}
	}
	if len(args) == 0 {
		usage(env.stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		usage(env.stdout)
		return exitOK
	case "--version":
		return versionCommand(nil, env)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:], env)
		}
	}
	fmt.Fprintf(env.stderr, "aliasmx: unknown command %q; 'aliasmx help' lists them\n", args[0])
	return exitUsage
}

func isPostfixName(name string) bool {
	return strings.HasPrefix(name, "post") || name == "sendmail" || name == "mailq" || name == "qshape" || name == "newaliases"
}

func usage(w io.Writer) {
	fmt.Fprint(w, "aliasmx: a mail relay for forwarding-only domains\n\nusage: aliasmx COMMAND [options]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-13s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nEach takes -c DIR for the configuration directory (sendmail: -C DIR);\n"+
		"default: $MAIL_CONFIG, then /etc/aliasmx, then /etc/postfix.\n")
}
