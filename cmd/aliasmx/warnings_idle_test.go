package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is set and comes to nothing is said, in one line each.
func TestIdleWarnings(t *testing.T) {
	secrets := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(secrets, []byte("a secret of the tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const ours = "virtual_alias_domains = b.example\nvirtual_alias_maps = inline:{fbl@b.example=x@c.example}\nreputation_enable = yes\n"
	reverse := "mailauth_enable = yes\nreverse_alias_secrets_file = " + secrets + "\n"
	for _, c := range []struct{ set, want string }{
		{"", ""},
		{"arf_recipients = fbl@b.example FBL+x@B.example\nrecipient_delimiter = +\n", ""},
		{"arf_recipients = fbl@b.example gone@b.example\n", "arf_recipients (main.cf, line 7): gone@b.example is no address here"},
		{"arf_recipients = fbl@c.example\n", "arf_recipients (main.cf, line 7): fbl@c.example is in no domain of ours"},
		{"arf_recipients = fbl@b.example\nalias_complaint_action = hold\nalias_complaint_limit = 2\n", ""},
		{"alias_complaint_action = hold\n", "alias_complaint_action (main.cf, line 7): hold is never done"},
		{"arc_trusted_sealers = c.example\n", ""},
		{"arc_trusted_sealers = c.example\narc_verify = no\n", "arc_trusted_sealers (main.cf, line 7): no chain is verified"},
		{reverse + "spf_verify = no\n", ""},
		{reverse + "dkim_verify = no\ndmarc_verify = no\n", ""},
		{reverse + "spf_verify = no\ndkim_verify = no\n", "reverse_alias_secrets_file (main.cf, line 8): no owner of an alias"},
	} {
		list := checkedView(t, ours+c.set).idleWarnings()
		got := strings.Join(list, "\n")
		if len(list) > 1 || (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.set, got, c.want)
		}
	}
}
