package postconf

import (
	"fmt"
	"strings"
	"testing"
)

func TestSenders(t *testing.T) {
	c := readBoth(t, "smtp_helo_name = main.example", "smtp inet n - n - - smtpd\n"+
		"smtp unix - - n - - smtp\nrelay unix - - n - - smtp -o syslog_name=postfix/$service_name -o smtp_helo_name=$service_name.example\n"+
		"lmtp unix - - n - - lmtp\nslow unix - - n - - smtp -o smtp_helo_timeout=5\nx unix - n n - - pipe\ny inet n - n - - smtp\n")
	list, err := c.Senders()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range list {
		got = append(got, fmt.Sprint(s.Name, s.Command, s.Own, s.Config.Get("smtp_helo_name"), s.Config.Duration("smtp_helo_timeout")))
	}
	want := "smtp smtp false main.example 5m0s; relay smtp true relay.example 5m0s; lmtp lmtp false main.example 5m0s; slow smtp true main.example 5s"
	if text := strings.Join(got, "; "); strings.ReplaceAll(text, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if list[1].Config.Get("syslog_name") != "postfix/relay" || !strings.HasSuffix(list[1].Where, "master.cf, line 3") {
		t.Errorf("%s at %s", list[1].Config.Get("syslog_name"), list[1].Where)
	}
	_, err = readBoth(t, "", "x unix - - n - - smtp -o smtp_helo_timeout=soon\n").Senders()
	if err == nil || !strings.Contains(err.Error(), "master.cf, line 1: smtp_helo_timeout") {
		t.Errorf("error %v", err)
	}
}

// A recipient limit counts for each transport that there is, and has to be a number.
func TestRecipientLimits(t *testing.T) {
	const master = "smtp inet n - n - - smtpd\nslow unix - - n - - smtp\nx unix - n n - - pipe\n"
	c := readBoth(t, "lmtp_destination_recipient_limit = 1\nslow_destination_recipient_limit = 2\nx_destination_recipient_limit = 3\n", master)
	got := strings.Join(c.Warnings(), "; ")
	if !strings.Contains(got, "x_destination_recipient_limit is not supported") || strings.Contains(got, "slow") || strings.Contains(got, "lmtp") {
		t.Errorf("warnings %s", got)
	}
	if c.Int("slow_destination_recipient_limit") != 2 || c.Int("smtp_destination_recipient_limit") != 50 {
		t.Errorf("slow %d, smtp %d", c.Int("slow_destination_recipient_limit"), c.Int("smtp_destination_recipient_limit"))
	}
	for _, name := range []string{"lmtp", "slow"} {
		err := readBoth(t, name+"_destination_recipient_limit = many\n", master).Check()
		if err == nil || !strings.Contains(err.Error(), name+"_destination_recipient_limit") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
