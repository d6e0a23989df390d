package main

import (
	"fmt"
	"log/slog"
	"slices"

	"aliasmx/internal/dane"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
)

// daneSource is who knows what TLSA records want of a host; nil where there can be none:
// the DNS is not asked, or completes names, so that nobody knows whose records they are (as in
// Postfix). A security level of dane needs no
// smtp_dns_support_level = dnssec beside it: who asks for DANE asks for that.
func daneSource(cfg *postconf.Config, names *dns.Resolver, lmtp bool, log *slog.Logger) (*dane.DANE, error) {
	agent, support, hosts, completed, force := "smtp", "smtp_dns_support_level", "smtp_host_lookup", "smtp_dns_resolver_options", "smtp_tls_force_insecure_host_tlsa_lookup"
	if lmtp {
		agent, support, hosts, completed, force = "lmtp", "lmtp_dns_support_level", "lmtp_host_lookup", "lmtp_dns_resolver_options", "lmtp_tls_force_insecure_host_tlsa_lookup"
	}
	digests, err := dane.ParseDigests(cfg.List("tls_dane_digests"))
	if err != nil {
		return nil, fmt.Errorf("tls_dane_digests (%s): %w", cfg.Where("tls_dane_digests"), err)
	}
	if cfg.Get(support) == "disabled" || cfg.Bool("disable_dns_lookups") || !slices.Contains(cfg.List(hosts), "dns") || len(cfg.List(completed)) > 0 {
		return nil, nil
	}
	return dane.New(dane.Options{
		Names:             names,
		Family:            family(cfg),
		InsecureMX:        mail.TLSLevel(cfg.Get("smtp_tls_dane_insecure_mx_policy")),
		ForceInsecureHost: cfg.Bool(force),
		Digests:           digests,
		Log:               log.With(mail.KeyDaemon, agent),
	}), nil
}

// undigested tells whether tls_dane_digests has no digest.
func undigested(cfg *postconf.Config) bool {
	digests, err := dane.ParseDigests(cfg.List("tls_dane_digests"))
	return err == nil && len(digests) == 0
}

// family is the kind of addresses that are used (postconf(5): inet_protocols).
func family(cfg *postconf.Config) dns.Family {
	used := cfg.List("inet_protocols")
	v4, v6 := slices.Contains(used, "ipv4"), slices.Contains(used, "ipv6")
	switch {
	case v4 && !v6:
		return dns.IPv4
	case v6 && !v4:
		return dns.IPv6
	}
	return dns.Any
}
