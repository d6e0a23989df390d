package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What start would stop at, check finds.
func TestCheckRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ settings, want string }{
		"the queue is a device":   {"queue_directory = /dev/null\n", "queue_directory (main.cf, line 8): /dev/null is not a directory"},
		"the queue is below one":  {"queue_directory = " + file + "/a/b\n", "queue_directory (main.cf, line 8)"},
		"the log is a directory":  {"maillog_file = DIR\n", "maillog_file (main.cf, line 8): DIR is a directory"},
		"the log is in no place":  {"maillog_file = DIR/none/log\n", "maillog_file (main.cf, line 8): stat DIR/none"},
		"authorities are a file":  {"smtp_tls_CApath = " + file + "\n", "smtp_tls_CApath (main.cf, line 8)"},
		"a default is not blamed": {"virtual_mailbox_maps = texthash:DIR/none\n", "fatal: virtual_mailbox_maps (main.cf, line 8)"},
		"a relay host of no name": {"relayhost = mx..example\n",
			`relayhost (main.cf, line 8): next hop "mx..example": "mx..example" cannot be the name of a host or domain; write a domain, [host] or [host]:port`},
		"a fallback of no name": {"smtp_fallback_relay = a.example, a:b:c\n", `smtp_fallback_relay (main.cf, line 8): next hop "a:b:c"`},
		"a transport to nobody": {"default_transport = smtp:-foo\n", `default_transport (main.cf, line 8): next hop "-foo"`},
		"a relay to nobody":     {"relay_transport = relay:[1.2.3.4.5]\n", `relay_transport (main.cf, line 8): next hop "[1.2.3.4.5]"`},
		"mailboxes at nobody":   {"virtual_transport = lmtp:inet:-a\n", `virtual_transport (main.cf, line 8): next hop "-a"`},
		"DANE without digests": {"tls_dane_digests =\n", "fatal: tls_dane_digests: there is no digest, and the security level is dane: " +
			"no record with a digest would count; write sha512 sha256, or the level may (main.cf, line 8)"},
		"DANE alone without digests": {"smtp_tls_security_level = dane-only\ntls_dane_digests = =1\n", "fatal: tls_dane_digests: there is no digest, and the security level is dane-only: "},
		"an entry of DANE without digests": {"smtp_tls_security_level = may\ntls_dane_digests =\nsmtp_tls_policy_maps = inline:{{dest.example=dane}}\n",
			"fatal: smtp_tls_policy_maps (main.cf, line 10): dest.example: tls_dane_digests: there is no digest"},
		"nobody to verify": {"smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match =\n",
			"fatal: smtp_tls_secure_cert_match: it names nobody, and the security level is secure; write nexthop, dot-nexthop, hostname or a name (main.cf, line 9)"},
		"nobody to verify of old": {"smtp_enforce_tls = yes\nsmtp_tls_verify_cert_match =\n", "fatal: smtp_tls_verify_cert_match: it names nobody"},
		"an entry with nobody to verify": {"lmtp_tls_verify_cert_match =\nlmtp_tls_policy_maps = texthash:DIR/policy\n",
			"fatal: DIR/policy, line 2: dest.example: lmtp_tls_verify_cert_match: it names nobody, and the security level is verify; " +
				"write nexthop, dot-nexthop, hostname or a name (main.cf, line 8)"},
		"a broken fingerprint": {"smtp_tls_security_level = may\nlmtp_tls_fingerprint_cert_match = xyz\n", "lmtp_tls_fingerprint_cert_match: malformed fingerprint value: xyz (main.cf, line 9)"},
		"authorities that are none": {"smtp_tls_CAfile = DIR/main.cf\n",
			"fatal: smtp_tls_CAfile (main.cf, line 8): DIR/main.cf has no certificate in PEM; name a file of authorities such as /etc/ssl/certs/ca-certificates.crt"},
		"authorities that are none for LMTP": {"lmtp_tls_CAfile = DIR/main.cf\n", "fatal: lmtp_tls_CAfile (main.cf, line 8): DIR/main.cf has no certificate in PEM"},
		"a cache is a directory":             {"smtp_tls_mta_sts_cache = btree:DIR\n", "fatal: smtp_tls_mta_sts_cache (main.cf, line 8): DIR is a directory; name a file in it"},
		"a reply filter of rules": {"smtp_dns_reply_filter = regexp:DIR/filter\n",
			`fatal: smtp_dns_reply_filter (main.cf, line 8): DIR/filter, line 2: unknown DNS filter action: "DROP it"; write IGNORE`},
		"a reply filter inline": {"lmtp_dns_reply_filter = inline:{{x=IGNORED}}\n",
			`fatal: lmtp_dns_reply_filter (main.cf, line 8): inline:{{x=IGNORED}}: unknown DNS filter action: "IGNORED"; write IGNORE`},
		"everybody in a class": {"mynetworks = 0.0.0.0/0\nsmtpd_restriction_classes = ours\nours = permit_mynetworks\n" +
			"smtpd_recipient_restrictions = ours, reject_unauth_destination\nsmtpd_relay_restrictions =\n", "the whole Internet is in it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkDir(t, checkedTable)
			if err := os.WriteFile(filepath.Join(dir, "policy"), []byte("match.example verify match=mx.example\ndest.example verify\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "filter"), []byte("/ AAAA (.*)/ ignore $1\n/ A / DROP it\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "main.cf")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(data, strings.ReplaceAll(tc.settings, "DIR", dir)...), 0o600); err != nil {
				t.Fatal(err)
			}
			status, stdout, stderr := check(t, "-c", dir)
			if want := strings.ReplaceAll(tc.want, "DIR", dir); status != exitConfig || !strings.Contains(stderr, want) {
				t.Errorf("status %d, no %q in\n%s%s", status, want, stdout, stderr)
			}
		})
	}
}

