package postconf

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGetters(t *testing.T) {
	c := readMain(t, strings.Join([]string{
		"message_size_limit = 5000000000",
		"smtpd_recipient_limit = 7",
		"soft_bounce = YES",
		"maximal_queue_lifetime = 2",
		"smtpd_timeout = 1m",
		"delay_warning_time = 4",
		"virtual_alias_maps = hash:$config_directory/virtual, inline:{ {a = b}, c = d }",
		"smtp_address_preference = IPv4",
		"later = $mine",
		"mine = x",
		"smtpd_banner = $later$later",
		"smtp_tcp_port = submission",
	}, "\n"))
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"bytes", c.Int64("message_size_limit"), int64(5000000000)},
		{"number", c.Int("smtpd_recipient_limit"), 7},
		{"default number", c.Int("smtpd_recipient_overshoot_limit"), 1000},
		{"bool in capitals", c.Bool("soft_bounce"), true},
		{"default bool", c.Bool("disable_vrfy_command"), false},
		{"days by default", c.Duration("maximal_queue_lifetime"), 48 * time.Hour},
		{"hours by default", c.Duration("delay_warning_time"), 4 * time.Hour},
		{"minute", c.Duration("smtpd_timeout"), time.Minute},
		{"default time", c.Duration("smtpd_error_sleep_time"), time.Second},
		{"choice in lower case", c.Get("smtp_address_preference"), "ipv4"},
		{"defined later", c.Get("smtpd_banner"), "xx"},
		{"port name", c.Int("smtp_tcp_port"), 587},
		{"nothing", c.Get("nosuch"), ""},
		{"directory", c.Dir(), "/etc/test"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	want := []string{"hash:/etc/test/virtual", "inline:{ {a = b}, c = d }"}
	if got := c.List("virtual_alias_maps"); !slices.Equal(got, want) {
		t.Errorf("list %q, want %q", got, want)
	}
	if got := c.List("virtual_alias_domains"); !slices.Equal(got, want) {
		t.Errorf("list by default %q, want %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	c, err := Load(optionsOf("mail_name = file\nsmtpd_banner = $mail_name\n", "",
		"PATH=/bin", "POSTFIX_mail_name=environment ", "POSTFIX_smtp_tls_CAfile=/ca", "POSTFIX_PORT=tcp://x", "mail_name=no"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{
		"mail_name":       {"environment", "environment"},
		"smtpd_banner":    {"environment", "main.cf, line 2"},
		"smtp_tls_CAfile": {"/ca", "environment"},
		"mail_owner":      {"postfix", "default"},
	} {
		if got := [2]string{c.Get(name), c.Where(name)}; got != want {
			t.Errorf("%s: value and place %q, want %q", name, got, want)
		}
	}
	if c.Set("PORT") || c.Set("mail_owner") || !c.Set("mail_name") {
		t.Error("Set: PORT is a variable of Kubernetes, mail_owner has its default, mail_name is set")
	}
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
}

func TestOverride(t *testing.T) {
	c := readMain(t, "mail_name = a\nsmtpd_banner = $mail_name\n")
	o, err := c.Override(map[string]string{"mail_name": "b"}, "-o")
	if err != nil {
		t.Fatal(err)
	}
	if o.Get("smtpd_banner") != "b" || c.Get("smtpd_banner") != "a" || o.Where("mail_name") != "-o" {
		t.Errorf("override gives %q at %q, and leaves %q", o.Get("smtpd_banner"), o.Where("mail_name"), c.Get("smtpd_banner"))
	}
	_, err = c.Override(map[string]string{"soft_bounce": "perhaps"}, "demo")
	const want = `demo: soft_bounce: "perhaps" is neither yes nor no; write yes or no`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// loadErrors is what Load says, in one line with file, line, reason and remedy.
var loadErrors = []struct{ name, main, master, want string }{
	{"not a number", "a_ = b\nmessage_size_limit = big\n", "",
		`/etc/test/main.cf, line 2: message_size_limit: "big" is not a whole number; write 0 or more`},
	{"below the range", "smtpd_recipient_limit = 0\n", "",
		`/etc/test/main.cf, line 1: smtpd_recipient_limit: "0" is out of range; write 1 or more`},
	{"code that accepts", "unknown_virtual_alias_reject_code = 250\n", "",
		`/etc/test/main.cf, line 1: unknown_virtual_alias_reject_code: "250" is out of range; write 400 to 599`},
	{"code of the second line", "mail_name = x\n\nrelay_domains_reject_code =\n 55\n", "",
		`/etc/test/main.cf, line 3: relay_domains_reject_code: "55" is out of range; write 400 to 599`},
	{"not a time", "minimal_backoff_time = soon\n", "",
		`/etc/test/main.cf, line 1: minimal_backoff_time: "soon" is not a time; write a number and one of the units s m h d w, as in 300s`},
	{"too long", "smtpd_client_ipv4_prefix_length = 33\n", "",
		`/etc/test/main.cf, line 1: smtpd_client_ipv4_prefix_length: "33" is out of range; write 0 to 32`},
	{"unknown choice", "mynetworks_style = net\n", "",
		`/etc/test/main.cf, line 1: mynetworks_style: "net" is not known; write one of: class, subnet, host`},
	{"choice with none", "smtp_dns_support_level = off\n", "",
		`/etc/test/main.cf, line 1: smtp_dns_support_level: "off" is not known; write one of: nothing at all, disabled, enabled, dnssec`},
	{"unclosed brace", "smtpd_banner = ${mail_name ESMTP\n", "",
		`/etc/test/main.cf, line 1: smtpd_banner: missing '}' after "${mail_name ESMTP"; correct the value`},
	{"loop", "mail_name = $x\nx = $mail_name\n", "",
		`/etc/test/main.cf, line 1: mail_name: the value of mail_name depends on itself: mail_name -> x -> mail_name; correct the value`},
	{"wrong by a reference", "stress = yes\nx = 0\nsmtpd_soft_error_limit = $x\n", "",
		`/etc/test/main.cf, line 3: smtpd_soft_error_limit (by $x, main.cf, line 2): "0" is out of range; write 1 or more`},
	{"default wrong by another", "postscreen_dnsbl_ttl = soon\n", "",
		`/etc/test/main.cf, line 1: postscreen_dnsbl_ttl: it is the default of postscreen_dnsbl_max_ttl, for which "soonh" is not a time; write a number and one of the units s m h d w, as in 300s, or set postscreen_dnsbl_max_ttl`},
	{"default wrong by a reference", "compatibility_level = new\n", "",
		`/etc/test/main.cf, line 1: compatibility_level: "new" is not a compatibility level; write one such as 3.6`},
	{"unused macro", "mine = ${\n", "",
		`/etc/test/main.cf, line 1: mine: missing '}' after "${"; correct the value`},
	{"host name", "myhostname = mx_.example.\n", "",
		`/etc/test/main.cf, line 1: myhostname: "mx_.example." is not a host name: misplaced dot; write a full name such as mx.example.com`},
	{"empty", "mail_owner =\n", "",
		`/etc/test/main.cf, line 1: mail_owner: the value is empty; give it one, or remove the line to have the default`},
	{"relative path", "queue_directory = spool\n", "",
		`/etc/test/main.cf, line 1: queue_directory: "spool" is not an absolute path; begin it with /`},
	{"port", "smtp_tcp_port = nosuch\n", "",
		`/etc/test/main.cf, line 1: smtp_tcp_port: "nosuch" is not a port; write a number from 1 to 65535, or a name from /etc/services`},
	{"origin without file", "myorigin = /nosuch\n", "",
		`/etc/test/main.cf, line 1: myorigin: cannot read the file that myorigin names: open /nosuch: file does not exist; correct the value`},
	{"origin with empty file", "myorigin = /empty\n", "",
		`/etc/test/main.cf, line 1: myorigin: the first line of /empty, which myorigin names, is empty; correct the value`},
	{"interface name", "inet_interfaces = nosuch.example\n", "",
		`/etc/test/main.cf, line 1: inet_interfaces: host not found: "nosuch.example"; write an IP address, or a name that /etc/hosts or the DNS has`},
	{"missing equals sign", "mydestination\n", "",
		`/etc/test/main.cf, line 1: missing '=' after attribute name: "mydestination"; write name = value, or begin the line with # or with a space`},
	{"service override", "", "smtp inet n - n - - smtpd\n587 inet n - n - - smtpd\n -o smtpd_timeout=never\n",
		`/etc/test/master.cf, line 2: smtpd_timeout: "never" is not a time; write a number and one of the units s m h d w, as in 300s`},
}

func TestLoadErrors(t *testing.T) {
	for _, tc := range loadErrors {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(optionsOf(tc.main, tc.master))
			var e *Error
			if !errors.As(err, &e) || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestEnvironmentErrors(t *testing.T) {
	_, err := Load(optionsOf("soft_bounce = no\n", "", "POSTFIX_soft_bounce=1"))
	const want = `environment: soft_bounce: "1" is neither yes nor no; write yes or no`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnreadableFiles(t *testing.T) {
	denied := func(fail string) LoadOptions {
		o := optionsOf("", "")
		read := o.System.ReadFile
		o.System.ReadFile = func(name string) ([]byte, error) {
			if strings.HasSuffix(name, fail) {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
			}
			return read(name)
		}
		return o
	}
	missing := optionsOf("", "")
	missing.Dir = "/nosuch"
	large := optionsOf("# "+strings.Repeat("x", maxFile), "")
	const unreadable = "cannot be read: permission denied; make it readable for the account that starts aliasmx"
	for _, tc := range []struct {
		o    LoadOptions
		want string
	}{
		{missing, "/nosuch/main.cf: cannot be read: file does not exist; create it, or name another configuration directory with -c"},
		{denied("main.cf"), "/etc/test/main.cf: " + unreadable},
		{denied("master.cf"), "/etc/test/master.cf: " + unreadable},
		{large, fmt.Sprintf("/etc/test/main.cf: cannot be read: larger than %d bytes; make it readable for the account that starts aliasmx", maxFile)},
	} {
		if _, err := Load(tc.o); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

func TestErrorWithoutPlace(t *testing.T) {
	for want, e := range map[string]*Error{
		"r":            {Reason: "r"},
		"r; m":         {Reason: "r", Remedy: "m"},
		"f: r; m":      {File: "f", Reason: "r", Remedy: "m"},
		"f, line 2: r": {File: "f", Line: 2, Reason: "r"},
	} {
		if e.Error() != want {
			t.Errorf("got %s, want %s", e, want)
		}
	}
}

// What a Debian installation has in main.cf must load, with a word on what has no
// effect.
func TestDebianMain(t *testing.T) {
	c, err := Load(optionsOf(debianMain, postfixMaster))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "debian.warnings", strings.Join(c.Warnings(), "\n")+"\n")
	if got := c.Get("myorigin"); got != "example.org" {
		t.Errorf("myorigin = %q, want what /etc/mailname says", got)
	}
	if got := c.Get("virtual_alias_domains"); got != "" {
		t.Errorf("virtual_alias_domains = %q", got)
	}
}
