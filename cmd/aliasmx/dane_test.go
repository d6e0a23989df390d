package main

import (
	"log/slog"
	"strings"
	"testing"

	"aliasmx/internal/dns"
)

func TestDANESource(t *testing.T) {
	for _, c := range []struct {
		name string
		set  string
		lmtp bool
		on   bool
		err  string
	}{
		{"default", "", false, true, ""},
		{"dnssec", "smtp_dns_support_level = dnssec", false, true, ""},
		{"disabled", "smtp_dns_support_level = disabled", false, false, ""},
		{"disabled for the other protocol", "smtp_dns_support_level = disabled", true, true, ""},
		{"disabled for LMTP", "lmtp_dns_support_level = disabled", true, false, ""},
		{"older form", "disable_dns_lookups = yes", false, false, ""},
		{"hosts from elsewhere", "smtp_host_lookup = native", false, false, ""},
		{"names that are completed", "smtp_dns_resolver_options = res_dnsrch", false, false, ""},
		{"digest", "tls_dane_digests = sha384", false, false,
			"main.cf, line 1): sha384: digest algorithm needs an explicit number; write sha384=NUMBER"},
	} {
		cfg := readConfig(t, c.set)
		d, err := daneSource(cfg, dns.New(dns.Options{}), c.lmtp, slog.New(slog.DiscardHandler))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if (d != nil) != c.on || !strings.HasSuffix(text, c.err) || (text == "") != (c.err == "") {
			t.Errorf("%s: %v, %q", c.name, d != nil, text)
		}
	}
}
