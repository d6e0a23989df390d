package main

import (
	"math"

	"aliasmx/internal/postconf"
)

// recipientLimit is such a limit; 0 is none.
func recipientLimit(cfg *postconf.Config, parameter string) int {
	if n := cfg.Int(parameter); n != 0 {
		return n
	}
	return math.MaxInt
}

// recipientLimits are those that transports have for themselves, as
// smtp_destination_recipient_limit.
func recipientLimits(cfg *postconf.Config) map[string]int {
	names := append([]string{"virtual", "error", "retry", "discard"}, "smtp", "relay", "lmtp")
	for name := range ownTransports(cfg) {
		names = append(names, name)
	}
	limits := make(map[string]int)
	for _, name := range names {
		if parameter := name + "_destination_recipient_limit"; cfg.Set(parameter) {
			limits[name] = recipientLimit(cfg, parameter)
		}
	}
	return limits
}
