package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/shaping"
	"aliasmx/queue"
)

// siteTime bounds the questions of check site.
const siteTime = 30 * time.Second

// checkSiteCommand shows who answers for a destination, and which limits are in force
// there, each with where it comes from.
func checkSiteCommand(args []string, env environ) int {
	var flags struct {
		diagnosis `embed:""`
		Dest      string `arg:"" name:"destination" help:"A domain, an address, a next hop ([host]:port), or transport:nexthop."`
	}
	const summary = "Show the site of a destination, its hosts, and the limits in force for it. Exit status 1: mail for it goes to no other host; 75: that is not known for now."
	if done, status := parseFlags("check site", summary, &flags, args, env); done {
		return status
	}
	cfg, err := flags.config(env)
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	_, log := env.warnings()
	v, err := newView(cfg, log, new(keyring))
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	defer v.close()
	client := delivery.New(v.delivery)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), siteTime)
	defer cancel()

	doc := siteJSON{Destination: string(v.destOf(flags.Dest))}
	dest := mail.Dest(doc.Destination)
	site, answer, err := newSites(client, v.shaping).explain(ctx, dest)
	switch {
	case err != nil:
		doc.Reason = err.Error()
	case site.Name == "":
		doc.Reason = "mail for it goes to no other host"
	default:
		doc.Site, doc.Hosts = site.Name, site.Hosts
		doc.Limits = limitsInForce(v.queue, v.senderOf(dest.Transport()), dest.Transport(), answer)
	}
	if doc.write(flags.JSON, env) != nil {
		return exitSoftware
	}
	switch {
	case errors.Is(err, dns.ErrTemporary):
		return exitTempFail
	case doc.Reason != "":
		return exitFailure
	}
	return exitOK
}

// destOf is the destination that an argument means.
func (v *view) destOf(arg string) mail.Dest {
	arg = strings.TrimSpace(arg)
	name, _, isDest := strings.Cut(arg, ":")
	switch {
	case isDest && v.checkRoute(name, "") == nil:
		return mail.Dest(arg)
	case strings.Contains(arg, "@"):
		return v.resolver.Dest(mail.SplitAddress(arg))
	case isDest || strings.HasPrefix(arg, "[") || strings.ContainsAny(arg, ", \t"): // a next hop, or several
		return mail.MakeDest("smtp", arg)
	}
	return v.resolver.Dest(mail.Address{Local: "postmaster", Domain: arg})
}

// senderOf is the configuration that holds for a transport.
func (v *view) senderOf(transport string) *postconf.Config {
	senders, _ := v.cfg.Senders() // they have been read before
	for _, s := range senders {
		if s.Name == transport {
			return s.Config
		}
	}
	return v.cfg
}

// siteJSON is what check site says.
type siteJSON struct {
	Destination string      `json:"destination"`
	Site        string      `json:"site,omitempty"`
	Hosts       []string    `json:"hosts,omitempty"`
	Limits      []siteLimit `json:"limits,omitempty"`
	Reason      string      `json:"reason,omitempty"` // why there is no site
}

// siteLimit is one limit in force; Value is "none" where there is none.
type siteLimit struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"` // a line of a table, or a parameter
}

func (doc *siteJSON) write(asJSON bool, env environ) error {
	if asJSON {
		return writeJSONLine(env.stdout, doc)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "destination %s\n", doc.Destination)
	if doc.Reason != "" {
		fmt.Fprintf(&b, "no site: %s\n", doc.Reason)
	} else {
		fmt.Fprintf(&b, "site %s\n", doc.Site)
	}
	for _, h := range doc.Hosts {
		fmt.Fprintf(&b, "host %s\n", h)
	}
	for _, l := range doc.Limits {
		fmt.Fprintf(&b, "%s %s  (%s)\n", l.Name, l.Value, l.From)
	}
	_, err := env.stdout.Write([]byte(b.String()))
	return err
}

// limitsInForce are the limits of a site, by its line and by the parameters of the
// transport, in whose place it comes.
func limitsInForce(p queue.Params, cfg *postconf.Config, transport string, a *shaping.Answer) (list []siteLimit) {
	if a == nil {
		a = &shaping.Answer{}
	}
	line := a.Where + ", entry " + a.Key
	add := func(name, value, from string) { list = append(list, siteLimit{name, value, from}) }
	count := func(name string, n int, from string) {
		value := "none"
		if n > 0 {
			value = strconv.Itoa(n)
		}
		add(name, value, from)
	}
	own := p.Transports[transport]
	concurrency, from := own.ConcurrencyLimit, whence(cfg, transport+"_destination_concurrency_limit")
	if a.Concurrency > 0 {
		concurrency, from = a.Concurrency, line
	}
	if own.ProcessLimit > 0 && (concurrency == 0 || own.ProcessLimit < concurrency) {
		concurrency, from = own.ProcessLimit, "the process limit of "+transport+" in master.cf"
	}
	if concurrency == 0 || p.ProcessLimit < concurrency {
		concurrency, from = p.ProcessLimit, whence(cfg, "default_process_limit")
	}
	if a.RateDelay > 0 || own.DestinationRateDelay > 0 {
		concurrency, from = 1, "with a delay there is one connection"
	}
	count("concurrency", concurrency, from)

	initial, from := own.InitialConcurrency, whence(cfg, transport+"_initial_destination_concurrency")
	if a.Initial > 0 {
		initial, from = a.Initial, line
	}
	count("initial", min(initial, concurrency), from)

	if a.HostConnections > 0 {
		count("host_connections", a.HostConnections, line)
	} else if transport != "lmtp" && ownTransports(cfg)[transport] != "lmtp" {
		count("host_connections", cfg.Int("smtp_host_connection_limit"), whence(cfg, "smtp_host_connection_limit"))
	}
	switch {
	case a.RateDelay > own.DestinationRateDelay:
		add("delay", a.RateDelay.String(), line)
	case own.DestinationRateDelay > 0:
		add("delay", own.DestinationRateDelay.String(), whence(cfg, transport+"_destination_rate_delay"))
	}
	if own.TransportRateDelay > 0 {
		add("transport delay", own.TransportRateDelay.String(), whence(cfg, transport+"_transport_rate_delay"))
	}
	if a.Rate > 0 {
		add("rate", fmt.Sprintf("%d in %s", a.Rate, a.Per), line)
	}
	for _, s := range a.SlowReplies {
		add("slow", s, line)
	}
	return list
}

// whence is the parameter that a transport's parameter has its value from, and its place.
func whence(cfg *postconf.Config, parameter string) string {
	source := cfg.Source(parameter)
	return source + " (" + cfg.Where(source) + ")"
}
