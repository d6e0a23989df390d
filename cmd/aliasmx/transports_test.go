package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

func configOf(t *testing.T, mainCF, masterCF string) *postconf.Config {
	t.Helper()
	dir := explainDir(t, explainMainCF+mainCF)
	if err := os.WriteFile(filepath.Join(dir, "master.cf"), []byte("smtp inet n - n - - smtpd\n"+masterCF), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(dir, environ{getenv: func(string) string { return "" }, environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Each transport has its own parameters, those of all behind them, and Postfix's forms of a
// feedback.
func TestTransportParams(t *testing.T) {
	all := queueParams(configOf(t, `default_destination_concurrency_limit = 12
default_destination_rate_delay = 0
initial_destination_concurrency = 3
default_destination_concurrency_positive_feedback = 1/concurrency
default_destination_concurrency_feedback_debug = yes
destination_concurrency_feedback_debug = yes
default_transport_rate_delay = 0s
smtp_destination_concurrency_limit = 0
smtp_destination_concurrency_failed_cohort_limit = 0
relay_destination_concurrency_negative_feedback = 2/4
relay_destination_rate_delay = 1m
lmtp_initial_destination_concurrency = 1
slow_destination_concurrency_positive_feedback = 1 / sqrt_concurrency
slow_transport_rate_delay = 2s
local_destination_concurrency_limit = 1
in_flow_delay = 2s
`, "slow unix - - n - - smtp\nfilter unix - - n - 4 smtp\nwide unix - - n - 90 smtp\nother unix - - n - 1 pipe\n"))
	usual := queue.TransportParams{
		ConcurrencyLimit: 12, InitialConcurrency: 3, FailedCohortLimit: 2,
		PositiveFeedback: queue.Feedback{Num: 1, Per: queue.PerWindow}, NegativeFeedback: queue.Feedback{Num: 0.25},
	}
	want := map[string]queue.TransportParams{}
	for _, name := range []string{"smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard", "slow", "filter", "wide"} {
		want[name] = usual
	}
	change := func(name string, f func(*queue.TransportParams)) {
		p := want[name]
		f(&p)
		want[name] = p
	}
	change("smtp", func(p *queue.TransportParams) { p.ConcurrencyLimit, p.FailedCohortLimit = 0, 0 })
	change("relay", func(p *queue.TransportParams) {
		p.NegativeFeedback.Num, p.DestinationRateDelay = 0.5, time.Minute
	})
	change("lmtp", func(p *queue.TransportParams) { p.InitialConcurrency = 1 })
	change("slow", func(p *queue.TransportParams) {
		p.PositiveFeedback.Per, p.TransportRateDelay = queue.PerRoot, 2*time.Second
	})
	change("filter", func(p *queue.TransportParams) { p.ProcessLimit = 4 })
	change("wide", func(p *queue.TransportParams) { p.ProcessLimit = 90 })
	if all.Default != usual {
		t.Errorf("default %+v, want %+v", all.Default, usual)
	}
	for name, p := range want {
		if all.Transports[name] != p {
			t.Errorf("%s %+v\nwant %+v", name, all.Transports[name], p)
		}
	}
	if len(all.Transports) != len(want) {
		t.Errorf("%d transports, want %d", len(all.Transports), len(want))
	}
	if all.InFlowDelay != 2*time.Second {
		t.Errorf("in_flow_delay %s", all.InFlowDelay)
	}
}

// What is not set is what the queue has by itself.
func TestTransportDefaults(t *testing.T) {
	if got := defaultTransportParams(configOf(t, "", "")); got != queue.DefaultTransportParams() {
		t.Errorf("got %+v, want %+v", got, queue.DefaultTransportParams())
	}
}

// A mistake stops the start, by any transport's name.
func TestTransportMistakes(t *testing.T) {
	for setting, want := range map[string]string{
		"slow_destination_concurrency_limit = many":                "slow_destination_concurrency_limit: \"many\" is not a whole number",
		"smtp_destination_rate_delay = soon":                       "smtp_destination_rate_delay: \"soon\" is not a time",
		"relay_destination_concurrency_positive_feedback = 4/2":    "relay_destination_concurrency_positive_feedback: \"4/2\" is not a feedback",
		"virtual_initial_destination_concurrency = 0":              "virtual_initial_destination_concurrency: \"0\" is out of range",
		"error_destination_concurrency_failed_cohort_limit = none": "error_destination_concurrency_failed_cohort_limit: \"none\" is not a whole number",
		"in_flow_delay = 11s":                                      "in_flow_delay: \"11s\" is out of range",
	} {
		dir := explainDir(t, explainMainCF+setting+"\n")
		if err := os.WriteFile(filepath.Join(dir, "master.cf"), []byte("smtp inet n - n - - smtpd\nslow unix - - n - - smtp\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := check(t, "-c", dir); status != exitConfig || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s", setting, status, stderr)
		}
	}
}

// More connections to a site than to a host: with one host the lesser counts.
func TestTransportWarnings(t *testing.T) {
	for setting, want := range map[string]string{
		"": "",
		"smtp_destination_concurrency_limit = 20\n":                                  "",
		"smtp_destination_concurrency_limit = 21\n":                                  "smtp_destination_concurrency_limit (main.cf, line 6): 21 connections to a site, but no more than 20 to one address",
		"default_destination_concurrency_limit = 50\n":                               "default_destination_concurrency_limit (main.cf, line 6): 50 connections",
		"smtp_destination_concurrency_limit = 50\nsmtp_host_connection_limit = 0\n":  "",
		"smtp_destination_concurrency_limit = 50\nsmtp_host_connection_limit = 50\n": "",
		"smtp_host_connection_limit = 5\n":                                           "",
	} {
		got := strings.Join(transportWarnings(configOf(t, setting, "")), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q\n got %s\nwant %s", setting, got, want)
		}
	}
}
