package postconf

import "testing"

func TestForService(t *testing.T) {
	const master = "smtp inet n - n - - smtpd -o header_checks=regexp:/wrong\n" +
		"cleanup unix n - n - 0 cleanup -o body_checks=regexp:/body\n" +
		"sub unix n - n - 0 cleanup -o header_checks=regexp:/sub -o body_checks=\n" +
		"pickup unix n - n 60 1 pickup -o content_filter=smtp:x\n"
	for _, tc := range []struct{ name, service, command, parameter, want, err string }{
		{"the default", "cleanup", "cleanup", "body_checks", "regexp:/body", ""},
		{"main.cf", "cleanup", "cleanup", "header_checks", "regexp:/main", ""},
		{"another", "sub", "cleanup", "header_checks", "regexp:/sub", ""},
		{"by default what header_checks is", "sub", "cleanup", "nested_header_checks", "regexp:/sub", ""},
		{"the first of a command", "", "pickup", "content_filter", "smtp:x", ""},
		{"no service of a command", "", "qmqpd", "header_checks", "regexp:/main", ""},
		{"of another command", "pickup", "cleanup", "", "", `/etc/test/main.cf: no service "pickup" runs cleanup; add it to master.cf, or correct the name`},
		{"a name of nothing", "absent", "cleanup", "", "", `/etc/test/main.cf: no service "absent" runs cleanup; add it to master.cf, or correct the name`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := readBoth(t, "header_checks = regexp:/main\n", master).ForService(tc.service, tc.command)
			if got := errorText(err); got != tc.err {
				t.Fatalf("got %q, want %q", got, tc.err)
			}
			if err != nil {
				return
			}
			if got := c.Get(tc.parameter); got != tc.want {
				t.Errorf("%s: got %s, want %s", tc.parameter, got, tc.want)
			}
		})
	}
}
