package main

import (
	"log/slog"
	"strings"
	"testing"
)

// What cannot work stops the start, with the place and the remedy.
func TestReputationSettings(t *testing.T) {
	for _, c := range []struct{ settings, want string }{ // "": it works
		{"", ""},
		{"arf_recipients = arf@alias.example\nalias_complaint_limit = 3\nalias_complaint_action = hold\n", ""},
		{"arf_recipients = arf\n", `arf_recipients (main.cf, line 4): "arf" is no address`},
		{"arf_recipients = arf@alias.example\nreputation_enable = no\n", "complaints would be counted nowhere"},
		{"alias_complaint_limit = 3\n", "alias_complaint_limit (main.cf, line 4): there are no complaints without arf_recipients"},
		{"reputation_map = memcache:/x\n", "reputation_map (main.cf, line 4)"},
		{"alias_rate_limit_maps = inline:{a@alias.example=5}\n", ""},
		{"alias_rate_limit_maps = inline:{a@alias.example=many}\n", `alias_rate_limit_maps (main.cf, line 4): a@alias.example: "many" is no number of messages`},
		{"alias_rate_limit_maps = inline:{a@alias.example=-1}\n", "is no number of messages"},
		{"greylist_retry_window = 1m\n", "greylist_retry_window (main.cf, line 4): 1m0s, but clients may come again after greylist_delay (5m0s) only"},
		{"greylist_map = greylist\n", "greylist_map (main.cf, line 4)"},
		{"smtpd_recipient_restrictions = check_greylist\n", ""},
		{"smtp_bind_address_maps = inline:{forwarded=192.0.2.1 notice@dest.example=2001:db8::1 { submitted = 192.0.2.1, 2001:db8::1 }}\n", ""},
		{"smtp_bind_address_maps = inline:{spam=192.0.2.1}\n", "smtp_bind_address_maps (main.cf, line 4): spam: there is no such class of mail; there are: unauthenticated notice submitted forwarded"},
		{"smtp_bind_address_maps = inline:{notice=mx.example}\n", `notice: "mx.example" is no address of this machine`},
		{"smtp_bind_address_maps = inline:{notice=0.0.0.0}\n", "is no address of this machine"},
		{"smtp_bind_address_maps = inline:{{notice = 192.0.2.1 192.0.2.2}}\n", "there is another address of that kind"},
		{"smtp_bind_address_maps = static:nowhere\n", "is no address of this machine"},
		{"smtp_helo_name_maps = inline:{192.0.2.1=mx.example}\n", ""},
		{"smtp_helo_name_maps = inline:{mx.example=mx.example}\n", "mx.example: no address"},
		{"smtp_helo_name_maps = inline:{192.0.2.1=-no-name-}\n", `"-no-name-" is no host name`},
	} {
		m := newMachine(t, relayRestrictions+c.settings)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err == nil {
			var v *view
			if v, err = newView(cfg, slog.New(slog.DiscardHandler), new(keyring)); err == nil {
				v.close()
			}
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.settings, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want %q", c.settings, err, c.want)
		}
	}
}

// A directory for what is kept is made where something is, and not otherwise.
func TestKeepsCounts(t *testing.T) {
	for settings, want := range map[string]bool{
		"":                          false,
		"reputation_enable = yes\n": true,
		"reputation_enable = yes\nreputation_map =\n":                     false,
		"arf_recipients = arf@alias.example\n":                            true,
		"smtpd_recipient_restrictions = check_greylist\n":                 true,
		"smtpd_recipient_restrictions = check_greylist\ngreylist_map =\n": false,
	} {
		m := newMachine(t, relayRestrictions+"data_directory = /var/lib/x\n"+settings)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		if got := keepsCounts(cfg, "/var/lib/x"); got != want {
			t.Errorf("%q: %v", settings, got)
		}
	}
}
