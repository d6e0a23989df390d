package main

import (
	"log/slog"
	"testing"
)

// Mail of which origin is looked through for the need of SMTPUTF8.
func TestSMTPUTF8Autodetect(t *testing.T) {
	for _, tt := range []struct {
		name, settings  string
		sendmail, smtpd bool
	}{
		{"default", "", true, false},
		{"both by name", "smtputf8_autodetect_classes = smtpd, SendMail\n", true, true},
		{"all", "smtputf8_autodetect_classes = all\n", true, true},
		{"others", "smtputf8_autodetect_classes = verify, bounce\n", false, false},
		{"none", "smtputf8_autodetect_classes =\n", false, false},
		{"no SMTPUTF8", "smtputf8_enable = no\nsmtputf8_autodetect_classes = all\n", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"+tt.settings)
			cfg, err := loadConfig(m.dir, m.env(""))
			if err != nil {
				t.Fatal(err)
			}
			v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
			if err != nil {
				t.Fatal(err)
			}
			defer v.close()
			if got := v.pickup.SMTPUTF8Autodetect; got != tt.sendmail {
				t.Errorf("sendmail: %v", got)
			}
			if got := v.local.SMTPUTF8Autodetect; got != tt.sendmail {
				t.Errorf("sendmail -bs: %v", got)
			}
			if got := v.listeners[0].smtpd.SMTPUTF8Autodetect; got != tt.smtpd {
				t.Errorf("smtpd: %v", got)
			}
		})
	}
}
