package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// What is proven of a configuration beyond each parameter by itself, before anything is
// served under it.

// strangers are addresses all over the Internet. Networks that hold every one of them are
// no networks of anybody's.
var strangers = []netip.Addr{
	netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("64.233.160.1"),
	netip.MustParseAddr("130.237.1.1"), netip.MustParseAddr("202.12.27.33"),
}

// relaysForStrangers refuses a configuration under which everybody may relay although
// its restrictions look as if not: because every client is in mynetworks, or every domain
// in relay_domains.
func (v *view) relaysForStrangers(cfg *postconf.Config, where string, o *smtpd.Options) error {
	ctx := context.Background()
	networks := o.MyNetworks
	if networks != nil && (smtpd.Permits(o.Relay, "permit_mynetworks") || smtpd.Permits(o.Recipient, "permit_mynetworks")) {
		inside := 0
		for _, addr := range strangers {
			if ok, err := networks.Match(ctx, "unknown", addr); ok && err == nil {
				inside++
			}
		}
		if inside == len(strangers) {
			return fmt.Errorf("mynetworks (%s; listener at %s): the whole Internet is in it, and permit_mynetworks would make this an open relay; "+
				"list your own networks only", cfg.Where("mynetworks"), where)
		}
	}
	everywhere := true
	for _, domain := range []string{"a-domain-of-nobody.invalid", "another.one.test", "example.net"} {
		class, err := v.resolver.Class(ctx, mail.Address{Local: "x", Domain: domain})
		everywhere = everywhere && err == nil && class == mail.ClassRelay
	}
	if everywhere {
		return fmt.Errorf("relay_domains (%s): every domain is in it, which would make this an open relay; list the domains that you relay for",
			v.cfg.Where("relay_domains"))
	}
	return nil
}

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
	if hop := v.cfg.Get("relayhost"); hop != "" {
		if err := delivery.CheckNextHop("smtp", hop); err != nil {
			return fmt.Errorf("relayhost (%s): %w; write a domain, [host] or [host]:port", v.cfg.Where("relayhost"), err)
		}
	}
	return nil
}
