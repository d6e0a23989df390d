package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// That a configuration is no open relay, although its restrictions look as if not.

// addressesOf4 and addressesOf6 are addresses all over the Internet, and of documentation
// (RFC 5737, RFC 3849). What holds every one of either is nothing of anybody's.
var (
	addressesOf4 = []netip.Addr{
		netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("64.233.160.1"),
		netip.MustParseAddr("130.237.1.1"), netip.MustParseAddr("202.12.27.33"),
		netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("198.51.100.77"), netip.MustParseAddr("203.0.113.77"),
	}
	addressesOf6 = []netip.Addr{
		netip.MustParseAddr("2001:db8:4d::77"), netip.MustParseAddr("2001:500:2::c"), netip.MustParseAddr("2400:cb00::1"),
		netip.MustParseAddr("2620:fe::fe"), netip.MustParseAddr("2a00:1450::77"),
	}
)

// strangersAt are clients at addresses, with names that no table means.
func strangersAt(addresses []netip.Addr) []smtpd.Stranger {
	domains := []string{"invalid", "example", "test", "example.net"}
	var all []smtpd.Stranger
	for i, addr := range addresses {
		n := strconv.Itoa(i)
		domain := func(label string, j int) string { return label + "-of-nobody-" + n + "." + domains[(i+j)%len(domains)] }
		all = append(all, smtpd.Stranger{
			Addr: addr, Helo: domain("host", 0),
			Sender:    mail.Address{Local: "stranger" + n, Domain: domain("sender", 1)},
			Recipient: mail.Address{Local: "victim" + n, Domain: domain("recipient", 2)},
		})
	}
	return all
}

// holdsEverybody tells whether a list of clients holds all of IPv4 or all of IPv6.
func holdsEverybody(l smtpd.Networks) bool {
	for _, addresses := range [][]netip.Addr{addressesOf4, addressesOf6} {
		if !slices.ContainsFunc(addresses, func(addr netip.Addr) bool {
			in, err := l.Match(context.Background(), "unknown", addr)
			return !in || err != nil
		}) {
			return true
		}
	}
	return false
}

// relaysForStrangers refuses a configuration under which everybody may relay: because
// every client is in mynetworks or can say that it is, because every domain is in
// relay_domains, or because a table permits everybody.
func (v *view) relaysForStrangers(cfg *postconf.Config, where string, o *smtpd.Options) error {
	ctx := context.Background()
	networks := o.MyNetworks
	if networks != nil && (smtpd.Permits(o.Relay, "permit_mynetworks") || smtpd.Permits(o.Recipient, "permit_mynetworks")) &&
		holdsEverybody(networks) {
		return fmt.Errorf("mynetworks (%s; listener at %s): the whole Internet is in it, and permit_mynetworks would make this an open relay; "+
			"list your own networks only", cfg.Where("mynetworks"), where)
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
	for _, addresses := range [][]netip.Addr{addressesOf4, addressesOf6} {
		if hole := smtpd.FindLoophole(ctx, *o, strangersAt(addresses), table.Local); hole != nil {
			return fmt.Errorf("%s (%s; listener at %s): %s permits every stranger before anything refuses mail to other domains, "+
				"which would make this an open relay; put it behind reject_unauth_destination, or let it say OK to those only who may relay (DUNNO to others)",
				hole.List, cfg.Where(hole.List), where, hole.By)
		}
	}
	return nil
}

// believed opens a list of clients that may say who they are (by how). One that holds
// everybody is refused: each of them could be in mynetworks. Nobody is asked while a
// configuration is read, so a list that asks servers is taken as it is.
func (t *tables) believed(parameter, how string) *table.AddrList {
	l := t.addrs(parameter)
	if l != nil && l.Local() && holdsEverybody(l) {
		t.failed(parameter, fmt.Errorf("the whole Internet is in it, and whoever connects could say by %s that he is in mynetworks, "+
			"which would make this an open relay; list your own hosts only", how))
	}
	return l
}
