package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func checkSiteDir(t *testing.T) string {
	t.Helper()
	dir := explainDir(t, explainMainCF+`smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
mail_owner = nobody
smtp_shaping_maps = texthash:DIR/shaping
relay_destination_concurrency_limit = 3
slow_destination_rate_delay = 2s
default_destination_rate_delay = 0s
`)
	for name, text := range map[string]string{
		"shaping":   "# limits\nrelay.example.net concurrency=2, delay=1500ms rate=100/1m slow=\"too many\" slow=4.7.28\n.group.test site=group host_connections=4\nfew.test concurrency=2 initial=1\nmany.test concurrency=90 initial=50\n",
		"master.cf": "smtp inet n - n - - smtpd\nslow unix - - n - - smtp\n  -o smtp_host_connection_limit=0\nfilter unix - - n - 1 smtp\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckSite(t *testing.T) {
	dir := checkSiteDir(t)
	for _, c := range []struct {
		dest, want string
		status     int
	}{
		// Through the relay host, whatever the domain.
		{"gmail.com", `destination smtp:[relay.example.net]
site relay.example.net
host relay.example.net
concurrency 1  (with a delay there is one connection)
initial 1  (smtp_initial_destination_concurrency (default))
host_connections 20  (smtp_host_connection_limit (default))
delay 1.5s  (DIR/shaping, line 2, entry relay.example.net)
rate 100 in 1m0s  (DIR/shaping, line 2, entry relay.example.net)
slow too many  (DIR/shaping, line 2, entry relay.example.net)
slow 4.7.28  (DIR/shaping, line 2, entry relay.example.net)
`, exitOK},
		{"[host.group.test]", `concurrency 20  (smtp_destination_concurrency_limit (default))
`, exitOK},
		{"[few.test]", `concurrency 2  (DIR/shaping, line 4, entry few.test)
initial 1  (DIR/shaping, line 4, entry few.test)
`, exitOK},
		{"[many.test]", `concurrency 90  (DIR/shaping, line 5, entry many.test)
initial 50  (DIR/shaping, line 5, entry many.test)
`, exitOK},
		{"filter:[few.test]", "concurrency 1  (the process limit of filter in master.cf)\n", exitOK},
		{"joe@gmail.com", "destination smtp:[relay.example.net]\n", exitOK},
		{"[mx.group.test]:587", `destination smtp:[mx.group.test]:587
site group:587
host mx.group.test
concurrency 20  (smtp_destination_concurrency_limit (default))
initial 5  (smtp_initial_destination_concurrency (default))
host_connections 4  (DIR/shaping, line 3, entry .group.test)
`, exitOK},
		{"relay:[192.0.2.1]", `destination relay:[192.0.2.1]
site 192.0.2.1
host 192.0.2.1
concurrency 3  (relay_destination_concurrency_limit (main.cf, line 9))
initial 3  (relay_initial_destination_concurrency (default))
host_connections 20  (smtp_host_connection_limit (default))
`, exitOK},
		{"slow:[192.0.2.1]", `destination slow:[192.0.2.1]
site 192.0.2.1
host 192.0.2.1
concurrency 1  (with a delay there is one connection)
initial 1  (slow_initial_destination_concurrency (default))
host_connections none  (smtp_host_connection_limit (master.cf, line 2))
delay 2s  (slow_destination_rate_delay (main.cf, line 10))
`, exitOK},
		{"lmtp:unix:/run/lmtp", "destination lmtp:unix:/run/lmtp\nsite /run/lmtp\nconcurrency 20  (lmtp_destination_concurrency_limit (default))\ninitial 5  (lmtp_initial_destination_concurrency (default))\n", exitOK},
		{"192.0.2.1, [few.test]", "destination smtp:192.0.2.1, [few.test]\nsite 192.0.2.1\n", exitOK},
		{"[few.test] b.example", "destination smtp:[few.test] b.example\nsite few.test\n", exitOK},
		{" 192.0.2.1 b", "destination smtp:192.0.2.1 b\nsite 192.0.2.1\n", exitOK},
		{"info@virt.example", "no site: mail for it goes to no other host\n", exitFailure},
		{"[unclosed", "no site: next hop \"[unclosed\": missing \"]\"\n", exitFailure},
	} {
		status, stdout, stderr := check(t, "site", "-c", dir, c.dest)
		stdout = strings.ReplaceAll(stdout, dir, "DIR")
		if status != c.status || !strings.Contains(stdout, c.want) || strings.HasPrefix(c.want, "destination") && strings.Count(c.want, "\n") > 3 && stdout != c.want {
			t.Errorf("%s: status %d\n%s%s\nwant %d\n%s", c.dest, status, stdout, stderr, c.status, c.want)
		}
	}
	status, stdout, _ := check(t, "site", "--json", "--now", "1", "-c", dir, "gmail.com")
	var doc siteJSON
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || status != exitOK || doc.Site != "relay.example.net" || len(doc.Limits) != 7 ||
		doc.Limits[0] != (siteLimit{"concurrency", "1", "with a delay there is one connection"}) {
		t.Errorf("status %d, %v\n%s", status, err, stdout)
	}
	for _, args := range [][]string{
		{"-c", dir, "site", "[few.test]"}, {"-c", dir, "site", "--", "[few.test]"}, {"--config=" + dir, "site", "[few.test]"},
		{"--now", "1", "--config", dir, "site", "[few.test]"}, {"site", "[few.test]", "-c", dir},
	} {
		if status, stdout, stderr := check(t, args...); status != exitOK || !strings.Contains(stdout, "\nsite few.test\n") {
			t.Errorf("%q: status %d\n%s%s", args, status, stdout, stderr)
		}
	}
	if status, stdout, _ := check(t, "-c", dir, "other"); status != exitUsage || stdout != "" {
		t.Errorf("another argument: status %d, %s", status, stdout)
	}
	if status, _, _ := check(t, "site", "-c", dir); status != exitUsage {
		t.Errorf("without a destination: status %d", status)
	}
	if err := os.WriteFile(filepath.Join(dir, "shaping"), []byte("x concurrency=many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := check(t, "site", "-c", dir, "gmail.com"); status != exitConfig || !strings.Contains(stderr, "line 1: x: concurrency=many") {
		t.Errorf("a broken table: status %d, %s", status, stderr)
	}
}
