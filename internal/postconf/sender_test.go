package postconf

import (
	"fmt"
	"strings"
	"testing"
	"time"
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

// How much a service sends at a time is set in main.cf: with -o it has no effect, as in
// Postfix, where that is easily missed.
func TestSendersLimitsAreInMain(t *testing.T) {
	c := readBoth(t, "", `smtp inet n - n - - smtpd
slow unix - - n - - smtp
  -o smtp_destination_concurrency_limit=1
  -o smtp_shaping_maps=hash:/x
  -o smtp_host_connection_limit=1
`)
	got := strings.Join(c.Warnings(), "\n")
	for name, want := range map[string]bool{"smtp_destination_concurrency_limit": true, "smtp_shaping_maps": true, "smtp_host_connection_limit": false} {
		if strings.Contains(got, "-o "+name+" of service slow/unix has no effect: set it in main.cf") != want {
			t.Errorf("%s: want a warning: %v\n%s", name, want, got)
		}
	}
}

// Parameters of transports have the types of those behind them.
func TestTransportParameterTypes(t *testing.T) {
	const master = "smtp inet n - n - - smtpd\nslow unix - - n - - smtp\npipe unix - n n - - pipe\n"
	c := readBoth(t, `slow_destination_rate_delay = 2m
smtp_transport_rate_delay = 3
default_destination_rate_delay = 7
lmtp_destination_concurrency_positive_feedback = 1 / sqrt_concurrency
pipe_destination_concurrency_limit = 1
`, master)
	for name, want := range map[string]time.Duration{
		"slow_destination_rate_delay": 2 * time.Minute, "smtp_transport_rate_delay": 3 * time.Second,
		"relay_destination_rate_delay": 7 * time.Second, "slow_transport_rate_delay": 0,
	} {
		if got := c.Duration(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]Feedback{
		"lmtp_destination_concurrency_positive_feedback": {1, OverSqrtConcurrency}, "slow_destination_concurrency_negative_feedback": {0.25, OverNothing},
	} {
		if got := c.Feedback(name); got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if got := strings.Join(c.Warnings(), "\n"); !strings.Contains(got, "pipe_destination_concurrency_limit is not supported") || strings.Count(got, "not supported") != 1 {
		t.Error(got)
	}
}
