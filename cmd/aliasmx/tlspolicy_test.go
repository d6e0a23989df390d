package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/mail"
	"aliasmx/internal/tlspolicy"
)

// The level, and who says so: the newer word before the older ones, and ours where there is
// none at all.
func TestTLSLevel(t *testing.T) {
	for _, tt := range []struct{ main, level, where string }{
		{"", "dane", ""},
		{"smtp_tls_security_level = may", "may", "smtp_tls_security_level"},
		{"smtp_tls_security_level = Encrypt", "encrypt", "smtp_tls_security_level"},
		{"smtp_tls_security_level =", "none", "smtp_tls_security_level"},
		{"smtp_use_tls = yes", "may", "smtp_use_tls"},
		{"smtp_use_tls = no", "none", "smtp_use_tls"},
		{"smtp_enforce_tls = yes", "verify", "smtp_enforce_tls"},
		{"smtp_enforce_tls = yes\nsmtp_tls_enforce_peername = no", "encrypt", "smtp_enforce_tls"},
		{"smtp_enforce_tls = no\nsmtp_use_tls = yes", "may", "smtp_use_tls"},
		{"smtp_tls_security_level =\nsmtp_enforce_tls = yes", "verify", "smtp_enforce_tls"},
		{"smtp_tls_security_level = may\nsmtp_enforce_tls = yes", "may", "smtp_tls_security_level"},
		{"smtp_tls_enforce_peername = no", "dane", ""},
	} {
		s := &sender{tables: &tables{cfg: readConfig(t, tt.main+"\n")}}
		level, where := s.tlsLevel()
		if string(level) != tt.level || where != tt.where {
			t.Errorf("%q: %s by %q, want %s by %q", tt.main, level, where, tt.level, tt.where)
		}
	}
	s := &sender{tables: &tables{cfg: readConfig(t, "smtp_tls_security_level = secure\n")}, lmtp: true}
	if level, where := s.tlsLevel(); level != "none" || where != "" {
		t.Errorf("LMTP: %s by %q", level, where)
	}
}

// Each transport has its own: lmtp by the parameters of lmtp, a service by its -o.
func TestTLSPolicyOfTransports(t *testing.T) {
	m := newMachine(t, "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\nsmtp_tls_policy_maps = inline:{{a.example=encrypt}}\n"+
		"lmtp_tls_policy_maps = inline:{{/run/a=encrypt} {a.example=fingerprint}}\nlmtp_tls_fingerprint_cert_match = "+strings.Repeat("ab:", 31)+"ab\n")
	master, err := os.ReadFile(filepath.Join(m.dir, "master.cf"))
	if err != nil {
		t.Fatal(err)
	}
	master = append(master, "\nstrict unix - - n - - smtp -o smtp_tls_security_level=encrypt -o smtp_tls_policy_maps=\nplain unix - - n - - lmtp\n"...)
	if err := os.WriteFile(filepath.Join(m.dir, "master.cf"), master, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(m.dir, m.env(""))
	if err != nil {
		t.Fatal(err)
	}
	v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	for _, tt := range []struct {
		transport, hop string
		level          mail.TLSLevel
	}{
		{"", "a.example", "encrypt"},
		{"", "b.example", "may"},
		{"strict", "a.example", "encrypt"},
		{"strict", "b.example", "encrypt"},
		{"lmtp", "a.example", "fingerprint"},
		{"lmtp", "b.example", "none"},
		{"lmtp", "/run/a", "encrypt"},
		{"plain", "a.example", "fingerprint"},
	} {
		o, own := v.delivery.Services[tt.transport]
		if !own {
			o = v.delivery
		}
		c, err := o.TLSPolicy.TLS(t.Context(), mail.TLSPeer{NextHop: tt.hop, Host: "mx.example", Port: 25})
		if err != nil || c.Level != tt.level {
			t.Errorf("%s:%s: %s, %v, want %s", tt.transport, tt.hop, c.Level, err, tt.level)
		}
	}
}

func TestClientCiphers(t *testing.T) {
	for _, tt := range []struct {
		c     tlspolicy.Ciphers
		has   uint16
		hasNo uint16
		wrong string
	}{
		{c: tlspolicy.Ciphers{Grade: "medium"}},
		{c: tlspolicy.Ciphers{Grade: "HIGH", Exclude: "aNULL, MD5 RC4"}},
		{c: tlspolicy.Ciphers{Grade: "high", Exclude: "AES256:CHACHA20"}, has: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, hasNo: tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		{c: tlspolicy.Ciphers{Grade: "null"}, wrong: `invalid cipher grade: "null"`},
		{c: tlspolicy.Ciphers{Grade: "superb"}, wrong: `invalid cipher grade: "superb"`},
		{c: tlspolicy.Ciphers{Exclude: "ECDHE"}, wrong: `no cipher of TLS 1.2 is left by "ECDHE"`},
		{c: tlspolicy.Ciphers{Exclude: "WEAK"}, wrong: `unknown cipher "WEAK"`},
	} {
		got, err := clientSuites(tt.c)
		switch {
		case tt.wrong != "":
			if err == nil || !strings.HasPrefix(err.Error(), tt.wrong) {
				t.Errorf("%v: %v, want %s", tt.c, err, tt.wrong)
			}
		case err != nil:
			t.Errorf("%v: %v", tt.c, err)
		case tt.has == 0 && got != nil, tt.has != 0 && (!slices.Contains(got, tt.has) || slices.Contains(got, tt.hasNo)):
			t.Errorf("%v: %v", tt.c, got)
		}
	}
}

func TestProtocolVersions(t *testing.T) {
	for list, want := range map[string][2]uint16{
		">=TLSv1":           {tls.VersionTLS12, tls.VersionTLS13},
		"":                  {tls.VersionTLS12, tls.VersionTLS13},
		"TLSv1.2":           {tls.VersionTLS12, tls.VersionTLS12},
		"!SSLv2,!TLSv1.3":   {tls.VersionTLS12, tls.VersionTLS12},
		">=TLSv1.3":         {tls.VersionTLS13, tls.VersionTLS13},
		"TLSv1.2 : TLSv1.3": {tls.VersionTLS12, tls.VersionTLS13},
	} {
		if got, err := protocolVersions(list); err != nil || got != want {
			t.Errorf("%q: %x, %v", list, got, err)
		}
	}
	for _, list := range []string{"TLSv7", "TLSv1", "!TLSv1.2 !TLSv1.3"} {
		if got, err := protocolVersions(list); err == nil {
			t.Errorf("%q: %x", list, got)
		}
	}
}
