package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"aliasmx/internal/dnscheck"
)

// check dns asks the DNS for what others look at: our domains, our hosts, our addresses.

const (
	dnsTime    = 15 * time.Minute // for all questions
	dnsWorkers = 8                // domains at a time
)

type checkDNSFlags struct {
	diagnosis `embed:""`
	IP        []string `name:"ip" placeholder:"ADDRESS" help:"A public address of ours that this machine does not have itself; may be repeated."`
	Selector  []string `placeholder:"NAME" help:"Selector of a DKIM key to look at; may be repeated."`
	NextKey   []string `placeholder:"FILE" help:"Key or certificate (PEM) that is to follow: its TLSA record is printed, too; may be repeated."`
	Domains   []string `arg:"" optional:"" name:"domain" help:"Domains; none: all of virtual_alias_domains."`
}

func checkDNSCommand(args []string, env environ) int {
	var flags checkDNSFlags
	const summary = "Show what the DNS says of our domains, hosts and addresses, and what to publish. Exit status 1: something is missing or wrong; 75: nothing is, but something could not be asked."
	if done, status := parseFlags("check dns", summary, &flags, args, env); done {
		return status
	}
	cfg, err := flags.config(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	warn, log := env.warnings()
	v, err := newView(cfg, log, new(keyring))
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	defer v.close()
	o, err := v.dnsOptions(flags, log)
	if err != nil {
		return fail(env, "aliasmx", exitUsage, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dnsTime)
	defer cancel()
	domains := flags.Domains
	if len(domains) == 0 {
		if domains, err = v.aliasDomains(warn); err != nil {
			return fail(env, "aliasmx", exitTempFail, err)
		}
	}
	list := &dnsFindings{out: env.stdout, json: flags.JSON}
	checkDNS(ctx, dnscheck.New(o), o.Hostname, domains, list.show)
	if list.err != nil {
		return fail(env, "aliasmx", exitSoftware, list.err)
	}
	switch {
	case list.has[dnscheck.Wrong] || list.has[dnscheck.Missing]:
		return exitFailure
	case list.has[dnscheck.Unknown]:
		return exitTempFail
	}
	return exitOK
}

// aliasDomains are the virtual alias domains that can be listed, each once.
func (v *view) aliasDomains(warn func(string)) (domains []string, err error) {
	const parameter = "virtual_alias_domains"
	t := &tables{cfg: v.cfg, opts: v.tables.opts}
	defer t.close()
	l := t.domains(parameter)
	if t.err != nil {
		return nil, t.err
	}
	seen := make(map[string]bool)
	opaque, err := listedDomains(l, func(domain string) bool {
		if !seen[domain] {
			seen[domain] = true
			domains = append(domains, domain)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", parameter, v.cfg.Where(parameter), err)
	}
	if c := v.tables.codec; c != nil && !seen[c.Domain()] {
		domains = append(domains, c.Domain())
	}
	for _, name := range opaque {
		warn(name + ": its domains cannot be listed; name them to check dns")
	}
	return domains, nil
}

// checkDNS judges domains, several at a time, then our hosts and addresses, and shows the
// findings about one domain or host after the other.
func checkDNS(ctx context.Context, c *dnscheck.Checker, hostname string, domains []string, show func([]dnscheck.Finding)) {
	type judged struct {
		findings []dnscheck.Finding
		hosts    []string
	}
	results := make([]chan judged, len(domains))
	for i := range results {
		results[i] = make(chan judged, 1)
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	next := make(chan int)
	for range min(dnsWorkers, len(domains)) {
		workers.Go(func() {
			for i := range next {
				var j judged
				j.findings, j.hosts = c.Domain(ctx, domains[i])
				results[i] <- j
			}
		})
	}
	workers.Go(func() {
		for i := range domains {
			next <- i
		}
		close(next)
	})
	hosts := []string{strings.ToLower(hostname)}
	for _, r := range results {
		j := <-r
		show(j.findings)
		for _, h := range j.hosts {
			if !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	own := c.Self(ctx)
	for _, h := range hosts {
		own = append(own, c.Host(ctx, h)...)
	}
	// The name of our HELO is mostly that of a host: what is said of one name belongs together.
	for len(own) > 0 {
		name := own[0].Domain
		var of, rest []dnscheck.Finding
		for _, f := range own {
			if f.Domain == name {
				of = append(of, f)
			} else {
				rest = append(rest, f)
			}
		}
		show(of)
		own = rest
	}
}

// publicAddresses are those by which others reach us and see us, as far as this machine
// and its configuration know them; the operator adds others.
func (v *view) publicAddresses(added []netip.Addr) (receiving, sending []netip.Addr) {
	cfg := v.cfg
	families := cfg.List("inet_protocols")
	usable := func(a netip.Addr) bool {
		family := "ipv6"
		if a.Is4() {
			family = "ipv4"
		}
		return slices.ContainsFunc(families, func(f string) bool { return strings.EqualFold(f, "all") || strings.EqualFold(f, family) })
	}
	add := func(list *[]netip.Addr, a netip.Addr) {
		if a = a.Unmap().WithZone(""); !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	for _, a := range ownAddresses(cfg) {
		if isPublic(a.Unmap()) && usable(a.Unmap()) {
			add(&receiving, a)
		}
	}
	bound := map[bool]netip.Addr{true: v.delivery.BindAddress, false: v.delivery.BindAddress6}
	for _, a := range receiving {
		if b := bound[a.Is4()]; b.IsValid() && isPublic(b) {
			a = b
		}
		add(&sending, a)
	}
	for _, a := range added {
		add(&receiving, a)
		add(&sending, a)
	}
	return receiving, sending
}

// isPublic tells whether others can reach an address.
func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedAddresses().Contains(a)
}

// sharedAddresses are those of carriers (RFC 6598).
func sharedAddresses() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }
