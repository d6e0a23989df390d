package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

// What each room is told of the configuration.

func queueParams(cfg *postconf.Config) queue.Params {
	return queue.Params{
		MinimalBackoff:       cfg.Duration("minimal_backoff_time"),
		MaximalBackoff:       cfg.Duration("maximal_backoff_time"),
		MaximalQueueLifetime: cfg.Duration("maximal_queue_lifetime"),
		BounceQueueLifetime:  min(cfg.Duration("bounce_queue_lifetime"), cfg.Duration("maximal_queue_lifetime")), // as in qmgr(8)
		DelayWarningTime:     cfg.Duration("delay_warning_time"),
		QueueRunDelay:        cfg.Duration("queue_run_delay"),
		SoftBounce:           cfg.Bool("soft_bounce"),
		MessageActiveLimit:   cfg.Int("qmgr_message_active_limit"),
		ProcessLimit:         cfg.Int("default_process_limit"),
		Default:              defaultTransportParams(cfg),
		Transports:           transportParams(cfg),
		InFlowDelay:          cfg.Duration("in_flow_delay"),
		ConnectedLimit:       cfg.Int("relay_while_connected_limit"),
		ConnectionReuseCount: cfg.Int("smtp_connection_reuse_count_limit"),
		ConnectionReuseTime:  cfg.Duration("smtp_connection_reuse_time_limit"),
	}
}

func deliveryOptions(cfg *postconf.Config, resolver *dns.Resolver, log *slog.Logger) (delivery.Options, error) {
	roots, err := authorities(cfg, "smtp")
	if err != nil {
		return delivery.Options{}, err
	}
	own := ownAddresses(cfg)
	bind4, _ := netip.ParseAddr(cfg.Get("smtp_bind_address"))
	bind6, _ := netip.ParseAddr(cfg.Get("smtp_bind_address6"))
	switch {
	case bind4.IsValid() && !bind4.Is4():
		return delivery.Options{}, fmt.Errorf("smtp_bind_address (%s): %s is no IPv4 address; set smtp_bind_address6", cfg.Where("smtp_bind_address"), bind4)
	case bind6.IsValid() && !bind6.Is6():
		return delivery.Options{}, fmt.Errorf("smtp_bind_address6 (%s): %s is no IPv6 address; set smtp_bind_address", cfg.Where("smtp_bind_address6"), bind6)
	}
	if name := cfg.Get("smtp_helo_name"); strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return delivery.Options{}, fmt.Errorf("smtp_helo_name (%s): %q has white space or control characters in it; write a host name", cfg.Where("smtp_helo_name"), name)
	}
	return delivery.Options{
		MyHostname:         cfg.Get("myhostname"),
		HeloName:           cfg.Get("smtp_helo_name"),
		OwnAddrs:           func(a netip.Addr) bool { return slices.Contains(own, a.Unmap()) },
		Resolver:           resolver,
		DNSEnabled:         cfg.Get("smtp_dns_support_level") != "disabled" && !cfg.Bool("disable_dns_lookups"),
		HostLookup:         cfg.List("smtp_host_lookup"),
		InetProtocols:      cfg.List("inet_protocols"),
		AddressPreference:  cfg.Get("smtp_address_preference"),
		RandomizeAddresses: cfg.Bool("smtp_randomize_addresses"),
		MXAddressLimit:     noLimit(cfg.Int("smtp_mx_address_limit")),
		MXSessionLimit:     noLimit(cfg.Int("smtp_mx_session_limit")),
		RelayHost:          cfg.Get("relayhost"),
		Transports:         ownTransports(cfg),
		DefaultPort:        uint16(cfg.Int("smtp_tcp_port")),
		BindAddress:        bind4,
		BindAddress6:       bind6,
		QueueDirectory:     cfg.Get("queue_directory"),
		Timeouts: delivery.Timeouts{
			Connect:  cfg.Duration("smtp_connect_timeout"),
			StartTLS: cfg.Duration("smtp_starttls_timeout"),
			Helo:     cfg.Duration("smtp_helo_timeout"),
			Mail:     cfg.Duration("smtp_mail_timeout"),
			Rcpt:     cfg.Duration("smtp_rcpt_timeout"),
			DataInit: cfg.Duration("smtp_data_init_timeout"),
			DataXfer: cfg.Duration("smtp_data_xfer_timeout"),
			DataDone: cfg.Duration("smtp_data_done_timeout"),
			Rset:     cfg.Duration("smtp_rset_timeout"),
			Quit:     cfg.Duration("smtp_quit_timeout"),
		},
		RootCAs:         roots,
		TLSLogLevel:     cfg.Int("smtp_tls_loglevel"),
		MinimalBackoff:  cfg.Duration("minimal_backoff_time"),
		Skip5xxGreeting: cfg.Bool("smtp_skip_5xx_greeting"),
		LineLengthLimit: cfg.Int("smtp_line_length_limit"),
		SendEightBit:    cfg.Bool("disable_mime_output_conversion"),
		ReuseCount:      cfg.Int("smtp_connection_reuse_count_limit"),
		ReuseTime:       cfg.Duration("smtp_connection_reuse_time_limit"),
		CacheTime:       cfg.Duration("smtp_connection_cache_time_limit"),
		Log:             log,
	}, nil
}

// ownTransports are the services of master.cf that send by SMTP or LMTP under a name of
// their own.
func ownTransports(cfg *postconf.Config) map[string]string {
	names := make(map[string]string)
	for _, s := range cfg.Services() {
		known := slices.Contains(transportNames, s.Name)
		if s.Type == "unix" && (s.Command == "smtp" || s.Command == "lmtp") && !known {
			names[s.Name] = s.Command
		}
	}
	return names
}

// noLimit turns Postfix's 0 for "no limit" into the rooms' -1: their 0 is the default.
func noLimit(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// authorities are those whose certificates make the other side Trusted, as the client
// (smtp) or the server (smtpd); nil: none.
func authorities(cfg *postconf.Config, who string) (*x509.CertPool, error) {
	parameters := map[string][2]string{
		"smtp":  {"smtp_tls_CAfile", "smtp_tls_CApath"},
		"smtpd": {"smtpd_tls_CAfile", "smtpd_tls_CApath"},
		"lmtp":  {"lmtp_tls_CAfile", "lmtp_tls_CApath"},
	}[who]
	file, dir := cfg.Get(parameters[0]), cfg.Get(parameters[1])
	if file == "" && dir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if cfg.Bool("tls_append_default_CA") {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("tls_append_default_CA (%s): %w", cfg.Where("tls_append_default_CA"), err)
		}
		pool = system
	}
	return pool, eachAuthority(cfg, parameters, func(pem []byte) { pool.AppendCertsFromPEM(pem) })
}

// eachAuthority reads the files of two parameters: a file and a directory of authorities.
func eachAuthority(cfg *postconf.Config, parameters [2]string, take func(pem []byte)) error {
	file, dir := cfg.Get(parameters[0]), cfg.Get(parameters[1])
	add := func(parameter, path string) error {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
		}
		take(pem)
		return nil
	}
	if file != "" {
		if err := add(parameters[0], file); err != nil {
			return err
		}
	}
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without it nobody is trusted, which is no more than that
			return fmt.Errorf("%s (%s): %w", parameters[1], cfg.Where(parameters[1]), err)
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				if err := add(parameters[1], path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
