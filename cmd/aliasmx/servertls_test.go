package main

import (
	"crypto/tls"
	"testing"
)

func TestTLSVersions(t *testing.T) {
	for setting, want := range map[string]span{
		">=TLSv1":                          {tls.VersionTLS12, 0},
		">=TLSv1.2":                        {tls.VersionTLS12, 0},
		">=TLSv1.3":                        {tls.VersionTLS13, 0},
		"!SSLv2, !SSLv3, !TLSv1, !TLSv1.1": {tls.VersionTLS12, 0},
		"!SSLv2,!SSLv3,!TLSv1.2":           {tls.VersionTLS13, 0},
		"<=TLSv1.2":                        {tls.VersionTLS12, tls.VersionTLS12},
		"TLSv1.2 TLSv1.3":                  {tls.VersionTLS12, 0},
		"TLSv1.2":                          {tls.VersionTLS12, tls.VersionTLS12},
		"!TLSv1.3":                         {tls.VersionTLS12, tls.VersionTLS12},
		"":                                 {tls.VersionTLS12, 0},
		"SSLv3:TLSv1:TLSv1.1:TLSv1.2":      {tls.VersionTLS12, tls.VersionTLS12},
		">=tlsv1.2 !TLSv1.2":               {tls.VersionTLS13, 0},
		"TLSv1, TLSv1.1":                   {},
		"<=TLSv1.1":                        {},
		"TLSv9":                            {},
	} {
		m := newMachine(t, "smtpd_tls_protocols = "+setting+"\n")
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tlsVersions(cfg, false)
		if got != want || (err != nil) != (want == span{}) {
			t.Errorf("%q: got %v, %v; want %v", setting, got, err, want)
		}
	}
}
