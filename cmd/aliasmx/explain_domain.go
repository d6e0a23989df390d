package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"aliasmx/alias"
	"aliasmx/internal/mail"
)

// explainDomain lists what a domain accepts. Exit status 0: it is ours; 1: it is not;
// 75: a table or list could not be asked.
func explainDomain(ctx context.Context, r *alias.Resolver, domain string, asJSON bool, env environ) int {
	domain = strings.TrimPrefix(domain, "@")
	if _, literal := mail.ParseLiteral(domain); !literal && !mail.ValidHostname(domain) {
		fmt.Fprintf(env.stderr, "explain: %q is no domain; without --all an address is explained\n", domain)
		return exitUsage
	}
	var list domainList = &domainText{out: env.stdout}
	if asJSON {
		list = &domainJSON{out: env.stdout}
	}
	var about alias.Acceptance
	err := r.Accepts(ctx, domain, func(a alias.Acceptance) {
		about = a
		list.begin(a)
	}, list.entry)
	if err != nil {
		return fail(env, "explain", exitTempFail, err)
	}
	if err := list.end(); err != nil {
		return fail(env, "explain", exitSoftware, err)
	}
	if about.Class == mail.ClassDefault {
		return exitFailure
	}
	return exitOK
}

// domainList is a way to write what a domain accepts.
type domainList interface {
	begin(alias.Acceptance)
	entry(alias.Accepted) bool
	end() error // the first error of writing
}

// domainText is for people.
type domainText struct {
	out      io.Writer
	about    alias.Acceptance
	n        int
	catchAll bool
	err      error
}

func (d *domainText) print(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.out, format+"\n", args...)
	}
}

func (d *domainText) begin(a alias.Acceptance) {
	d.about = a
	switch {
	case len(a.Lists) > 0:
		d.print("class of %s: %s, by %s", a.Domain, a.Class, a.Lists[0])
	case a.Class == mail.ClassLocal:
		d.print("class of %s: local, it is an address of this machine (inet_interfaces)", a.Domain)
	default:
		d.print("class of %s: %s, it is in none of our lists: only clients that may relay can send to it", a.Domain, a.Class)
	}
	if len(a.Lists) > 1 {
		d.print("warning: do not list domain %s in BOTH %s", a.Domain, strings.Join(a.Lists, " and "))
	}
}

func (d *domainText) entry(x alias.Accepted) bool {
	d.n++
	d.catchAll = d.catchAll || strings.HasPrefix(x.Key, "@")
	switch {
	case x.Refusal != nil:
		what := "rejected"
		if x.Refusal.Temporary() {
			what = "deferred"
		}
		d.print("%s: %s: %v  (%s)", x.Key, what, x.Refusal, x.Where)
	case x.Mirror != "":
		d.print("%s -> %s, the same user there  (%s)", x.Key, x.Mirror, x.Where)
	default:
		names := make([]string, len(x.Targets))
		for i, t := range x.Targets {
			names[i] = t.Final.String()
			if t.Dest.Transport() == "error" {
				names[i] += " (returned: " + t.Dest.NextHop() + ")"
			}
		}
		d.print("%s -> %s  (%s)", x.Key, strings.Join(names, ", "), x.Where)
	}
	return d.err == nil
}

func (d *domainText) end() error {
	what := "refused"
	switch {
	case d.catchAll:
		what = "taken by @" + d.about.Domain
	case d.about.Open:
		what = "accepted: no table says who is there"
	case d.about.Class == mail.ClassDefault:
		what = "relayed for clients that may"
	}
	entries := "entries"
	if d.n == 1 {
		entries = "entry"
	}
	d.print("%d %s; any other address is %s", d.n, entries, what)
	for _, name := range d.about.Unlisted {
		d.print("%s cannot be listed, and may hold more", name)
	}
	return d.err
}

// domainJSON is for programs: an object about the domain, then one for each entry.
type domainJSON struct {
	out io.Writer
	err error
}

func (d *domainJSON) write(object any) bool {
	if d.err == nil {
		d.err = writeJSONLine(d.out, object)
	}
	return d.err == nil
}

func (d *domainJSON) begin(a alias.Acceptance) {
	d.write(struct {
		Domain   string   `json:"domain"`
		Class    string   `json:"class"`
		Lists    []string `json:"lists,omitempty"`
		Open     bool     `json:"accepts_any"`
		Unlisted []string `json:"cannot_be_listed,omitempty"`
	}{a.Domain, a.Class.String(), a.Lists, a.Open, a.Unlisted})
}

func (d *domainJSON) entry(x alias.Accepted) bool {
	doc := struct {
		Key     string          `json:"key"`
		Where   string          `json:"where"`
		Verdict string          `json:"verdict"` // accept, reject, defer
		Mirror  string          `json:"mirror,omitempty"`
		Targets []explainTarget `json:"targets"`
		Refusal *explainRefusal `json:"refusal,omitempty"`
	}{Key: x.Key, Where: x.Where, Verdict: verdict(x.Refusal), Mirror: x.Mirror,
		Targets: explainTargets(x.Targets), Refusal: explainRefusalOf(x.Refusal)}
	return d.write(doc)
}

func (d *domainJSON) end() error { return d.err }
