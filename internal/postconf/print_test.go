package postconf

import (
	"slices"
	"strings"
	"testing"
)

const printMain = `# to print
myhostname = mx.example.org
myorigin = /etc/mailname
virtual_alias_maps =
	hash:/etc/aliasmx/virtual,
	inline:{ {a@example.org   = b@example.net} }
mua = permit_mynetworks,   reject
smtpd_client_restrictions = $mua
smtpd_relay_restrictions = permit_mynetworks
    # nobody else
    reject_unauth_destination
transport_maps = hash:/etc/aliasmx/transport
virtual_alias_domains = one.example two.example three.example four.example five.example six.example
unused_macro = x
`

const printMaster = `smtp inet n - n - - smtpd
127.0.0.1:10025 inet n - n - 1 smtpd -v -o syslog_name=postfix/$service_name -o { mynetworks = 127.0.0.0/8  [::1] } -o message_size_limit=
scalemail-backend unix - n n - 2 pipe flags=R user=scalemail argv=/usr/lib/scalemail/bin/scalemail-store ${nexthop} ${user} { a b }
postlog unix-dgram n - n - 1 postlogd
`

func TestPrintGolden(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options PrintOptions
	}{
		{"explicit", PrintOptions{Explicit: true}},
		{"explicit-fold", PrintOptions{Explicit: true, Fold: true}},
		{"explicit-expand", PrintOptions{Explicit: true, Expand: true}},
		{"explicit-names", PrintOptions{Explicit: true, NamesOnly: true}},
		{"explicit-values", PrintOptions{Explicit: true, ValuesOnly: true}},
		{"all", PrintOptions{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			unknown, err := readMain(t, printMain).Print(&out, nil, tc.options)
			if err != nil || unknown != nil {
				t.Fatal(unknown, err)
			}
			golden(t, tc.name+".golden", out.String())
		})
	}
	t.Run("defaults", func(t *testing.T) {
		var out strings.Builder
		o := optionsOf("", "")
		if _, err := Defaults(o).Print(&out, nil, PrintOptions{Defaults: true}); err != nil {
			t.Fatal(err)
		}
		golden(t, "defaults.golden", out.String())
	})
	for _, tc := range []struct {
		name    string
		options PrintOptions
	}{
		{"master", PrintOptions{}}, {"master-fold", PrintOptions{Fold: true}}, {"master-expand", PrintOptions{Expand: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			if _, err := readBoth(t, printMain, printMaster).PrintServices(&out, nil, tc.options); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name+".golden", out.String())
		})
	}
}

func TestPrintNames(t *testing.T) {
	for _, tc := range []struct {
		name    string
		names   []string
		options PrintOptions
		want    string
		unknown []string
	}{
		{"in the order asked for", []string{"mail_name", "myhostname"}, PrintOptions{}, "mail_name = Postfix\nmyhostname = mx.example.org\n", nil},
		{"value", []string{"myhostname"}, PrintOptions{ValuesOnly: true}, "mx.example.org\n", nil},
		{"no value", []string{"relayhost"}, PrintOptions{}, "relayhost =\n", nil},
		{"default", []string{"myhostname", "smtpd_banner"}, PrintOptions{Defaults: true}, "myhostname = vm.localdomain\nsmtpd_banner = $myhostname ESMTP $mail_name\n", nil},
		{"expanded", []string{"smtpd_client_restrictions", "smtpd_banner"}, PrintOptions{Expand: true},
			"smtpd_client_restrictions = permit_mynetworks, reject\nsmtpd_banner = mx.example.org ESMTP Postfix\n", nil},
		{"origin as written", []string{"myorigin"}, PrintOptions{Expand: true}, "myorigin = /etc/mailname\n", nil},
		{"explicit only", []string{"myhostname", "mail_name"}, PrintOptions{Explicit: true}, "myhostname = mx.example.org\n", nil},
		{"macro", []string{"mua"}, PrintOptions{}, "mua = permit_mynetworks, reject\n", nil},
		{"unsupported", []string{"smtpd_hide_client_session"}, PrintOptions{}, "smtpd_hide_client_session = no\n", nil},
		{"of a transport", []string{"smtp_destination_rate_delay"}, PrintOptions{Expand: true}, "smtp_destination_rate_delay = 0s\n", nil},
		{"unknown", []string{"nosuch", "mail_name", "unused_macro"}, PrintOptions{}, "mail_name = Postfix\n", []string{"nosuch", "unused_macro"}},
		{"macro has no default", []string{"mua"}, PrintOptions{Defaults: true}, "", []string{"mua"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			unknown, err := readMain(t, printMain).Print(&out, tc.names, tc.options)
			if err != nil || out.String() != tc.want || !slices.Equal(unknown, tc.unknown) {
				t.Errorf("got %q, unknown %q, %v; want %q, %q", out.String(), unknown, err, tc.want, tc.unknown)
			}
		})
	}
}

func TestPrintBroken(t *testing.T) {
	c := readMain(t, "mail_name = ${\n")
	var out strings.Builder
	if _, err := c.Print(&out, []string{"mail_name"}, PrintOptions{}); err != nil || out.String() != "mail_name = ${\n" {
		t.Errorf("as written: %q, %v", out.String(), err)
	}
	_, err := c.Print(&out, []string{"mail_name"}, PrintOptions{Expand: true})
	const want = `/etc/test/main.cf, line 1: mail_name: missing '}' after "${"; correct the value`
	if err == nil || err.Error() != want {
		t.Errorf("expanded: got %v, want %s", err, want)
	}
}

func TestPrintServicePatterns(t *testing.T) {
	c := readBoth(t, "", "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\nrelay unix - - n - - smtp\n")
	for _, tc := range []struct {
		patterns, want string
		unmatched      []string
	}{
		{"smtp", "smtp/inet smtp/unix", nil},
		{"smtp/unix", "smtp/unix", nil},
		{"*/unix", "smtp/unix relay/unix", nil},
		{"relay/* smtp/inet", "smtp/inet relay/unix", nil},
		{"nosuch smtp/pass relay", "relay/unix", []string{"nosuch", "smtp/pass"}},
	} {
		var out strings.Builder
		unmatched, err := c.PrintServices(&out, strings.Fields(tc.patterns), PrintOptions{})
		var got []string
		for line := range strings.Lines(out.String()) {
			f := strings.Fields(line)
			got = append(got, f[0]+"/"+f[1])
		}
		if err != nil || strings.Join(got, " ") != tc.want || !slices.Equal(unmatched, tc.unmatched) {
			t.Errorf("%s: got %q, unmatched %q, %v", tc.patterns, got, unmatched, err)
		}
	}
}
