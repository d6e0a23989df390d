package postconf

import (
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	const smtp = "smtp inet n - n - - smtpd\n"
	for _, tc := range []struct {
		name, main, master string
		want               []string
	}{
		{"nothing", "mail_name = x", smtp, nil},
		{"unused", "foo=bar", smtp, []string{"main.cf: unused parameter: foo=bar"}},
		{"used by one that is unused", "foo = $bar\nbar = x", smtp,
			[]string{"main.cf: unused parameter: foo=$bar", "main.cf: unused parameter: bar=x"}},
		{"used", "foo = $bar\nbar = x\nmail_name = ${foo?y}", smtp, nil},
		{"used in a comparison", "foo = x\nmail_name = ${{$foo} == {x} ? {a} : {b}}", smtp, nil},
		{"undefined", "mail_name = $foo ${foo?x} $bar", smtp,
			[]string{"main.cf: undefined parameter: foo", "main.cf: undefined parameter: bar"}},
		{"undefined, but known", "mail_name = x$stress$smtpd_sasl_path", smtp, nil},
		{"undefined where it does not matter", "luser_relay = $local@example.org", smtp,
			[]string{"main.cf, line 1: luser_relay is not supported and has no effect"}},
		{"unsupported", "default_recipient_refill_delay = 6s", smtp,
			[]string{"main.cf, line 1: default_recipient_refill_delay is not supported and has no effect"}},
		{"unsupported, empty", "default_recipient_refill_delay =", smtp, nil},
		{"unsupported, the default", "smtpd_tls_enable_rpk = no", smtp, nil},
		{"old name that a default mentions", "virtual_maps = hash:/x", smtp, nil},
		{"plumbing", "daemon_directory = /x\nbiff = no\nalias_maps = hash:/x", smtp, nil},
		{"twice", "mail_name = a\nmail_name = b", smtp, []string{"main.cf, line 2: overriding earlier entry: mail_name=a"}},

		{"service, known", "", smtp + " -o syslog_name=postfix/x -o smtpd_timeout=3\n", nil},
		{"service, unused", "", smtp + " -o foo=bar\n", []string{"master.cf: unused parameter: foo=bar"}},
		{"service, unsupported", "", smtp + " -o smtpd_tls_enable_rpk=yes\n",
			[]string{"master.cf, line 1: smtpd_tls_enable_rpk is not supported and has no effect"}},
		{"service that is none of ours", "", smtp + "qmgr unix n - n 300 1 qmgr -o syslog_name=x -o smtp_helo_timeout=5\n",
			[]string{"master.cf, line 2: -o smtp_helo_timeout of service qmgr/unix has no effect: set it in main.cf"}},
		{"service that sends", "", smtp + "relay unix - - n - - smtp -o syslog_name=x -o smtp_helo_timeout=5 -o maximal_queue_lifetime=1d\n",
			[]string{"master.cf, line 2: -o maximal_queue_lifetime of service relay/unix has no effect: set it in main.cf"}},
		{"checks of a cleanup service", "", smtp + "sub unix n - n - 0 cleanup -o header_checks=regexp:/x -o mime_nesting_limit=5\n", nil},
		{"checks of a listener", "", smtp + " -o header_checks=regexp:/x\n",
			[]string{"master.cf, line 1: -o header_checks of service smtp/inet has no effect: set it in main.cf"}},
		{"filter of a listener", "", smtp + " -o content_filter=smtp:x -o receive_override_options=no_milters\n", nil},
		{"filter of pickup", "", smtp + "pickup unix n - n 60 1 pickup -o content_filter=smtp:x -o header_checks=regexp:/x\n",
			[]string{"master.cf, line 2: -o header_checks of service pickup/unix has no effect: set it in main.cf"}},
		{"external command", "", smtp + "x unix - n n - - pipe -o foo=bar argv=/x\n", nil},
		{"service twice", "", smtp + smtp, []string{"master.cf, line 2: service smtp/inet replaces the one on line 1"}},
		{"no listener", "", "qmgr unix n - n 300 1 qmgr\n",
			[]string{"master.cf: no inet service runs smtpd: nothing listens for mail"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, w := range readBoth(t, tc.main, tc.master).Warnings() {
				got = append(got, strings.TrimPrefix(w, "/etc/test/"))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
