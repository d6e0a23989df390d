package main

import (
	"fmt"
	"maps"
	"slices"

	"aliasmx/internal/postconf"
)

// fewActive is fewer messages in memory than a queue of any size can be sent with.
const fewActive = 100

// queueWarnings tells of times and limits that contradict each other, and of which holds.
func queueWarnings(cfg *postconf.Config) (list []string) {
	at := func(parameter string) string { return parameter + " (" + cfg.Where(parameter) + ")" }
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }

	const least, most = "minimal_backoff_time", "maximal_backoff_time"
	if cfg.Duration(least) > cfg.Duration(most) {
		add("%s is longer than %s: mail is tried every %s; raise %s or lower %s", at(least), at(most), cfg.Get(least), most, least)
	}
	const bounce, mail = "bounce_queue_lifetime", "maximal_queue_lifetime"
	if cfg.Set(bounce) && cfg.Duration(bounce) > cfg.Duration(mail) {
		add("%s is longer than %s: bounces are kept for %s, as other mail; lower %s", at(bounce), at(mail), cfg.Get(mail), bounce)
	}
	const active = "qmgr_message_active_limit"
	if n := cfg.Int(active); n < fewActive {
		add("%s: with %d messages in memory, few slow sites keep all others waiting; write %d or more", at(active), n, fewActive)
	}
	names := append([]string{"smtp", "relay", "lmtp"}, slices.Sorted(maps.Keys(ownTransports(cfg)))...)
	for _, name := range append(names, "") {
		initial, limit := name+"_initial_destination_concurrency", cfg.Source(name+"_destination_concurrency_limit")
		if name == "" { // of all transports
			initial, limit = "initial_destination_concurrency", "default_destination_concurrency_limit"
		}
		if n, high := cfg.Int(initial), cfg.Int(limit); cfg.Set(initial) && high > 0 && n > high {
			add("%s is %d, and %s %d: a site gets no more than that to begin with; lower %s", at(initial), n, at(limit), high, initial)
		}
	}
	return list
}
