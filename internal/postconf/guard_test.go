package postconf

import "testing"

func TestGuards(t *testing.T) {
	const (
		remove  = "remove the line if the mail system may run without"
		correct = "correct the name, or remove the line"
	)
	unsupported := func(name, value string) string {
		return "/etc/test/main.cf, line 1: " + name + " = " + value + " is not supported, and something would go unprotected; " + remove
	}
	unknown := func(name string) string {
		return "/etc/test/main.cf, line 1: unknown parameter " + name + ", whose name says that it restricts something; " + correct
	}
	const smtp = "smtp inet n - n - - smtpd\n"
	for _, tc := range []struct{ name, main, master, want string }{
		{"milter", "smtpd_milters = inet:localhost:8891", "", ""},
		{"checks by a macro", "milter_header_checks = $m\nm = pcre:/x", "", unsupported("milter_header_checks", "pcre:/x")},
		{"no checks by a macro", "milter_header_checks = $m\nm =", "", ""},
		{"restriction classes", "smtpd_restriction_classes = strict\nstrict = reject", "", ""},
		{"no restriction class", "smtpd_restriction_classes = other\nstrict = reject", "", "/etc/test/main.cf, line 2: unknown parameter strict, whose name says that it restricts something; correct the name, or remove the line"},
		{"header checks", "header_checks = regexp:/etc/x", "", ""},
		{"checks of milters", "milter_header_checks = regexp:/etc/x", "", unsupported("milter_header_checks", "regexp:/etc/x")},
		{"a long value is cut", "milter_header_checks = regexp:/a/very/long/name/of/a/file/which/does/not/fit/into/one/line", "",
			unsupported("milter_header_checks", "regexp:/a/very/long/name/of/a/file/which/does/not/fit/into/o...")},
		{"content filter", "content_filter = smtp:127.0.0.1:10025", "", ""},
		{"server TLS, opportunistic", "smtpd_tls_security_level = may", "", ""},
		{"client TLS, a policy", "smtp_tls_policy_maps = hash:/x", "", ""},
		{"client TLS, an old policy", "smtp_tls_per_site = hash:/x", "", "/etc/test/main.cf, line 1: smtp_tls_per_site = hash:/x is not supported, " +
			"and something would go unprotected; write the table anew for smtp_tls_policy_maps: none, may, encrypt in place of MUST_NOPEERMATCH, secure in place of MUST"},
		{"certificate", "smtpd_tls_cert_file = /x.pem", "", ""},
		{"strict", "strict_7bit_headers = yes", "", unsupported("strict_7bit_headers", "yes")},
		{"the default", "strict_mailbox_ownership = yes", "", ""},
		{"reply code", "access_map_reject_code = 555", "", ""},

		{"unknown name", "smtpd_recipient_restriction = reject", "", unknown("smtpd_recipient_restriction")},
		{"unknown, without value", "smtpd_recipient_restriction =", "", ""},
		{"unknown, no", "my_reject_all = no", "", ""},
		{"unknown, 0", "my_block_level = 0", "", ""},
		{"unknown, harmless name", "greeting = hello", "", ""},
		{"macro", "my_reject_list = reject_unauth_destination\nsmtpd_relay_restrictions = permit_mynetworks $my_reject_list", "", ""},
		{"macro that nobody uses", "my_reject_list = x\nother = $my_reject_list", "", unknown("my_reject_list")},
		{"macro of a service", "mua_restrictions = reject", smtp + " -o smtpd_client_restrictions=$mua_restrictions\n", ""},

		{"postscreen enforces", "postscreen_greet_action = enforce", "smtp inet n - n - 1 postscreen\n", ""},

		{"service", "", smtp + "smtps inet n - n - - smtpd -o milter_default_action=accept -o milter_header_checks=pcre:/x\n",
			"/etc/test/master.cf, line 2: milter_header_checks = pcre:/x is not supported, and something would go unprotected; " + remove},
		{"another service", "", smtp + "cleanup unix n - - - 0 cleanup\n -o milter_header_checks=pcre:/x\n",
			"/etc/test/master.cf, line 2: milter_header_checks = pcre:/x is not supported, and something would go unprotected; " + remove},
		{"checks of one transport", "", smtp + "relay unix - - n - - smtp -o smtp_header_checks=pcre:/x\n",
			"/etc/test/master.cf, line 2: -o smtp_header_checks of service relay/unix is not supported, and something would stay in what is sent; set it in main.cf, for all services"},
		{"no checks of one transport", "", smtp + "relay unix - - n - - smtp -o smtp_header_checks=\n", ""},
		{"external command", "", smtp + "x unix - n n - - pipe -o header_checks=x argv=/bin/x\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(optionsOf(tc.main, tc.master))
			if got := errorText(err); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestGuardInEnvironment(t *testing.T) {
	_, err := Load(optionsOf("", "", "POSTFIX_milter_header_checks=pcre:/x"))
	const want = "environment: milter_header_checks = pcre:/x is not supported, and something would go unprotected; remove the line if the mail system may run without"
	if errorText(err) != want {
		t.Errorf("got %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
