package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"aliasmx/alias"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/verify"
	"aliasmx/queue"
)

// What address verification is told of the configuration (ADDRESS_VERIFICATION_README).

// verifyParams are those that a reload changes.
func (v *view) verifyParams(log *slog.Logger) (verify.Params, error) {
	cfg := v.cfg
	if err := verify.CheckSender(cfg.Get("address_verify_sender")); err != nil {
		return verify.Params{}, fmt.Errorf("address_verify_sender (%s): %w", cfg.Where("address_verify_sender"), err)
	}
	if _, err := verifyFile(cfg); err != nil {
		return verify.Params{}, err
	}
	resolver, err := v.probeResolver(log)
	if err != nil {
		return verify.Params{}, err
	}
	return verify.Params{
		Resolve:         resolver.AcceptUnlisted().Expand,
		Complete:        resolver.Complete,
		MyHostname:      cfg.Get("myhostname"),
		MailName:        cfg.Get("mail_name"),
		SMTPUTF8:        smtputf8Autodetect(cfg, "verify"),
		Sender:          cfg.Get("address_verify_sender"),
		SenderTTL:       cfg.Duration("address_verify_sender_ttl"),
		PollCount:       cfg.Int("address_verify_poll_count"),
		PollDelay:       cfg.Duration("address_verify_poll_delay"),
		PositiveExpire:  cfg.Duration("address_verify_positive_expire_time"),
		PositiveRefresh: cfg.Duration("address_verify_positive_refresh_time"),
		NegativeExpire:  cfg.Duration("address_verify_negative_expire_time"),
		NegativeRefresh: cfg.Duration("address_verify_negative_refresh_time"),
		NegativeCache:   cfg.Bool("address_verify_negative_cache"),
		CleanupInterval: cfg.Duration("address_verify_cache_cleanup_interval"),
		PendingLimit:    cfg.Int("address_verify_pending_request_limit"),
		ProcessLimit:    cfg.Int("default_process_limit"),
		DestConcurrency: cfg.Int("initial_destination_concurrency"),
		Backoff:         cfg.Duration("minimal_backoff_time"),
	}, nil
}

// probeResolver is the resolver, with the routing of probes where that is another.
func (v *view) probeResolver(log *slog.Logger) (*alias.Resolver, error) {
	routing := map[string]string{
		"address_verify_relayhost":                               "relayhost",
		"address_verify_transport_maps":                          "transport_maps",
		"address_verify_default_transport":                       "default_transport",
		"address_verify_relay_transport":                         "relay_transport",
		"address_verify_local_transport":                         "local_transport",
		"address_verify_virtual_transport":                       "virtual_transport",
		"address_verify_sender_dependent_relayhost_maps":         "sender_dependent_relayhost_maps",
		"address_verify_sender_dependent_default_transport_maps": "sender_dependent_default_transport_maps",
	}
	others := map[string]string{}
	for probes, mail := range routing {
		if value := v.cfg.Get(probes); value != v.cfg.Get(mail) {
			others[mail] = value
		}
	}
	if len(others) == 0 {
		return v.resolver, nil
	}
	t := &tables{cfg: v.cfg.With(others, "address_verify_..."), opts: v.tables.opts}
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	return buildResolver(t, log)
}

// verifyFile is where the cache of address verification is kept.
func verifyFile(cfg *postconf.Config) (string, error) {
	return cacheFile(cfg, "address_verify_map", cfg.Get("address_verify_map"))
}

// verifies tells whether some list of restrictions asks for address verification by name.
func verifies(cfg *postconf.Config) bool { return restricts(cfg, "reject_unverified_") }

// restricts tells whether some list of restrictions has one whose name begins like that.
func restricts(cfg *postconf.Config, prefix string) bool {
	configs := []*postconf.Config{cfg}
	if listeners, err := cfg.Listeners(); err == nil {
		for _, l := range listeners {
			configs = append(configs, l.Config)
		}
	}
	for _, cfg := range configs {
		names := cfg.List("smtpd_restriction_classes")
		for _, when := range []string{"client", "helo", "sender", "relay", "recipient", "data", "end_of_data"} {
			names = append(names, "smtpd_"+when+"_restrictions")
		}
		for _, name := range names {
			if slices.ContainsFunc(cfg.List(name), func(word string) bool { return strings.HasPrefix(strings.ToLower(word), prefix) }) {
				return true
			}
		}
	}
	return false
}

// newVerifier makes the daemon's verifier. It hands its probes to the delivery side itself:
// they are no mail, and have no place in the queue.
func (d *daemon) newVerifier(cfg *postconf.Config) (*verify.Verifier, error) {
	file, err := verifyFile(cfg)
	if err != nil {
		return nil, err
	}
	return verify.New(verify.Options{
		Transport: queue.WithAgents(d.carriers),
		NewID:     func() mail.QueueID { return d.store.IDs().Next() },
		Log:       d.log.Logger,
		Now:       time.Now,
		File:      file,
		Name:      cfg.Get("address_verify_map"),
		Params:    d.view.verify,
	}), nil
}
