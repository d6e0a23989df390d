package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/inspect"
	"aliasmx/internal/postconf"
	"aliasmx/internal/screen"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// What postscreen's tests are told of the configuration (POSTSCREEN_README).

// door is who decides which clients of a listener get to smtpd; nil: nobody.
func (v *view) door(l *postconf.Listener, o *smtpd.Options, names *dns.Resolver, log *slog.Logger) (smtpd.Door, error) {
	cfg := l.Screen
	if cfg == nil {
		return nil, nil
	}
	if o.TLS != nil && o.TLS.Wrapper {
		return nil, fmt.Errorf("postscreen_enable (%s; listener at %s): clients cannot be tested where TLS comes first (smtpd_tls_wrappermode); "+
			"set -o postscreen_enable=no for this listener", cfg.Where("postscreen_enable"), l.Where)
	}
	if _, err := screenFile(v.cfg); err != nil {
		return nil, err
	}
	t := &tables{cfg: cfg, opts: v.tables.opts}
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	s, err := screenOptions(cfg, t)
	if err != nil {
		return nil, err
	}
	s.Log, s.Lists = log, inspect.Lists{Resolver: names}
	if o.LogName != "" {
		s.LogName = strings.TrimSuffix(o.LogName, "smtpd") + "postscreen"
	}
	level := screenTLSLevel(cfg)
	if o.TLS != nil && level != "none" {
		s.TLS, s.RequireTLS, s.TLSTimeout = withoutClientCerts(o.TLS.Config), level == "encrypt", o.TLS.Timeout
	} else if level == "encrypt" {
		return nil, fmt.Errorf("postscreen_tls_security_level (%s; listener at %s): TLS is insisted on, but smtpd has none; set smtpd_tls_security_level",
			cfg.Where("postscreen_tls_security_level"), l.Where)
	}
	d, err := screen.New(s)
	if err != nil {
		return nil, fmt.Errorf("postscreen_dnsbl_reply_map (%s): %w", cfg.Where("postscreen_dnsbl_reply_map"), err)
	}
	return d, nil
}

func withoutClientCerts(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.ClientAuth = tls.NoClientCert
	return c
}

// screenTLSLevel is none, may or encrypt.
func screenTLSLevel(cfg *postconf.Config) string {
	switch level := cfg.Get("postscreen_tls_security_level"); {
	case level != "":
		return level
	case cfg.Bool("postscreen_enforce_tls"):
		return "encrypt"
	case cfg.Bool("postscreen_use_tls"):
		return "may"
	}
	return "none"
}

func screenOptions(cfg *postconf.Config, t *tables) (screen.Options, error) {
	normal, stress := cfg.With(map[string]string{"stress": ""}, ""), cfg.With(map[string]string{"stress": "yes"}, "")
	o := screen.Options{
		MyHostname: cfg.Get("myhostname"),
		Banner:     cfg.Get("smtpd_banner"),
		OldNames:   !cfg.Bool("respectful_logging"),

		GreetBanner:     cfg.Get("postscreen_greet_banner"),
		GreetWait:       normal.Duration("postscreen_greet_wait"),
		StressGreetWait: stress.Duration("postscreen_greet_wait"),
		GreetTTL:        cfg.Duration("postscreen_greet_ttl"),

		DNSBLThreshold: cfg.Int("postscreen_dnsbl_threshold"),
		AllowThreshold: cfg.Int("postscreen_dnsbl_allowlist_threshold"),
		DNSBLMinTTL:    cfg.Duration("postscreen_dnsbl_min_ttl"),
		DNSBLMaxTTL:    cfg.Duration("postscreen_dnsbl_max_ttl"),
		DNSBLTimeout:   cfg.Duration("postscreen_dnsbl_timeout"),

		Pipelining:  screen.Deep{Enable: cfg.Bool("postscreen_pipelining_enable"), TTL: cfg.Duration("postscreen_pipelining_ttl")},
		NonSMTP:     screen.Deep{Enable: cfg.Bool("postscreen_non_smtp_command_enable"), TTL: cfg.Duration("postscreen_non_smtp_command_ttl")},
		BareNewline: screen.Deep{Enable: cfg.Bool("postscreen_bare_newline_enable"), TTL: cfg.Duration("postscreen_bare_newline_ttl")},

		PreQueueLimit:     cfg.Int("postscreen_pre_queue_limit"),
		PostQueueLimit:    cfg.Int("postscreen_post_queue_limit"),
		ClientConnections: cfg.Int("postscreen_client_connection_count_limit"),

		CommandTime:       normal.Duration("postscreen_command_time_limit"),
		StressCommandTime: stress.Duration("postscreen_command_time_limit"),
		CommandCount:      cfg.Int("postscreen_command_count_limit"),
		LineLength:        cfg.Int("line_length_limit"),
		MessageSize:       cfg.Int64("message_size_limit"),
		HeloRequired:      cfg.Bool("postscreen_helo_required"),
		DisableVRFY:       cfg.Bool("postscreen_disable_vrfy_command"),
		HideVRFY:          cfg.Bool("disable_vrfy_command"),
		SMTPUTF8:          cfg.Bool("smtputf8_enable"),
		DiscardKeywords:   cfg.List("postscreen_discard_ehlo_keywords"),
		ForbiddenCommands: cfg.List("postscreen_forbidden_commands"),
		SoftBounce:        cfg.Bool("soft_bounce"),
		RejectFooter:      cfg.Get("postscreen_reject_footer"),
	}
	if o.RejectFooter == "$smtpd_reject_footer" || o.RejectFooter == "${smtpd_reject_footer}" {
		o.RejectFooter = cfg.Get("smtpd_reject_footer")
	}
	for parameter, action := range map[string]*screen.Action{
		"postscreen_denylist_action":         &o.Denylist,
		"postscreen_greet_action":            &o.GreetAction,
		"postscreen_dnsbl_action":            &o.DNSBLAction,
		"postscreen_pipelining_action":       &o.Pipelining.Action,
		"postscreen_non_smtp_command_action": &o.NonSMTP.Action,
		"postscreen_bare_newline_action":     &o.BareNewline.Action,
	} {
		var err error
		if *action, err = screen.ParseAction(cfg.Get(parameter)); err != nil {
			return o, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
		}
	}
	var err error
	if o.Sites, err = screen.ParseSites(cfg.List("postscreen_dnsbl_sites")); err != nil {
		return o, fmt.Errorf("postscreen_dnsbl_sites (%s): %w", cfg.Where("postscreen_dnsbl_sites"), err)
	}
	return o, screenTables(&o, cfg, t)
}

