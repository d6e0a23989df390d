package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliasmx/delivery"
	"aliasmx/internal/certs"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// What the client is told beyond deliveryOptions: its sessions, by SMTP and by LMTP, and
// the services of master.cf that have settings of their own.

// sender is a transport while its options are made. SMTP and LMTP have the same
// parameters under names of their own.
type sender struct {
	*tables
	lmtp bool
	log  *slog.Logger
}

func (s *sender) name(smtp, lmtp string) string {
	if s.lmtp {
		return lmtp
	}
	return smtp
}

// sending completes v.delivery, and gives the transports their own that need them: lmtp,
// and each service with a -o. What others have put into v.delivery holds for all.
func (v *view) sending(names *dns.Resolver, log *slog.Logger) error {
	senders, err := v.cfg.Senders()
	if err != nil {
		return err
	}
	if err := v.completeSender(&v.delivery, v.cfg, false, log); err != nil {
		return err
	}
	if v.filters, err = v.statusFilters(senders, log); err != nil {
		return err
	}
	if best := v.cfg.Get("best_mx_transport"); best != "" {
		v.best = &bestMX{transport: best, log: log.With(mail.KeyDaemon, "smtp")}
	}
	services := map[string]delivery.Options{}
	if !slices.ContainsFunc(senders, func(s postconf.Sender) bool { return s.Name == "lmtp" }) {
		senders = append(senders, postconf.Sender{Name: "lmtp", Command: "lmtp", Config: v.cfg, Where: "default"})
	}
	for _, s := range senders {
		if !s.Own && s.Command == "smtp" {
			continue // it has those of all
		}
		o, err := deliveryOptions(s.Config, names, log)
		if err == nil && s.Command == "lmtp" {
			err = lmtpOptions(s.Config, &o)
		}
		if err == nil {
			o.Generic, o.LMTPGeneric = v.delivery.Generic, v.delivery.LMTPGeneric
			o.TLSPolicy, o.SenderRewriter, o.Signer = v.delivery.TLSPolicy, v.delivery.SenderRewriter, v.delivery.Signer
			err = v.completeSender(&o, s.Config, s.Command == "lmtp", log)
		}
		if err != nil {
			if s.Own {
				err = fmt.Errorf("service %s/unix (%s): %w", s.Name, s.Where, err)
			}
			return err
		}
		if name, own := strings.CutPrefix(s.Config.Get("syslog_name"), v.cfg.Get("syslog_name")+"/"); own {
			o.LogName = name + "/" + s.Command
		}
		services[s.Name] = o
	}
	v.delivery.Services = services
	return nil
}

// completeSender adds to options what deliveryOptions does not know.
func (v *view) completeSender(o *delivery.Options, cfg *postconf.Config, lmtp bool, log *slog.Logger) error {
	s := &sender{tables: &tables{cfg: cfg, opts: v.tables.opts}, lmtp: lmtp, log: log}
	o.HostConnections = v.shaping.hostConnections
	err := s.session(o)
	if err == nil {
		err = s.names(o)
	}
	if err == nil {
		err = v.senderTLS(s, o)
	}
	if err == nil {
		err = v.reportsTLS(s, o)
	}
	if err == nil {
		o.SASL, err = v.senderSASL(s)
	}
	if err == nil {
		err = v.sendingChecks(o, cfg)
	}
	v.tables.opened = append(v.tables.opened, s.opened...)
	return err
}

// noTimeout stands for "as long as the system lets it": no wait is for ever.
const noTimeout = 127 * time.Second

