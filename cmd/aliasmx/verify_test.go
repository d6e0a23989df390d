package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

const relayRestrictions = "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"

func TestVerifyFile(t *testing.T) {
	for _, c := range []struct{ setting, want, fails string }{
		{"", "/var/lib/x/verify_cache", ""},
		{"address_verify_map =\n", "", ""},
		{"address_verify_map = proxy:btree:$data_directory/v\n", "/var/lib/x/v", ""},
		{"address_verify_map = lmdb:/x/v\n", "/x/v", ""},
		{"address_verify_map = /x/v\n", "/x/v", ""},
		{"address_verify_map = btree:v\n", "", "no file that can be written"},
		{"address_verify_map = memcache:/etc/m.cf\n", "", "no file that can be written"},
	} {
		m := newMachine(t, relayRestrictions+"data_directory = /var/lib/x\n"+c.setting)
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := verifyFile(cfg)
		if got != c.want || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %q, %v", c.setting, got, err)
		}
	}
}

// data_directory is made where something will be kept in it, and not otherwise.
func TestVerifies(t *testing.T) {
	for setting, want := range map[string]bool{
		"": false,
		"smtpd_recipient_restrictions = reject_unlisted_recipient\n":                                  false,
		"smtpd_recipient_restrictions = permit_mynetworks, Reject_Unverified_Recipient\n":             true,
		"smtpd_sender_restrictions = reject_unverified_sender\n":                                      true,
		"smtpd_restriction_classes = careful\ncareful = reject_unverified_sender\n":                   true,
		"smtpd_restriction_classes = careful\ncareful = reject_non_fqdn_sender\n":                     false,
		"smtpd_end_of_data_restrictions = reject_unverified_recipient, reject_multi_recipient_bounce": true,
	} {
		m := newMachine(t, relayRestrictions+setting+"\n")
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		if got := verifies(cfg); got != want {
			t.Errorf("%q: %v", setting, got)
		}
	}
}

// Probes take their own way where one is set, and that of mail otherwise.
func TestProbeRouting(t *testing.T) {
	const mailWay = "relayhost = [192.0.2.1]\nsmtpd_recipient_restrictions = reject_unverified_recipient\n"
	for _, c := range []struct {
		name, settings string
		want           mail.Dest
	}{
		{"as mail", "", "smtp:[192.0.2.1]"},
		{"relayhost", "address_verify_relayhost = [192.0.2.2]\n", "smtp:[192.0.2.2]"},
		{"no relayhost", "address_verify_relayhost =\n", "smtp:dest.example"},
		{"default_transport", "address_verify_default_transport = lmtp:unix:/x\n", "lmtp:unix:/x"},
		{"transport_maps", "address_verify_transport_maps = inline:{dest.example=error:no}\n", "error:no"},
		{"of mail alone", "transport_maps = inline:{dest.example=smtp:[192.0.2.3]}\naddress_verify_transport_maps =\n", "smtp:[192.0.2.1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, relayRestrictions+mailWay+c.settings)
			cfg, err := loadConfig(m.dir, m.env(""))
			if err != nil {
				t.Fatal(err)
			}
			v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
			if err != nil {
				t.Fatal(err)
			}
			defer v.close()
			rcpts, err := v.verify.Resolve(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress("a@dest.example")})
			if err != nil || len(rcpts) != 1 || rcpts[0].Dest != c.want {
				t.Errorf("%+v, %v; want %s", rcpts, err, c.want)
			}
		})
	}
}

// The parameters arrive, and a sender that cannot be one is refused.
func TestVerifyParams(t *testing.T) {
	m := newMachine(t, relayRestrictions+"address_verify_sender = probe@us.example\naddress_verify_sender_ttl = 2h\naddress_verify_poll_count = 7\n"+
		"address_verify_poll_delay = 1s\naddress_verify_positive_expire_time = 4w\naddress_verify_negative_cache = no\n"+
		"address_verify_cache_cleanup_interval = 0\naddress_verify_pending_request_limit = 17\n")
	cfg, err := loadConfig(m.dir, m.env(""))
	if err != nil {
		t.Fatal(err)
	}
	v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	p := v.verify
	if p.Sender != "probe@us.example" || p.SenderTTL != 2*time.Hour || p.PollCount != 7 || p.PollDelay != time.Second ||
		p.PositiveExpire != 28*24*time.Hour || p.PositiveRefresh != 7*24*time.Hour || p.NegativeExpire != 3*24*time.Hour ||
		p.NegativeRefresh != 3*time.Hour || p.NegativeCache || p.CleanupInterval != 0 || p.PendingLimit != 17 || p.DestConcurrency != 5 {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{"@us.example", "probe@"} {
		m := newMachine(t, relayRestrictions+"address_verify_sender = "+bad+"\n")
		cfg, err := loadConfig(m.dir, m.env(""))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring)); err == nil || !strings.Contains(err.Error(), "address_verify_sender") {
			t.Errorf("%s: %v", bad, err)
			if err == nil {
				v.close()
			}
		}
	}
}
