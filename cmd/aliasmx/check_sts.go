package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mtasts"
)

// checkSTSCommand shows the MTA-STS policy that a domain publishes now, and which of its
// mail exchangers it names. It looks at nothing that the daemon has kept.
func checkSTSCommand(args []string, env environ) int {
	var flags struct {
		diagnosis `embed:""`
		Domain    string `arg:"" name:"domain" help:"A domain, as mail is sent to it."`
	}
	const summary = "Show the MTA-STS policy of a domain, and the hosts that it is about. Exit status 1: it announces a policy that cannot be had, or a host fails it; 75: that is not known for now."
	if done, status := parseFlags("check sts", summary, &flags, args, env); done {
		return status
	}
	cfg, err := flags.config(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	_, log := env.warnings()
	names := dns.New(dns.Options{Servers: cfg.List("dns_servers")})
	f, err := newSTSFetcher(cfg, names, log)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*siteTime)
	defer cancel()
	doc, status := explainSTS(ctx, f, names, flags.Domain)
	if doc.write(flags.JSON, env) != nil {
		return exitSoftware
	}
	return status
}

// stsJSON is what check sts says.
type stsJSON struct {
	Domain string    `json:"domain"`
	ID     string    `json:"id,omitempty"`
	Policy []string  `json:"policy,omitempty"` // its lines
	Hosts  []stsHost `json:"hosts,omitempty"`
	Result string    `json:"result,omitempty"` // what is wrong, as in RFC 8460 section 4.3
	Reason string    `json:"reason,omitempty"` // or why there is no policy
}

type stsHost struct {
	Name  string `json:"name"`
	Named bool   `json:"named"` // by the policy
}

// explainSTS finds out what a sender would.
func explainSTS(ctx context.Context, f *mtasts.Fetcher, names *dns.Resolver, domain string) (doc stsJSON, status int) {
	name, ok := mtasts.Domain(domain)
	doc.Domain = name
	if !ok {
		doc.Domain, doc.Reason = domain, "this is no domain that could have a policy"
		return doc, exitFailure
	}
	var p mtasts.Policy
	var err error
	if doc.ID, err = f.Record(ctx, name); err == nil {
		p, err = f.Policy(ctx, name)
	}
	if failure, is := errors.AsType[*mtasts.Failure](err); is {
		doc.Result, doc.Reason = failure.Result, failure.Error()
		return doc, exitFailure
	}
	switch {
	case errors.Is(err, mtasts.ErrNoRecord):
		doc.Reason = err.Error() + " at _mta-sts." + name
		return doc, exitOK
	case err != nil:
		doc.Reason = err.Error()
		return doc, exitTempFail
	}
	doc.Policy = p.Lines()
	if p.Mode == mtasts.ModeNone {
		return doc, exitOK // it is about no host
	}
	hosts, err := names.MX(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNullMX):
	case errors.Is(err, dns.ErrNotFound):
		hosts = []dns.MX{{Host: name}}
	case err != nil:
		doc.Reason = err.Error()
		return doc, exitTempFail
	}
	for _, mx := range hosts {
		named := p.Matches(mx.Host)
		doc.Hosts = append(doc.Hosts, stsHost{mx.Host, named})
		if !named {
			status = exitFailure
		}
	}
	return doc, status
}

func (doc *stsJSON) write(asJSON bool, env environ) error {
	if asJSON {
		return writeJSONLine(env.stdout, doc)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "domain %s\n", doc.Domain)
	if doc.ID != "" {
		fmt.Fprintf(&b, "id %s\n", doc.ID)
	}
	for _, line := range doc.Policy {
		fmt.Fprintf(&b, "policy %s\n", line)
	}
	for _, h := range doc.Hosts {
		verdict := "named by the policy"
		if !h.Named {
			verdict = "not named by the policy"
		}
		fmt.Fprintf(&b, "host %s: %s\n", h.Name, verdict)
	}
	switch {
	case doc.Result != "":
		fmt.Fprintf(&b, "%s: %s\n", doc.Result, doc.Reason)
	case doc.Reason != "" && doc.Policy == nil:
		fmt.Fprintf(&b, "no policy: %s\n", doc.Reason)
	case doc.Reason != "":
		fmt.Fprintf(&b, "hosts: %s\n", doc.Reason)
	}
	_, err := env.stdout.Write([]byte(b.String()))
	return err
}
