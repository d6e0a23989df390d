package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A door is where it was asked for, and what cannot work is said at start.
func TestDoors(t *testing.T) {
	const on = "postscreen_enable = yes\n"
	for _, c := range []struct{ main, master, fails string }{
		{"", "25 inet n - n - - smtpd\n", "none"},
		{on, "25 inet n - n - - smtpd\n", ""},
		{"", "25 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n", ""},
		{on, "25 inet n - n - - smtpd -o postscreen_enable=no\n", "none"},
		{on + "postscreen_dnsbl_sites = zen.example=127.0.0.[2..11]*2, wl.example*-5\npostscreen_dnsbl_reply_map = inline:{zen.example=public.example}\n", "25 inet n - n - - smtpd\n", ""},
		{on + "postscreen_dnsbl_sites = zen.example=127.0.0\n", "25 inet n - n - - smtpd\n", "postscreen_dnsbl_sites"},
		{on + "postscreen_dnsbl_reply_map = texthash:/no/such\n", "25 inet n - n - - smtpd\n", "postscreen_dnsbl_reply_map"},
		{on + "postscreen_allowlist_interfaces = 10.0.0.1/8\n", "25 inet n - n - - smtpd\n", "postscreen_allowlist_interfaces"},
		{on + "postscreen_allowlist_interfaces = !192.0.2.1, static:all\n", "25 inet n - n - - smtpd\n", ""},
		{on + "postscreen_allowlist_interfaces =\n", "25 inet n - n - - smtpd\n", ""},
		{on + "postscreen_cache_map = memcache:/etc/x\n", "25 inet n - n - - smtpd\n", "postscreen_cache_map"},
		{"postscreen_cache_map = memcache:/etc/x\n", "25 inet n - n - - smtpd\n", "none"},
		{on + "postscreen_reject_footer_maps = regexp:/no/such\n", "25 inet n - n - - smtpd\n", "postscreen_reject_footer_maps"},
	} {
		m := newMachine(t, relayRestrictions+c.main)
		if err := os.WriteFile(filepath.Join(m.dir, "master.cf"), []byte(c.master), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, err := loadConfig(m.dir, m.env(""))
		var v *view
		if err == nil {
			v, err = newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
		}
		switch {
		case c.fails == "" || c.fails == "none":
			if err != nil || len(v.listeners) != 1 || (v.listeners[0].smtpd.Door == nil) != (c.fails == "none") {
				t.Errorf("%q, %q: %+v, %v", c.main, c.master, v, err)
			}
		case err == nil || !strings.Contains(err.Error(), c.fails):
			t.Errorf("%q, %q: %v, want %s", c.main, c.master, err, c.fails)
		}
		if v != nil && err == nil {
			v.close()
		}
	}
}
