package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/mail"
)

// explainTime bounds the questions to tables that are served by others.
const explainTime = 30 * time.Second

// explainCommand shows what RCPT TO does with an address, a line for each step.
func explainCommand(args []string, env environ) int {
	var flags struct {
		Config  string `short:"c" placeholder:"DIR" help:"Configuration directory."`
		JSON    bool   `help:"As JSON."`
		All     bool   `help:"The argument is a domain: list what it accepts."`
		Address string `arg:"" help:"The address: user@domain, with or without angle brackets; with --all a domain."`

		// All commands of diagnosis take these; explaining asks no DNS, and the clock only for
		// the age of an address at srs_domain.
		Resolver string `hidden:""`
		Now      int64  `hidden:""`
	}
	const summary = "Show step by step how an address expands. Exit status 0: accepted; 1: rejected; 75: deferred."
	if done, status := parseFlags("explain", summary, &flags, args, env); done {
		return status
	}
	cfg, err := loadConfig(configDir(flags.Config, env), env)
	if err != nil {
		return fail(env, "explain", exitConfig, err)
	}
	resolver, closeTables, err := newResolver(cfg, func(msg string) { fmt.Fprintf(env.stderr, "explain: warning: %s\n", msg) }, clockAt(flags.Now))
	if err != nil {
		return fail(env, "explain", exitConfig, err)
	}
	defer closeTables()
	ctx, cancel := context.WithTimeout(context.Background(), explainTime)
	defer cancel()
	if flags.All {
		return explainDomain(ctx, resolver, flags.Address, flags.JSON, env)
	}
	if !cfg.Bool("smtpd_reject_unlisted_recipient") {
		resolver = resolver.AcceptUnlisted()
	}
	x := resolver.Explain(ctx, flags.Address)
	if cfg.Bool("soft_bounce") {
		soften(&x)
	}
	steps, err := explainLocal(ctx, cfg, resolver, x.Targets, func(string) {}) // warned of above
	if err != nil {
		return fail(env, "explain", exitConfig, err)
	}
	x.Steps = append(x.Steps, steps...)
	if flags.JSON {
		if err := writeExplanationJSON(env.stdout, x); err != nil {
			return fail(env, "explain", exitSoftware, err)
		}
		return x.ExitStatus
	}
	for _, step := range x.Steps {
		fmt.Fprintln(env.stdout, step)
	}
	return x.ExitStatus
}

// soften makes of a refusal for good what soft_bounce makes of it.
func soften(x *alias.Explanation) {
	if x.Refusal == nil || x.Refusal.Temporary() {
		return
	}
	later := *x.Refusal
	later.Code -= 100
	later.Enhanced[0] = 4
	x.Refusal, x.ExitStatus = &later, 75
	x.Steps[len(x.Steps)-1] = "deferred (soft_bounce): " + later.Error()
}

// writeExplanationJSON writes an explanation as one object.
func writeExplanationJSON(out io.Writer, x alias.Explanation) error {
	return writeJSONLine(out, struct {
		Address string          `json:"address"`
		Verdict string          `json:"verdict"` // accept, reject, defer
		Steps   []string        `json:"steps"`
		Targets []explainTarget `json:"targets"`
		Refusal *explainRefusal `json:"refusal,omitempty"`
	}{x.Address, verdict(x.Refusal), x.Steps, explainTargets(x.Targets), explainRefusalOf(x.Refusal)})
}

type explainTarget struct {
	Address   string `json:"address"`
	Transport string `json:"transport"`
	NextHop   string `json:"next_hop"`
}

func explainTargets(rcpts []mail.Recipient) []explainTarget {
	list := make([]explainTarget, 0, len(rcpts))
	for _, t := range rcpts {
		list = append(list, explainTarget{t.Final.String(), t.Dest.Transport(), t.Dest.NextHop()})
	}
	return list
}

type explainRefusal struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced"`
	Text     string `json:"text"`
}

func explainRefusalOf(s *mail.Status) *explainRefusal {
	if s == nil {
		return nil
	}
	return &explainRefusal{s.Code, s.Enhanced.String(), s.Text}
}

func verdict(refusal *mail.Status) string {
	switch {
	case refusal == nil:
		return "accept"
	case refusal.Temporary():
		return "defer"
	}
	return "reject"
}
