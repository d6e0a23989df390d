package main

import (
	"strings"
	"testing"
	"time"
)

func TestQueueWarnings(t *testing.T) {
	for setting, want := range map[string]string{
		"":                               "",
		"minimal_backoff_time = 4000s\n": "",
		"minimal_backoff_time = 2h\n":    "minimal_backoff_time (main.cf, line 6) is longer than maximal_backoff_time (default): mail is tried every 2h; raise maximal_backoff_time or lower minimal_backoff_time",
		"maximal_backoff_time = 60\n":    "minimal_backoff_time (default) is longer than maximal_backoff_time (main.cf, line 6): mail is tried every 300s",
		"maximal_queue_lifetime = 1d\n":  "",
		"maximal_queue_lifetime = 1d\nbounce_queue_lifetime = 2d\n":                         "bounce_queue_lifetime (main.cf, line 7) is longer than maximal_queue_lifetime (main.cf, line 6): bounces are kept for 1d, as other mail; lower bounce_queue_lifetime",
		"bounce_queue_lifetime = 1d\n":                                                      "",
		"qmgr_message_active_limit = 100\n":                                                 "",
		"qmgr_message_active_limit = 99\n":                                                  "qmgr_message_active_limit (main.cf, line 6): with 99 messages in memory",
		"initial_destination_concurrency = 20\n":                                            "",
		"initial_destination_concurrency = 21\n":                                            "initial_destination_concurrency (main.cf, line 6) is 21, and default_destination_concurrency_limit (default) 20: a site gets no more than that to begin with",
		"relay_destination_concurrency_limit = 3\n":                                         "",
		"slow_initial_destination_concurrency = 30\n":                                       "slow_initial_destination_concurrency (main.cf, line 6) is 30, and slow_destination_concurrency_limit (default) 20",
		"default_destination_concurrency_limit = 0\ninitial_destination_concurrency = 90\n": "",
	} {
		got := strings.Join(queueWarnings(configOf(t, setting, "slow unix - - n - - smtp\n")), "\n")
		if !strings.HasPrefix(got, want) || want == "" && got != "" || strings.Count(got, "\n") > 0 {
			t.Errorf("%q\n got %s\nwant %s", setting, got, want)
		}
	}
	// Bounces are kept no longer than other mail, as in Postfix.
	if p := queueParams(configOf(t, "maximal_queue_lifetime = 1d\n", "")); p.BounceQueueLifetime != 24*time.Hour {
		t.Errorf("bounces are kept for %s", p.BounceQueueLifetime)
	}
	// check and start say so.
	if list := operatorWarnings(configOf(t, "qmgr_message_active_limit = 1\n", "")); !strings.Contains(strings.Join(list, "\n"), "qmgr_message_active_limit") {
		t.Errorf("%q", list)
	}
}
