package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"aliasmx/delivery"
)

// What is proven of a configuration beyond each parameter by itself, before anything is
// served under it.

// transportNames are what a destination can name.
var transportNames = []string{"smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"}

// checkRoute says what is wrong with a transport and its next hop.
func (v *view) checkRoute(transport, nextHop string) error {
	own := ownTransports(v.cfg)
	if like := own[transport]; like != "" {
		transport = like
	}
	if !slices.Contains(transportNames, transport) {
		known := append(slices.Clone(transportNames), slices.Sorted(maps.Keys(own))...)
		return fmt.Errorf("there is no transport %q; known: %s; or define it in master.cf as a unix service that runs smtp or lmtp", transport, strings.Join(known, " "))
	}
	if nextHop != "" && slices.Contains([]string{"smtp", "relay", "lmtp"}, transport) {
		return delivery.CheckNextHop(transport, nextHop)
	}
	return nil
}

// proveNextHops refuses transports that are not there and next hops that are none: mail
// would be taken, and wait for days for nothing.
func (v *view) proveNextHops() error {
	for _, parameter := range []string{"default_transport", "relay_transport", "virtual_transport", "local_transport"} {
		name, nextHop, _ := strings.Cut(v.cfg.Get(parameter), ":")
		if err := v.checkRoute(name, nextHop); err != nil {
			return fmt.Errorf("%s (%s): %w", parameter, v.cfg.Where(parameter), err)
		}
	}
	if best := v.cfg.Get("best_mx_transport"); best != "" {
		name, nextHop, _ := strings.Cut(best, ":")
		err := v.checkRoute(name, nextHop)
		if name == "virtual" || name == "local" && v.aliases == nil {
			err = fmt.Errorf("there is no delivery to mailboxes; name smtp, lmtp, or a service of master.cf")
		}
		if err != nil {
			return fmt.Errorf("best_mx_transport (%s): %w", v.cfg.Where("best_mx_transport"), err)
		}
	}
	if hop := v.cfg.Get("relayhost"); hop != "" {
		if err := delivery.CheckNextHop("smtp", hop); err != nil {
			return fmt.Errorf("relayhost (%s): %w; write a domain, [host] or [host]:port", v.cfg.Where("relayhost"), err)
		}
	}
	return nil
}
