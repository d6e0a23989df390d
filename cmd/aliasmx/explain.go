package main

import (
	"context"
	"encoding/json"
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
		Address string `arg:"" help:"The address: user@domain, with or without angle brackets."`

		// All commands of diagnosis take these; explaining asks neither DNS nor the clock.
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
	resolver, closeTables, err := newResolver(cfg, func(msg string) { fmt.Fprintf(env.stderr, "explain: warning: %s\n", msg) })
	if err != nil {
		return fail(env, "explain", exitConfig, err)
	}
	defer closeTables()
	ctx, cancel := context.WithTimeout(context.Background(), explainTime)
	defer cancel()
	x := resolver.Explain(ctx, flags.Address)
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

// writeExplanationJSON writes an explanation as one object.
func writeExplanationJSON(out io.Writer, x alias.Explanation) error {
	type target struct {
		Address   string `json:"address"`
		Transport string `json:"transport"`
		NextHop   string `json:"next_hop"`
	}
	type refusal struct {
		Code     int    `json:"code"`
		Enhanced string `json:"enhanced"`
		Text     string `json:"text"`
	}
	doc := struct {
		Address string   `json:"address"`
		Verdict string   `json:"verdict"` // accept, reject, defer
		Steps   []string `json:"steps"`
		Targets []target `json:"targets"`
		Refusal *refusal `json:"refusal,omitempty"`
	}{Address: x.Address, Verdict: verdict(x.Refusal), Steps: x.Steps, Targets: []target{}}
	for _, t := range x.Targets {
		doc.Targets = append(doc.Targets, target{t.Final.String(), t.Dest.Transport(), t.Dest.NextHop()})
	}
	if r := x.Refusal; r != nil {
		doc.Refusal = &refusal{r.Code, r.Enhanced.String(), r.Text}
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
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
