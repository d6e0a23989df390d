package main

import (
	"testing"
	"time"

	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// What stress makes of a listener: nothing, other numbers, or options of its own.
func TestStressTwins(t *testing.T) {
	for _, tt := range []struct{ name, cf, want string }{
		{"defaults", "", "numbers"},
		{"own numbers", "smtpd_timeout = ${stress?{5}:{50}}s\nsmtpd_hard_error_limit = ${stress?{2}:{3}}\n", "numbers"},
		{"own rules", "smtpd_client_restrictions = ${stress?{reject_rbl_client bl.example}:{permit}}\n", "options"},
		{"a restriction class", "smtpd_restriction_classes = strict\nstrict = ${stress?{reject}:{permit}}\n", "options"},
		{"another number", "smtpd_client_connection_count_limit = ${stress?{5}:{50}}\n", "options"},
		{"always", "stress = yes\n", "nothing"},
		{"never", "stress =\n", "nothing"},
		{"what it has no part in", "postscreen_greet_wait = ${stress?{1}:{2}}s\n", "numbers"},
	} {
		cfg := readConfig(t, tt.cf)
		all, err := stressTwins([]postconf.Listener{{Service: "smtp", Config: cfg}, {Service: "other", Config: cfg}})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := "numbers"
		switch {
		case all.of[1].cfg == nil:
			got = "nothing"
		case all.of[1].at >= 0:
			got = "options"
			if at := all.of[1].at; at != 3 || all.listeners[at].Config.Get("stress") != "yes" || all.listeners[at].Service != "other" {
				t.Errorf("%s: the twin is at %d", tt.name, at)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, err := stressTwins([]postconf.Listener{{Config: readConfig(t, "smtpd_timeout = ${stress?{x}:{50}}s\n")}}); err == nil {
		t.Error("a value that cannot work under stress is taken")
	}
}

// Under stress the numbers are Postfix's for stress, and the calm options stay as they are.
func TestHurry(t *testing.T) {
	cfg := readConfig(t, "stress = yes\n")
	calm := smtpd.Options{Timeout: 300 * time.Second, HardErrorLimit: 20, JunkCommandLimit: 100, TLS: &smtpd.TLS{Timeout: 300 * time.Second}}
	o := calm
	hurry(&o, cfg)
	if o.Timeout != 10*time.Second || o.HardErrorLimit != 1 || o.JunkCommandLimit != 1 || o.TLS.Timeout != 10*time.Second || o.Stress != "yes" || !o.PerRequestDeadline {
		t.Errorf("%+v", o)
	}
	if calm.TLS.Timeout != 300*time.Second {
		t.Error("the calm options have changed")
	}
}
