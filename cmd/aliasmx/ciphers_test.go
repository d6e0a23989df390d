package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/postconf"
)

func TestServerCiphers(t *testing.T) {
	for _, tt := range []struct {
		exclude, mandatory string
		required           bool
		without            []uint16 // of those by default
		wrong              string
	}{
		{exclude: ""},
		{exclude: "aNULL, MD5, DES, 3DES:RC4 eNULL, LOW,EXPORT aNULL+ADH DES-CBC3-SHA kRSA"},
		{exclude: "SHA1", without: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}},
		{exclude: "ECDHE-RSA-CHACHA20-POLY1305", without: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
		{exclude: "AESGCM+AES128+aECDSA", without: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{exclude: "AES128+RC4"},
		{mandatory: "AES"},
		{mandatory: "CHACHA20", required: true, without: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}},
		{exclude: "ECDHE", wrong: "smtpd_tls_exclude_ciphers (main.cf, line 1): no cipher of TLS 1.2 is left"},
		{exclude: "AES, WEAK", wrong: `smtpd_tls_exclude_ciphers (main.cf, line 1): unknown cipher "WEAK"`},
		{exclude: "TLS_AES_128_GCM_SHA256", wrong: `unknown cipher "TLS_AES_128_GCM_SHA256"`},
	} {
		cfg := readConfig(t, "smtpd_tls_exclude_ciphers = "+tt.exclude+"\nsmtpd_tls_mandatory_exclude_ciphers = "+tt.mandatory+"\n")
		got, err := serverCiphers(cfg, tt.required)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q: %v, want %s", tt.exclude, err, tt.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.exclude, err)
			continue
		}
		var want []uint16
		for _, s := range tls.CipherSuites() {
			if len(tt.without) > 0 && slices.Contains(s.SupportedVersions, uint16(tls.VersionTLS12)) && !slices.Contains(tt.without, s.ID) {
				want = append(want, s.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q %q: %v, want %v", tt.exclude, tt.mandatory, got, want)
		}
	}
}

// readConfig is a configuration of one file.
func readConfig(t *testing.T, mainCF string) *postconf.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte(mainCF), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := postconf.Load(postconf.LoadOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
