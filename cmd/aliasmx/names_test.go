package main

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func TestNetwork(t *testing.T) {
	for word, want := range map[string]string{
		"192.0.2.53":        "192.0.2.53/32",
		"192.0.2.53/24":     "192.0.2.0/24",
		"2001:db8::53":      "2001:db8::53/128",
		"[2001:db8::53]":    "2001:db8::53/128",
		"[2001:db8::53]/64": "2001:db8::/64",
		"2001:db8::/64":     "2001:db8::/64",
		"::ffff:192.0.2.1":  "192.0.2.1/32",
		"192.0.2.53:53":     "", "ns.example": "", "[::1": "", "192.0.2.1/33": "", "fe80::1%eth0": "", "": "",
	} {
		p, ok := network(word)
		if ok != (want != "") || ok && p != netip.MustParsePrefix(want) {
			t.Errorf("network(%q): %v, %v; want %s", word, p, ok, want)
		}
	}
}

// Who asks for DANE without a server that is trusted hears of it at the start; who does
// not ask hears nothing.
func TestNamesWarnings(t *testing.T) {
	for _, c := range []struct{ mainCF, want string }{
		{"dns_servers = 192.0.2.53\n", ""},
		{"smtp_tls_security_level = dane\ndns_servers = 127.0.0.1\n", ""},
		{"smtp_tls_security_level = dane\ndns_servers = 192.0.2.53\ndnssec_trusted_servers = 192.0.2.0/24\n", ""},
		{"dnssec_trusted_servers = 127.0.0.1, 0.0.0.0/0\ndns_servers = 127.0.0.1\n", "dnssec_trusted_servers (test): 0.0.0.0/0 trusts every name server"},
		{"dnssec_trusted_servers = [::]/0\ndns_servers = 127.0.0.1\n", "dnssec_trusted_servers (test): [::]/0 trusts every name server"},
		{"smtp_tls_security_level = dane-only\ndns_servers = 192.0.2.53\n", "no name server is trusted to validate: 192.0.2.53:53"},
		{"lmtp_dns_support_level = dnssec\ndns_servers = 192.0.2.53\n", "no name server is trusted"},
		{"smtp_tls_security_level = dane\ndns_servers = 127.0.0.1, 192.0.2.53\n", "answers of 192.0.2.53:53, which are not in dnssec_trusted_servers"},
		{"smtp_tls_security_level = dane\ndnssec_trusted_servers =\ndns_servers = 127.0.0.1\n", "no name server is trusted"},
	} {
		var log strings.Builder
		settings := map[string]string{}
		for line := range strings.Lines(c.mainCF) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
		cfg := readConfig(t, "").With(settings, "test")
		if _, err := newNames(cfg, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Errorf("%q: %v", c.mainCF, err)
		}
		if got := log.String(); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%q: warned %q, want %q", c.mainCF, got, c.want)
		}
	}
}

func TestNamesRefuse(t *testing.T) {
	for setting, want := range map[string]string{
		"dns_servers=ns.example":            `dns_servers (`,
		"dnssec_trusted_servers=ns.example": `dnssec_trusted_servers (test): "ns.example" is no address or network`,
		"dnssec_probe=ns":                   `dnssec_probe (test): bad probe "ns": write type:name, such as ns:.`,
	} {
		name, value, _ := strings.Cut(setting, "=")
		cfg := readConfig(t, "").With(map[string]string{name: value}, "test")
		_, err := newNames(cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", setting, err, want)
		}
	}
}
