package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"aliasmx/internal/postconf"
	"aliasmx/queue"
)

// The limits of transports: those of all, default_*, and those that each has for itself,
// as in smtp_destination_concurrency_limit (postconf(5): transport_...).

// defaultTransportParams are those of transports that nobody has named.
func defaultTransportParams(cfg *postconf.Config) queue.TransportParams {
	return queue.TransportParams{
		ConcurrencyLimit:     cfg.Int("default_destination_concurrency_limit"),
		InitialConcurrency:   cfg.Int("initial_destination_concurrency"),
		PositiveFeedback:     feedback(cfg, "default_destination_concurrency_positive_feedback"),
		NegativeFeedback:     feedback(cfg, "default_destination_concurrency_negative_feedback"),
		FailedCohortLimit:    float64(cfg.Int("default_destination_concurrency_failed_cohort_limit")),
		DestinationRateDelay: cfg.Duration("default_destination_rate_delay"),
		TransportRateDelay:   cfg.Duration("default_transport_rate_delay"),
	}
}

// transportParams are those of every transport there is, complete: what one does not set
// is the default.
func transportParams(cfg *postconf.Config) map[string]queue.TransportParams {
	all := make(map[string]queue.TransportParams)
	for _, name := range append(slices.Clone(transportNames), slices.Sorted(maps.Keys(ownTransports(cfg)))...) {
		all[name] = queue.TransportParams{
			ConcurrencyLimit:     cfg.Int(name + "_destination_concurrency_limit"),
			InitialConcurrency:   cfg.Int(name + "_initial_destination_concurrency"),
			PositiveFeedback:     feedback(cfg, name+"_destination_concurrency_positive_feedback"),
			NegativeFeedback:     feedback(cfg, name+"_destination_concurrency_negative_feedback"),
			FailedCohortLimit:    float64(cfg.Int(name + "_destination_concurrency_failed_cohort_limit")),
			DestinationRateDelay: cfg.Duration(name + "_destination_rate_delay"),
			TransportRateDelay:   cfg.Duration(name + "_transport_rate_delay"),
		}
	}
	// local_destination_concurrency_limit is for one local name, and internal/local obeys it:
	// the destination of local mail, as the queue sees it, is all of them.
	local := all["local"]
	local.ConcurrencyLimit = cfg.Int("default_destination_concurrency_limit")
	all["local"] = local
	limitByProcesses(cfg, all)
	return all
}

// limitByProcesses takes the process limit of a service in master.cf for one of its
// sites: it is what keeps more than so many letters away from a content filter.
func limitByProcesses(cfg *postconf.Config, all map[string]queue.TransportParams) {
	for _, s := range cfg.Services() {
		most, err := strconv.Atoi(s.ProcessLimit)
		p, known := all[s.Name]
		if err != nil || most <= 0 || !known || s.Type != "unix" || s.Command != "smtp" && s.Command != "lmtp" {
			continue
		}
		p.ProcessLimit = most
		all[s.Name] = p
	}
}

// feedback is how much an event moves the concurrency.
func feedback(cfg *postconf.Config, parameter string) queue.Feedback {
	f := cfg.Feedback(parameter)
	return queue.Feedback{Num: f.Step, Per: map[postconf.FeedbackOver]queue.FeedbackPer{
		postconf.OverNothing:         queue.PerNothing,
		postconf.OverConcurrency:     queue.PerWindow,
		postconf.OverSqrtConcurrency: queue.PerRoot,
	}[f.Over]}
}

// transportWarnings tells of a limit that another one makes smaller.
func transportWarnings(cfg *postconf.Config) (list []string) {
	const name = "smtp_destination_concurrency_limit"
	source, host := cfg.Source(name), cfg.Int("smtp_host_connection_limit")
	if n := cfg.Int(name); cfg.Set(source) && host > 0 && n > host {
		list = append(list, fmt.Sprintf("%s (%s): %d connections to a site, but no more than %d to one address; raise smtp_host_connection_limit if a site with one host is to get them",
			source, cfg.Where(source), n, host))
	}
	return list
}
