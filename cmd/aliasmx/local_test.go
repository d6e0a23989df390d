package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/table"
)

// When there is local delivery, and what of its configuration cannot work.
func TestLocalConfiguration(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		on             bool
		fails          string
	}{
		{"no domain", "mydestination =\nalias_maps = hash:/no/such/table\n", false, ""},
		{"a domain", "mydestination = mx.example.com\nalias_maps = inline:{root=x}\n", true, ""},
		{"refused", "mydestination = mx.example.com\nlocal_transport = error:no local mail\nalias_maps = hash:/no/such/table\n", false, ""},
		{"handed on", "mydestination = mx.example.com\nlocal_transport = lmtp:unix:private/lmtp\nalias_maps = hash:/no/such/table\n", false, ""},
		{"no aliases", "mydestination = mx.example.com\nalias_maps =\n", true, ""},
		{"missing table", "mydestination = mx.example.com\nalias_maps = hash:/no/such/table\n", true, `alias_maps (`},
		{"root's rights", "mydestination = mx.example.com\nalias_maps =\ndefault_privs = root\n", true, "default_privs ("},
		{"nobody's rights", "mydestination = mx.example.com\nalias_maps =\ndefault_privs = no-such-user\n", true, "default_privs ("},
		{"files smaller than mail", "mydestination = mx.example.com\nalias_maps =\nmailbox_size_limit = 1000\n", true, "mailbox_size_limit ("},
		{"files without limit", "mydestination = mx.example.com\nalias_maps =\nmailbox_size_limit = 0\n", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"+tt.settings)
			cfg, err := loadConfig(m.dir, m.env(""))
			if err != nil {
				t.Fatal(err)
			}
			if got := localDelivery(cfg); got != tt.on {
				t.Errorf("local delivery: %v", got)
			}
			v, err := newView(cfg, slog.New(slog.DiscardHandler), new(keyring))
			if err == nil {
				defer v.close()
			}
			switch {
			case tt.fails == "" && err != nil, tt.fails != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.fails)):
				t.Errorf("starts with %v, want %q", err, tt.fails)
			case err == nil && (v.aliases != nil) != tt.on:
				t.Errorf("options: %v", v.aliases)
			}
		})
	}
}

// Who exists by local_recipient_maps: what has an alias, and no user of the system.
func TestLocalRecipients(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		exist, not     string
	}{
		{"default", "alias_maps = inline:{team=x}\n", "team@mx.example.com team+ext@mx.example.com", "root@mx.example.com nosuch@mx.example.com"},
		{"another table", "alias_maps = inline:{team=x}\nlocal_recipient_maps = unix:passwd.byname inline:{other=x}\n", "other@mx.example.com", "team@mx.example.com root@mx.example.com"},
		{"everybody", "alias_maps = inline:{team=x}\nlocal_recipient_maps =\n", "team@mx.example.com nosuch@mx.example.com", ""},
		{"off", "alias_maps = inline:{team=x}\nlocal_transport = error:no local mail\n", "", "team@mx.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := explainDir(t, "myhostname = mx.example.com\nmydestination = mx.example.com\nrecipient_delimiter = +\n"+tt.settings)
			for _, name := range strings.Fields(tt.exist) {
				if status, out, errs := explain(t, "-c", dir, name); status != 0 {
					t.Errorf("%s: status %d\n%s%s", name, status, out, errs)
				}
			}
			for _, name := range strings.Fields(tt.not) {
				if status, out, errs := explain(t, "-c", dir, name); status != 1 {
					t.Errorf("%s: status %d\n%s%s", name, status, out, errs)
				}
			}
		})
	}
}

// explain follows a local name to its end, through another and through virtual aliases.
func TestExplainLocal(t *testing.T) {
	dir := explainDir(t, "myhostname = mx.example.com\nmydestination = mx.example.com\nalias_maps = hash:DIR/aliases\n"+
		"virtual_alias_domains = virt.example\nvirtual_alias_maps = inline:{ {info@virt.example = team@mx.example.com} }\n")
	source := filepath.Join(dir, "aliases")
	if err := os.WriteFile(source, []byte("team: lead, two@dest.example\nlead: \"|cat\", /dev/null\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := table.Build("hash:"+source, table.BuildOptions{Aliases: true}); err != nil {
		t.Fatal(err)
	}
	status, out, errs := explain(t, "-c", dir, "info@virt.example")
	if status != 0 {
		t.Errorf("status %d: %s", status, errs)
	}
	for _, want := range []string{
		"local team@mx.example.com: alias team (" + source + ", line 1) leads to lead, two@dest.example\n",
		"local team@mx.example.com: alias lead (" + source + ", line 2) leads to \"|cat\", /dev/null\n",
		"local team@mx.example.com: runs as ",
		"local team@mx.example.com: delivers to command: cat (2.0.0)\n",
		"local team@mx.example.com: delivers to file: /dev/null (2.0.0)\n",
		"local team@mx.example.com: forwards to two@dest.example (2.0.0)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestExported(t *testing.T) {
	t.Setenv("ALIASMX_TEST", "ours")
	t.Setenv("MAIL_CONFIG", "/elsewhere")
	got := exported([]string{"TZ=UTC", "ALIASMX_TEST", "ALIASMX_NOT_SET", "LANG", "MAIL_CONFIG"}, []string{"MAIL_DEBUG", "LANG=C"})
	if want := []string{"TZ=UTC", "ALIASMX_TEST=ours", "LANG=C"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
