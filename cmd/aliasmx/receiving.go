package main

import (
	"log/slog"
	"net/netip"
	"slices"

	"aliasmx/internal/dns"
	"aliasmx/internal/postconf"
	"aliasmx/internal/wire"
	"aliasmx/smtpd"
)

// smtpdOptions is what a server of one listener is told: cfg has the listener's own
// overrides. The queue is added when there is one.
func (v *view) smtpdOptions(cfg *postconf.Config, names *dns.Resolver, log *slog.Logger) (smtpd.Options, error) {
	t := &tables{cfg: cfg, opts: v.tables.opts}
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	own := ownAddresses(cfg)
	o := smtpd.Options{
		MyHostname: cfg.Get("myhostname"),
		MailName:   cfg.Get("mail_name"),
		Banner:     cfg.Get("smtpd_banner"),
		Recipients: v.resolver,
		Log:        log,

		OwnAddr:     func(a netip.Addr) bool { return slices.Contains(own, a.Unmap()) },
		DelayReject: cfg.Bool("smtpd_delay_reject"),

		DisableVRFY:            cfg.Bool("disable_vrfy_command"),
		HeloRequired:           cfg.Bool("smtpd_helo_required"),
		AllowMinUser:           cfg.Bool("allow_min_user"),
		Service:                smtpService(cfg),
		StrictEnvelopes:        cfg.Bool("strict_rfc821_envelopes"),
		RejectUnlistedSender:   cfg.Bool("smtpd_reject_unlisted_sender"),
		ReplaceStrayCR:         cfg.Bool("cleanup_replace_stray_cr_lf"),
		SMTPUTF8Enable:         cfg.Bool("smtputf8_enable"),
		StrictSMTPUTF8:         cfg.Bool("strict_smtputf8"),
		SMTPUTF8Autodetect:     smtputf8Autodetect(cfg, "smtpd"),
		DiscardEhloKeywords:    cfg.List("smtpd_discard_ehlo_keywords"),
		RequireTLSEnable:       cfg.Bool("requiretls_enable"),
		LimitsEnable:           cfg.Bool("smtpd_limits_enable"),
		ForbiddenCommands:      cfg.List("smtpd_forbidden_commands"),
		ForbidUnauthPipelining: cfg.Bool("smtpd_forbid_unauth_pipelining"),
		ForbidBareNewline:      bareNewline(cfg.Get("smtpd_forbid_bare_newline")),

		MessageSizeLimit:     cfg.Int64("message_size_limit"),
		HeaderSizeLimit:      cfg.Int("header_size_limit"),
		HeaderTokenLimit:     cfg.Int("header_address_token_limit"),
		RemoteHeaderDomain:   cfg.Get("remote_header_rewrite_domain"),
		HopcountLimit:        cfg.Int("hopcount_limit"),
		MessageDropHeaders:   cfg.List("message_drop_headers"),
		OneDeliveryPerTarget: !cfg.Bool("enable_original_recipient"),
		DuplicateFilterLimit: cfg.Int("duplicate_filter_limit"),

		AlwaysAddMissingHeaders: cfg.Bool("always_add_missing_headers"),
		HeaderFromObsolete:      cfg.Get("header_from_format") == "obsolete",
		NotifyClasses:           cfg.List("notify_classes"),
		HistoryFlushThreshold:   cfg.Int("smtpd_history_flush_threshold"),

		RecipientLimit:   cfg.Int("smtpd_recipient_limit"),
		OvershootLimit:   cfg.Int("smtpd_recipient_overshoot_limit"),
		LineLengthLimit:  cfg.Int("line_length_limit"),
		Timeout:          cfg.Duration("smtpd_timeout"),
		MinDataRate:      cfg.Int("smtpd_min_data_rate"),
		SoftErrorLimit:   cfg.Int("smtpd_soft_error_limit"),
		HardErrorLimit:   cfg.Int("smtpd_hard_error_limit"),
		ErrorSleep:       cfg.Duration("smtpd_error_sleep_time"),
		JunkCommandLimit: cfg.Int("smtpd_junk_command_limit"),

		ClientConnectionLimit: cfg.Int("smtpd_client_connection_count_limit"),
		ClientConnectionRate:  cfg.Int("smtpd_client_connection_rate_limit"),
		ClientMessageRate:     cfg.Int("smtpd_client_message_rate_limit"),
		ClientRecipientRate:   cfg.Int("smtpd_client_recipient_rate_limit"),
		RateTimeUnit:          cfg.Duration("anvil_rate_time_unit"),
		ClientIPv4Prefix:      cfg.Int("smtpd_client_ipv4_prefix_length"),
		ClientIPv6Prefix:      cfg.Int("smtpd_client_ipv6_prefix_length"),
		MaxConnections:        cfg.Int("smtpd_client_limit_total"),
		DataMemoryLimit:       cfg.Int64("smtpd_data_memory_limit"),
	}
	if !cfg.Bool("smtpd_reject_unlisted_recipient") {
		o.Recipients, o.Listed = v.resolver.AcceptUnlisted(), v.resolver
	}
	if v.srs != nil {
		o.Onward = v.srs
	}
	if v.tables.reverse != nil { // a nil codec must stay a nil interface
		o.Replies = v.tables.reverse
	}
	if cfg.Bool("smtpd_peername_lookup") {
		o.ClientName = clientNames(names)
	}
	// A nil list must stay a nil interface.
	if l := t.addrs("mynetworks"); l != nil {
		o.MyNetworks = l
	}
	if l := t.addrs("smtpd_client_event_limit_exceptions"); l != nil {
		o.ClientLimitExceptions = l
	}
	if t.err != nil {
		return o, t.err
	}
	if err := edges(&o, t); err != nil {
		return o, err
	}
	if o.Greylist = greylisting(t, names); t.err != nil {
		return o, t.err
	}
	var err error
	if o.Connected, err = connected(t); err != nil {
		return o, err
	}
	err = v.restrictions(&o, t, names)
	return o, err
}

func bareNewline(setting string) wire.BareLF {
	switch setting {
	case "reject":
		return wire.BareLFReject
	case "no":
		return wire.BareLFAllow
	}
	return wire.BareLFNormalize
}

// smtpService is the name of the service in master.cf that takes mail, as warnings of a
// client's rates have it.
func smtpService(cfg *postconf.Config) string {
	for _, s := range cfg.Services() {
		if s.Type == "inet" && s.Command == "smtpd" {
			return s.Name
		}
	}
	return ""
}
