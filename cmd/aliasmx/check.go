package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"aliasmx/internal/maillog"
)

// checkCommand proves a configuration: it does what start does up to the first port
// and the first byte on disk. Then it goes through the alias tables.
func checkCommand(args []string, env environ) int {
	if i := firstArgument(args, "-c", "--config", "--resolver", "--now", "--ip", "--selector", "--next-key",
		"--helo", "--mail-from", "--rcpt", "--source"); i >= 0 {
		rest := slices.Concat(args[:i], args[i+1:])
		switch args[i] {
		case "site":
			return checkSiteCommand(rest, env)
		case "dns":
			return checkDNSCommand(rest, env)
		case "message":
			return checkMessageCommand(rest, env)
		case "sts":
			return checkSTSCommand(rest, env)
		case "spf":
			return checkSPFCommand(rest, env)
		}
	}
	var flags struct {
		Config  string `short:"c" placeholder:"DIR" help:"Configuration directory."`
		JSON    bool   `help:"Findings as JSON, one object a line."`
		Verbose bool   `short:"v" help:"Also say what was found in order."`
	}
	if done, status := parseFlags("check", "Prove configuration and tables. Exit status 78 when the daemon would not start. 'check site DESTINATION' shows the limits for a destination, 'check dns' what the DNS says of our domains, 'check sts DOMAIN' the MTA-STS policy of a domain, 'check spf' who may send in its name, 'check message FILE' who a message is from and what becomes of it.", &flags, args, env); done {
		return status
	}
	refuse := func(err error) int {
		if flags.JSON {
			_ = writeJSONLine(env.stdout, findingJSON{Severity: "fatal", Kind: "configuration", Text: err.Error()})
		}
		return fail(env, "aliasmx", exitConfig, err)
	}
	cfg, err := loadConfig(configDir(flags.Config, env), env)
	if err != nil {
		return refuse(err)
	}
	warnings := 0
	warn := func(text string) {
		warnings++
		if flags.JSON {
			// What cannot be written, the table findings fail with too.
			_ = writeJSONLine(env.stdout, findingJSON{Severity: "warning", Kind: "configuration", Text: text})
			return
		}
		fmt.Fprintf(env.stderr, "aliasmx: warning: %s\n", text)
	}
	for _, w := range cfg.Warnings() {
		warn(w)
	}
	v, err := newView(cfg, slog.New(maillog.New(maillog.Options{Name: "aliasmx", Out: warningLines{warn}})), new(keyring))
	if err != nil {
		return refuse(err)
	}
	defer v.close()
	if err := checkFiles(cfg); err != nil {
		return refuse(err)
	}
	for _, w := range slices.Concat(operatorWarnings(cfg), v.loginWarnings(), v.stsWarnings(), v.srsWarnings(), v.dkimWarnings(), v.idleWarnings()) {
		warn(w)
	}
	if flags.JSON {
		if err := checkTablesJSON(v, env.stdout); err != nil {
			return fail(env, "aliasmx", exitSoftware, err)
		}
		return exitOK
	}
	checkTables(v, warn, func(text string) { fmt.Fprintln(env.stdout, text) })
	for _, l := range v.listeners {
		fmt.Fprintf(env.stdout, "listens on %s (%s)\n", strings.Join(l.addrs, ", "), l.where)
	}
	if v.srs == nil && flags.Verbose {
		fmt.Fprintln(env.stdout, "srs_domain is empty: forwarded mail keeps its sender, and the next hop may refuse it for the SPF policy of the sender's domain")
	}
	if v.sts != nil {
		fmt.Fprintf(env.stdout, "serves MTA-STS policies on %s (mta_sts_listen)\n", strings.Join(v.sts.addrs, ", "))
	}
	for _, s := range cfg.Services() {
		if flags.Verbose {
			fmt.Fprintf(env.stdout, "service %s %s %s (%s, line %d)\n", s.Name, s.Type, s.Command, filepath.Base(s.File), s.Line)
		}
	}
	fmt.Fprintf(env.stdout, "%s: ok", cfg.Dir())
	switch {
	case warnings == 1:
		fmt.Fprint(env.stdout, ", with 1 warning")
	case warnings > 1:
		fmt.Fprintf(env.stdout, ", with %d warnings", warnings)
	}
	fmt.Fprintln(env.stdout)
	return exitOK
}

// warningLines turns log lines of opening tables into warnings of check.
type warningLines struct{ warn func(string) }

var _ io.Writer = warningLines{}

func (w warningLines) Write(p []byte) (int, error) {
	_, text, found := strings.Cut(strings.TrimSpace(string(p)), "warning: ")
	if found {
		w.warn(text)
	}
	return len(p), nil
}
