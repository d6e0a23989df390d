package main

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/srs"
)

// srsCommand rewrites an address, or finds the one that it was made from.
func srsCommand(args []string, env environ) int {
	valued := []string{"--secret-file", "--domain", "--separator", "--now", "--hash-length", "--hash-minimum", "--max-age"}
	verb := ""
	if i := firstArgument(args, valued...); i >= 0 {
		verb, args = args[i], slices.Concat(args[:i], args[i+1:])
	}
	var flags struct {
		SecretFile  string        `required:"" placeholder:"FILE" help:"File of secrets, one a line: the first signs, all are believed."`
		Domain      string        `required:"" help:"Domain of the rewritten addresses."`
		Separator   string        `default:"=" enum:"=,+,-" help:"What is written behind SRS0 and SRS1: =, + or -."`
		HashLength  int           `default:"4" help:"Characters of a signature that are written."`
		HashMinimum int           `default:"4" help:"Characters of a signature that are believed, at least."`
		MaxAge      time.Duration `default:"504h" help:"How old an address may be."`
		Now         int64         `placeholder:"UNIX" help:"The time that it is to be."`
		Address     string        `arg:"" help:"user@domain, with or without angle brackets."`
	}
	const summary = "'srs forward ADDRESS' prints the sender that forwarded mail leaves with, 'srs reverse ADDRESS' the sender that such an address was made from. Exit status 1: there is none."
	if done, status := parseFlags("srs", summary, &flags, args, env); done {
		return status
	}
	if verb != "forward" && verb != "reverse" {
		fmt.Fprintf(env.stderr, "aliasmx srs: %q is neither forward nor reverse; 'aliasmx srs --help' tells more\n", verb)
		return exitUsage
	}
	text, err := os.ReadFile(flags.SecretFile)
	if err != nil {
		return fail(env, "srs", exitConfig, err)
	}
	secrets, err := srs.Secrets(text)
	if err != nil {
		return fail(env, "srs", exitConfig, &fs.PathError{Op: "read", Path: flags.SecretFile, Err: err})
	}
	if len(secrets[0]) < srs.MinSecret {
		fmt.Fprintf(env.stderr, "srs: warning: %s: the first secret has %d bytes; the daemon does not start with less than %d\n",
			flags.SecretFile, len(secrets[0]), srs.MinSecret)
	}
	codec, err := srs.New(srs.Options{
		Domain: flags.Domain, Secrets: secrets, Separator: flags.Separator[0],
		HashLength: flags.HashLength, HashMinimum: flags.HashMinimum, MaxAge: flags.MaxAge, Now: clockAt(flags.Now),
	})
	if err != nil {
		return fail(env, "srs", exitUsage, err)
	}
	path, rest, err := mail.ParsePath(flags.Address, false)
	if err != nil || rest != "" {
		return fail(env, "srs", exitFailure, fmt.Errorf("%q is no address", flags.Address))
	}
	rewrite := codec.Forward
	if verb == "reverse" {
		rewrite = codec.Reverse
	}
	a, err := rewrite(path.Address)
	if err != nil {
		return fail(env, "srs", exitFailure, err)
	}
	fmt.Fprintln(env.stdout, a)
	return exitOK
}

// clockAt is the clock that --now stands for; nil: that of the machine.
func clockAt(unix int64) func() time.Time {
	if unix == 0 {
		return nil
	}
	return func() time.Time { return time.Unix(unix, 0) }
}
