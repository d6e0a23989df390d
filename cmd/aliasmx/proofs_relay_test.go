package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that lets everybody relay does not start, however it comes to that; one
// that lets some do so does.
func TestOpenRelay(t *testing.T) {
	const hole, believed = "which would make this an open relay; put it behind reject_unauth_destination", "which would make this an open relay; list your own hosts only"
	for name, c := range map[string]struct{ settings, by, want string }{
		"client static":    {"smtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination", "smtpd_relay_restrictions (main.cf, line 8; listener at master.cf, line 1): check_client_access static:OK permits", hole},
		"client cidr":      {"smtpd_relay_restrictions = check_client_access cidr:DIR/everybody, reject_unauth_destination", "check_client_access cidr:DIR/everybody", hole},
		"client cidr IPv6": {"smtpd_relay_restrictions = check_client_access cidr:{{2000::/3 OK}}, reject", "check_client_access cidr:", hole},
		"client halves":    {"smtpd_relay_restrictions = check_client_access cidr:{{0.0.0.0/1 1}, {128.0.0.0/1 RELAY}}, reject", "check_client_access cidr:", hole},
		"helo":             {"smtpd_relay_restrictions = check_helo_access static:OK, defer_unauth_destination", "check_helo_access static:OK", hole},
		"recipient":        {"smtpd_relay_restrictions = check_recipient_access regexp:{{/./ OK}}, reject_unauth_destination", "check_recipient_access regexp:{{/./ OK}}", hole},
		"sender":           {"smtpd_relay_restrictions = check_sender_access static:OK, reject_unauth_destination", "check_sender_access static:OK", hole},
		"table alone":      {"smtpd_relay_restrictions = static:OK, reject_unauth_destination", "line 1): static:OK permits", hole},
		"digits":           {"smtpd_relay_restrictions = check_sender_access static:12, reject", "check_sender_access static:12", hole},
		"permit":           {"smtpd_relay_restrictions = check_sender_access static:permit, reject", "check_sender_access static:permit", hole},
		"behind others": {"smtpd_relay_restrictions = permit_mynetworks, reject_unknown_sender_domain, reject_rbl_client rbl.invalid, sleep 100, check_sender_access static:OK, reject",
			"check_sender_access static:OK", hole},
		"warned of":      {"smtpd_relay_restrictions = warn_if_reject reject_unauth_destination, check_sender_access static:OK, reject", "check_sender_access static:OK", hole},
		"class":          {"smtpd_restriction_classes = ours\nours = check_sender_access static:OK\nsmtpd_relay_restrictions = ours, reject", "check_sender_access static:OK, in restriction class ours", hole},
		"class of all":   {"smtpd_restriction_classes = ours\nours = permit\nsmtpd_relay_restrictions = ours, reject_unauth_destination", "permit, in restriction class ours", hole},
		"named class":    {"smtpd_restriction_classes = ours\nours = permit\nsmtpd_relay_restrictions = check_client_access static:ours, reject", "check_client_access static:ours", hole},
		"recipient list": {"smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = check_sender_access static:OK, reject", "smtpd_recipient_restrictions (main.cf, line 9", hole},
		"both lists":     {"smtpd_relay_restrictions = check_sender_access static:OK, reject\nsmtpd_recipient_restrictions = check_client_access static:OK, reject_unauth_destination", "smtpd_relay_restrictions", hole},
		"XCLIENT":        {"smtpd_authorized_xclient_hosts = 0.0.0.0/0", "smtpd_authorized_xclient_hosts (main.cf, line 8)", believed},
		"XCLIENT table":  {"smtpd_authorized_xclient_hosts = static:all", "smtpd_authorized_xclient_hosts (main.cf, line 8)", believed},
		"XCLIENT file":   {"smtpd_authorized_xclient_hosts = DIR/networks", "smtpd_authorized_xclient_hosts (main.cf, line 8)", believed},
		"XCLIENT IPv6":   {"smtpd_authorized_xclient_hosts = [::]/0", "smtpd_authorized_xclient_hosts (main.cf, line 8)", believed},
		"proxies": {"smtpd_upstream_proxy_protocol = haproxy\nsmtpd_upstream_proxy_hosts = 0.0.0.0/0",
			"smtpd_upstream_proxy_hosts (main.cf, line 9)", believed},
		"mynetworks IPv6": {"mynetworks = [::]/0", "mynetworks (main.cf, line 8", "the whole Internet is in it"},

		"some networks":   {"smtpd_relay_restrictions = check_client_access cidr:{{192.0.2.0/24 OK}, {198.51.100.0/24 OK}, {203.0.113.0/24 OK}, {2001:db8::/32 OK}}, reject_unauth_destination", "", ""},
		"some senders":    {"smtpd_relay_restrictions = check_sender_access inline:{invalid=OK, sender.example=OK}, reject_unauth_destination", "", ""},
		"some recipients": {"smtpd_relay_restrictions = check_recipient_access regexp:{{/\\.example$$/ OK}}, reject_unauth_destination", "", ""},
		"texthash":        {"smtpd_relay_restrictions = check_client_access texthash:DIR/clients, reject_unauth_destination", "", ""},
		"behind":          {"smtpd_relay_restrictions = reject_unauth_destination, check_client_access static:OK", "", ""},
		"the other list":  {"smtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination\nsmtpd_recipient_restrictions = reject_unauth_destination", "", ""},
		"the list before": {"smtpd_client_restrictions = permit_mynetworks, reject\nsmtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination", "", ""},
		"undelayed": {"smtpd_delay_reject = no\nsmtpd_client_restrictions = reject_unauth_destination, check_sender_access static:REJECT\n" +
			"smtpd_relay_restrictions = check_client_access static:OK, reject_unauth_destination", "check_client_access static:OK", hole},
		"not OK":           {"smtpd_relay_restrictions = check_client_access static:DUNNO, check_helo_access static:HOLD, reject_unauth_destination", "", ""},
		"fails":            {"smtpd_relay_restrictions = check_client_access fail:x, check_client_access static:OK, reject_unauth_destination", "", ""},
		"discarded":        {"smtpd_relay_restrictions = check_client_access static:DISCARD, reject_unauth_destination", "", ""},
		"a server decides": {"smtpd_relay_restrictions = check_client_access tcp:127.0.0.1:1, reject_unauth_destination", "", ""},
		"own network":      {"smtpd_authorized_xclient_hosts = 127.0.0.0/8, [::1], !static:all", "", ""},
		"XCLIENT server":   {"smtpd_authorized_xclient_hosts = tcp:127.0.0.1:1", "", ""},
		"server in a file": {"smtpd_authorized_xclient_hosts = DIR/servers", "", ""},
		"a proxy":          {"smtpd_upstream_proxy_protocol = haproxy\nsmtpd_upstream_proxy_hosts = 10.0.0.0/8", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkDir(t, checkedTable)
			for file, text := range map[string]string{"everybody": "0.0.0.0/0 OK\n", "servers": "tcp:127.0.0.1:1\n", "networks": "0.0.0.0/0\n", "clients": "client.example OK\n192.0.2 OK\n"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			in := func(s string) string { return strings.ReplaceAll(s, "DIR/", dir+"/") }
			appendFile(t, filepath.Join(dir, "main.cf"), in(c.settings)+"\n")
			status, _, stderr := check(t, "-c", dir)
			if c.want == "" && status != exitOK || c.want != "" && (status != exitConfig || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, in(c.by))) {
				t.Errorf("status %d: %s", status, stderr)
			}
		})
	}
}