// A pattern's letters in the name of a directory are letters.
func TestCheckAuthoritiesName(t *testing.T) {
	dir := checkDir(t, checkedTable)
	odd := filepath.Join(dir, "[ca")
	if err := os.Mkdir(odd, 0o700); err != nil {
		t.Fatal(err)
	}
	appendFile(t, filepath.Join(dir, "main.cf"), "smtp_tls_CApath = "+odd+"\n")
	if status, _, stderr := check(t, "-c", dir); status != exitOK {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// A directory without authorities is as good as none, and said to be so, once for all
// transports.
func TestCheckNobodyIsTrusted(t *testing.T) {
	dir := checkDir(t, checkedTable)
	empty := filepath.Join(dir, "ca")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	appendFile(t, filepath.Join(dir, "main.cf"), "smtp_tls_security_level = secure\nsmtp_tls_CApath = "+empty+"\n")
	appendFile(t, filepath.Join(dir, "master.cf"), "other unix - - n - - smtp\n")
	status, _, stderr := check(t, "-c", dir)
	for _, want := range []string{
		"warning: smtp_tls_CApath (main.cf, line 9): there is no certificate in " + empty + "; install ca-certificates, or name another directory\n",
		"warning: smtp_tls_security_level (main.cf, line 8): secure verifies certificates, and nobody is trusted; set smtp_tls_CAfile = ",
	} {
		if n := strings.Count(stderr, want); n != 1 {
			t.Errorf("%d times %q in %s", n, want, stderr)
		}
	}
	if status != exitOK {
		t.Errorf("status %d", status)
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckRoutes(t *testing.T) {
	dir := checkDir(t, "postmaster@virt.example joe@dest.example\n")
	for name, text := range map[string]string{
		"transport": "good.example smtp:[10.0.0.1]:25\nfast.example smpt:[10.0.0.1]\nport.example smtp:[10.0.0.1]:notaport\nnone.example :\nname.example smtp:mx..example\n",
		"relayhost": "@a.example [10.0.0.1\n@b.example DUNNO\n",
		"canonical": "a@c.example b@c.example\nb@c.example a@c.example\nd@c.example ,,\ne@c.example f@c.example\ng@c.example h@c.example, i@c.example\n",
		"relocated": "x@virt.example nowhere\ny@virt.example 5.1.6 gone\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	appendFile(t, filepath.Join(dir, "main.cf"), strings.ReplaceAll("transport_maps = texthash:DIR/transport\n"+
		"sender_dependent_relayhost_maps = texthash:DIR/relayhost\nrecipient_canonical_maps = texthash:DIR/canonical\n"+
		"relocated_maps = texthash:DIR/relocated\nrelocated_prefix_enable = no\n", "DIR", dir))
	status, stdout, stderr := check(t, "-c", dir)
	for _, w := range []string{
		`DIR/transport, line 2: fast.example: there is no transport "smpt"`,
		"DIR/transport, line 3: port.example: ",
		"DIR/transport, line 5: name.example: next hop \"mx..example\": ",
		"DIR/relayhost, line 1: @a.example: ",
		"DIR/canonical, line 1: a@c.example: leads round in a circle: a@c.example -> b@c.example -> a@c.example",
		"DIR/canonical, line 2: b@c.example: leads round in a circle",
		"DIR/canonical, line 3: d@c.example: \",,\" holds no address",
		"DIR/canonical, line 5: g@c.example: only the first of 2 addresses counts",
		"DIR/relocated, line 1: x@virt.example: \"nowhere\" must begin with a status",
	} {
		if !strings.Contains(stderr, strings.ReplaceAll(w, "DIR", dir)) {
			t.Errorf("no %q", w)
		}
	}
	if status != exitOK || !strings.Contains(stdout, "with 9 warnings") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if _, stdout, _ := check(t, "-c", dir, "--json"); strings.Count(stdout, `"kind":"route"`) != 4 {
		t.Errorf("JSON: %s", stdout)
	}
}

// A mark that an editor put before the first key is told.
func TestCheckByteOrderMark(t *testing.T) {
	dir := checkDir(t, "\ufeffpostmaster@virt.example joe@dest.example\n")
	if _, _, stderr := check(t, "-c", dir); !strings.Contains(stderr, "virtual, line 1: the first key begins with a byte order mark") {
		t.Error(stderr)
	}
}