// session is how to talk to a server.
func (s *sender) session(o *delivery.Options) error {
	cfg := s.cfg
	o.DeferNoMXAddress = cfg.Bool(s.name("smtp_defer_if_no_mx_address_found", "lmtp_defer_if_no_mx_address_found"))
	o.AwaitQuit = !cfg.Bool(s.name("smtp_skip_quit_response", "lmtp_skip_quit_response"))
	o.RequestDeadline = cfg.Bool(s.name("smtp_per_request_deadline", "lmtp_per_request_deadline"))
	o.MinDataRate = cfg.Int(s.name("smtp_min_data_rate", "lmtp_min_data_rate"))
	o.SendXForward = cfg.Bool(s.name("smtp_send_xforward_command", "lmtp_send_xforward_command"))
	o.Timeouts.XForward = cfg.Duration(s.name("smtp_xforward_timeout", "lmtp_xforward_timeout"))
	o.ConnectionLimit = cfg.Int("default_process_limit")
	o.LogTLSStatus = cfg.Bool(s.name("smtp_log_tls_feature_status", "lmtp_log_tls_feature_status"))
	o.TLSRequired = cfg.Bool("tls_required_enable")
	o.NoCacheOnDemand = !cfg.Bool(s.name("smtp_connection_cache_on_demand", "lmtp_connection_cache_on_demand"))
	if kept := s.domains(s.name("smtp_connection_cache_destinations", "lmtp_connection_cache_destinations")); kept != nil {
		o.CacheFor = func(domain string) bool {
			found, err := kept.Match(context.Background(), domain)
			return found && err == nil
		}
	}
	if o.Timeouts.Connect == 0 {
		o.Timeouts.Connect = noTimeout
	}
	if err := s.routing(o); err != nil {
		return err
	}
	if err := s.sources(o); err != nil {
		return err
	}
	if !s.lmtp {
		o.HostConnectionLimit = cfg.Int("smtp_host_connection_limit")
		o.NeverEHLO, o.EHLOByBanner = cfg.Bool("smtp_never_send_ehlo"), !cfg.Bool("smtp_always_send_ehlo")
	}
	for _, word := range cfg.List(s.name("smtp_discard_ehlo_keywords", "lmtp_discard_lhlo_keywords")) {
		o.DiscardEHLO = append(o.DiscardEHLO, strings.ToUpper(word))
	}
	if maps := s.maps(s.name("smtp_discard_ehlo_keyword_address_maps", "lmtp_discard_lhlo_keyword_address_maps")); maps != nil {
		o.DiscardEHLOFor = func(ctx context.Context, addr string) ([]string, bool, error) {
			value, _, found, err := maps.Lookup(ctx, addr)
			return strings.FieldsFunc(strings.ToUpper(value), func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }), found, err
		}
	}
	if maps := s.maps(s.name("smtp_reply_filter", "lmtp_reply_filter")); maps != nil {
		o.ReplyFilter = func(ctx context.Context, line string) (string, bool, error) {
			value, _, found, err := maps.Lookup(ctx, line)
			return value, found, err
		}
	}
	return s.err
}

// senderTLS is how to secure a connection, beyond its level.
func (v *view) senderTLS(s *sender, o *delivery.Options) error {
	cfg := s.cfg
	o.TLSServerName = cfg.Get(s.name("smtp_tls_servername", "lmtp_tls_servername"))
	if err := v.tlsPolicy(s, o); err != nil {
		return err
	}
	o.NoteStartTLS = cfg.Bool(s.name("smtp_tls_note_starttls_offer", "lmtp_tls_note_starttls_offer"))
	wrapper := s.name("smtp_tls_wrappermode", "lmtp_tls_wrappermode")
	level := s.name("smtp_tls_security_level", "lmtp_tls_security_level")
	if o.WrapperMode = cfg.Bool(wrapper); o.WrapperMode && (!o.TLSLevel.Must()) {
		return fmt.Errorf("%s (%s): requires \"%s = encrypt\" (or stronger)", wrapper, cfg.Where(wrapper), level)
	}
	for parameter, versions := range map[string]*[2]uint16{
		s.name("smtp_tls_protocols", "lmtp_tls_protocols"):                     &o.TLSVersions,
		s.name("smtp_tls_mandatory_protocols", "lmtp_tls_mandatory_protocols"): &o.MandatoryTLSVersions,
	} {
		span, err := tlsSpan(cfg, parameter)
		if err != nil {
			return err
		}
		*versions = [2]uint16{span.least, span.most}
	}
	var err error
	o.ClientCertificate, err = v.clientCertificate(s)
	return err
}