// screenTables opens the tables.
func screenTables(o *screen.Options, cfg *postconf.Config, t *tables) (err error) {
	open := func(spec string) (screen.Table, error) {
		m, err := table.Open(spec, t.opts)
		if err != nil {
			return nil, err
		}
		t.opened = append(t.opened, m)
		return m, nil
	}
	if o.Access, err = screen.ParseAccess(cfg.List("postscreen_access_list"), open); err != nil {
		return fmt.Errorf("postscreen_access_list (%s): %w", cfg.Where("postscreen_access_list"), err)
	}
	if spec := cfg.Get("postscreen_dnsbl_reply_map"); spec != "" {
		if o.ReplyMap, err = open(spec); err != nil {
			return fmt.Errorf("postscreen_dnsbl_reply_map (%s): %w", cfg.Where("postscreen_dnsbl_reply_map"), err)
		}
	}
	for _, m := range t.maps("postscreen_reject_footer_maps") {
		o.RejectFooterMaps = append(o.RejectFooterMaps, m)
	}
	// A nil list must stay a nil interface. An empty list of interfaces has none of them.
	if l := t.addrs("mynetworks"); l != nil {
		o.MyNetworks = l
	}
	if l := t.addrs("postscreen_allowlist_interfaces"); l != nil {
		o.Interfaces = l
	} else if t.err == nil {
		o.Interfaces, err = table.ParseAddrList(nil, t.opts)
	}
	return errors.Join(t.err, err)
}

// screenFile is where the allow list is kept.
func screenFile(cfg *postconf.Config) (string, error) {
	return cacheFile(cfg, "postscreen_cache_map", cfg.Get("postscreen_cache_map"))
}

func screenCache(cfg *postconf.Config) screen.CacheParams {
	return screen.CacheParams{
		Retention: cfg.Duration("postscreen_cache_retention_time"),
		Cleanup:   cfg.Duration("postscreen_cache_cleanup_interval"),
	}
}

// newClients makes what all doors share. Nothing is read before one of them needs it.
func (d *daemon) newClients(cfg *postconf.Config) *screen.Clients {
	file, _ := screenFile(cfg) // a door proves it
	return screen.NewClients(screen.ClientsOptions{
		Log: d.log.Logger, File: file, Name: cfg.Get("postscreen_cache_map"), CacheParams: screenCache(cfg),
	})
}

// screens tells whether clients of some listener are tested.
func screens(cfg *postconf.Config) bool {
	listeners, err := cfg.Listeners()
	return err == nil && slices.ContainsFunc(listeners, func(l postconf.Listener) bool { return l.Screen != nil })
}
