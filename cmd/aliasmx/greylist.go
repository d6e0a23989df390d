package main

import (
	"context"
	"fmt"
	"time"

	"aliasmx/internal/dns"
	"aliasmx/internal/greylist"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/spf"
	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// What check_greylist is told of the configuration.

// greylistParams are those that a reload changes.
func greylistParams(cfg *postconf.Config) (greylist.Params, error) {
	p := greylist.Params{
		Delay:       cfg.Duration("greylist_delay"),
		RetryWindow: cfg.Duration("greylist_retry_window"),
		Expire:      cfg.Duration("greylist_expire"),
		IPv4Prefix:  cfg.Int("greylist_ipv4_prefix"),
		IPv6Prefix:  cfg.Int("greylist_ipv6_prefix"),
		AutoAllow:   cfg.Int("greylist_auto_allow"),
	}
	if _, err := cacheFile(cfg, "greylist_map", cfg.Get("greylist_map")); err != nil {
		return p, err
	}
	if p.RetryWindow <= p.Delay {
		return p, fmt.Errorf("greylist_retry_window (%s): %s, but clients may come again after greylist_delay (%s) only: nobody could pass; make it longer",
			cfg.Where("greylist_retry_window"), p.RetryWindow, p.Delay)
	}
	return p, nil
}

// greylisting is what a listener's check_greylist asks; the table comes with the daemon.
func greylisting(t *tables, names *dns.Resolver) *smtpd.Greylist {
	g := &smtpd.Greylist{}
	if l := t.addrs("greylist_whitelist_clients"); l != nil {
		g.Whitelist = l
	}
	if cfg := t.cfg; cfg.Bool("greylist_spf_pass_exempt") && cfg.Bool("mailauth_enable") {
		receiver := cfg.Get("myhostname")
		g.SPFPasses = func(ctx context.Context, client mail.Client, sender mail.Address) bool {
			ctx, cancel := context.WithTimeout(ctx, spfTime)
			defer cancel()
			r := spf.Check(ctx, names, spf.Request{IP: client.Addr.Unmap(), Helo: client.Helo, Sender: sender, Receiver: receiver})
			return r.Result == mail.AuthPass
		}
	}
	return g
}

// spfTime is how long the DNS may take to say that a client is known: RFC 7208 section 4.6.4
// has 20 seconds for all of it.
const spfTime = 20 * time.Second

func (d *daemon) newGreylist(cfg *postconf.Config) *greylist.List {
	file, _ := cacheFile(cfg, "greylist_map", cfg.Get("greylist_map")) // greylistParams proves it
	return greylist.New(greylist.Options{Log: d.log.Logger, File: file, Name: cfg.Get("greylist_map"), Params: d.view.greylist})
}
