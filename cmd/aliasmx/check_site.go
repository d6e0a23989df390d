package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/maillog"
	"aliasmx/internal/postconf"
	"aliasmx/internal/shaping"
)

// siteTime bounds the questions of check site.
const siteTime = 30 * time.Second

// checkSiteCommand shows who answers for a destination, and which limits are in force
// there, each with where it comes from.
func checkSiteCommand(args []string, env environ) int {
	var flags struct {
		Config   string `short:"c" placeholder:"DIR" help:"Configuration directory."`
		JSON     bool   `help:"As JSON."`
		Resolver string `placeholder:"HOST:PORT" help:"Name server to ask."`
		Now      int64  `hidden:""` // all commands of diagnosis take it; the clock does not matter here
		Dest     string `arg:"" name:"destination" help:"A domain, an address, a next hop ([host]:port), or transport:nexthop."`
	}
	const summary = "Show the site of a destination, its hosts, and the limits in force for it. Exit status 1: mail for it goes to no other host; 75: that is not known for now."
	if done, status := parseFlags("check site", summary, &flags, args, env); done {
		return status
	}
	cfg, err := loadConfig(configDir(flags.Config, env), env)
	if err == nil && flags.Resolver != "" {
		cfg, err = cfg.Override(map[string]string{"dns_servers": flags.Resolver}, "--resolver")
	}
	if err != nil {
		return fail(env, "aliasmx", exitConfig, err)
	}
	warn := func(text string) { fmt.Fprintf(env.stderr, "aliasmx: warning: %s\n", text) }
	v, err := newView(cfg, slog.New(maillog.New(maillog.Options{Name: "aliasmx", Out: warningLines{warn}})), new(keyring))
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
		doc.Limits = limitsInForce(v.senderOf(dest.Transport()), dest.Transport(), answer)
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
	name, _, isDest := strings.Cut(arg, ":")
	switch {
	case isDest && v.checkRoute(name, "") == nil:
		return mail.Dest(arg)
	case strings.Contains(arg, "@"):
		return v.resolver.Dest(mail.SplitAddress(arg))
	case isDest || strings.HasPrefix(arg, "["):
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

// limitsInForce are the limits of a site: what its line says, else what the parameters do.
func limitsInForce(cfg *postconf.Config, transport string, a *shaping.Answer) (list []siteLimit) {
	if a == nil {
		a = &shaping.Answer{}
	}
	line := a.Where + ", entry " + a.Key
	number := func(name string, of int, parameter string) {
		if of > 0 {
			list = append(list, siteLimit{name, strconv.Itoa(of), line})
			return
		}
		value := strconv.Itoa(cfg.Int(parameter))
		if value == "0" {
			value = "none"
		}
		list = append(list, siteLimit{name, value, whence(cfg, parameter)})
	}
	number("concurrency", a.Concurrency, transport+"_destination_concurrency_limit")
	number("initial", a.Initial, transport+"_initial_destination_concurrency")
	if own := ownTransports(cfg)[transport]; transport != "lmtp" && own != "lmtp" || a.HostConnections > 0 {
		number("host_connections", a.HostConnections, "smtp_host_connection_limit")
	}
	if a.RateDelay > 0 {
		list = append(list, siteLimit{"delay", a.RateDelay.String(), line})
	} else if delay := transport + "_destination_rate_delay"; cfg.Duration(delay) > 0 {
		list = append(list, siteLimit{"delay", cfg.Duration(delay).String(), whence(cfg, delay)})
	}
	if a.Rate > 0 {
		list = append(list, siteLimit{"rate", fmt.Sprintf("%d in %s", a.Rate, a.Per), line})
	}
	for _, s := range a.SlowReplies {
		list = append(list, siteLimit{"slow", s, line})
	}
	return list
}

// whence is the parameter that a transport's parameter has its value from, and its place.
func whence(cfg *postconf.Config, parameter string) string {
	source := cfg.Source(parameter)
	return source + " (" + cfg.Where(source) + ")"
}