// clientCertificate is what a server is shown that asks; nil: nothing.
func (v *view) clientCertificate(s *sender) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	cfg := s.cfg
	parameter := s.name("smtp_tls_chain_files", "lmtp_tls_chain_files")
	o := certs.Options{Chains: cfg.List(parameter), Warn: func(msg string) { s.log.Warn(msg) }}
	if len(o.Chains) == 0 {
		parameter = s.name("smtp_tls_cert_file", "lmtp_tls_cert_file")
		for _, p := range []certs.Pair{
			{Cert: cfg.Get(s.name("smtp_tls_eccert_file", "lmtp_tls_eccert_file")), Key: cfg.Get(s.name("smtp_tls_eckey_file", "lmtp_tls_eckey_file"))},
			{Cert: cfg.Get(parameter), Key: cfg.Get(s.name("smtp_tls_key_file", "lmtp_tls_key_file"))},
		} {
			if p.Cert != "" && p.Cert != "none" {
				o.Pairs = append(o.Pairs, p)
			}
		}
	}
	if len(o.Chains)+len(o.Pairs) == 0 {
		return nil, nil
	}
	store, err := v.keys.open(o)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	return store.GetClientCertificate, nil
}

// lmtpOptions replaces those of smtp_* by those of lmtp_*.
func lmtpOptions(cfg *postconf.Config, o *delivery.Options) (err error) {
	if o.RootCAs, err = authorities(cfg, "lmtp"); err != nil {
		return err
	}
	o.HeloName = cfg.Get("lmtp_lhlo_name")
	o.BindAddress, _ = netip.ParseAddr(cfg.Get("lmtp_bind_address"))
	o.BindAddress6, _ = netip.ParseAddr(cfg.Get("lmtp_bind_address6"))
	o.LMTPPort = uint16(cfg.Int("lmtp_tcp_port"))
	o.DNSEnabled = cfg.Get("lmtp_dns_support_level") != "disabled" && !cfg.Bool("disable_dns_lookups")
	o.HostLookup = cfg.List("lmtp_host_lookup")
	o.AddressPreference = cfg.Get("lmtp_address_preference")
	o.RandomizeAddresses = cfg.Bool("lmtp_randomize_addresses")
	o.MXAddressLimit = noLimit(cfg.Int("lmtp_mx_address_limit"))
	o.MXSessionLimit = noLimit(cfg.Int("lmtp_mx_session_limit"))
	o.Skip5xxGreeting = cfg.Bool("lmtp_skip_5xx_greeting")
	o.LineLengthLimit = cfg.Int("lmtp_line_length_limit")
	o.TLSLogLevel = cfg.Int("lmtp_tls_loglevel")
	o.ReuseCount = cfg.Int("lmtp_connection_reuse_count_limit")
	o.ReuseTime = cfg.Duration("lmtp_connection_reuse_time_limit")
	o.CacheTime = cfg.Duration("lmtp_connection_cache_time_limit")
	o.Timeouts = delivery.Timeouts{
		Connect:  cfg.Duration("lmtp_connect_timeout"),
		StartTLS: cfg.Duration("lmtp_starttls_timeout"),
		Helo:     cfg.Duration("lmtp_lhlo_timeout"),
		Mail:     cfg.Duration("lmtp_mail_timeout"),
		Rcpt:     cfg.Duration("lmtp_rcpt_timeout"),
		DataInit: cfg.Duration("lmtp_data_init_timeout"),
		DataXfer: cfg.Duration("lmtp_data_xfer_timeout"),
		DataDone: cfg.Duration("lmtp_data_done_timeout"),
		Rset:     cfg.Duration("lmtp_rset_timeout"),
		Quit:     cfg.Duration("lmtp_quit_timeout"),
	}
	return nil
}
