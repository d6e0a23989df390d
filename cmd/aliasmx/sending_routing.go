package main

import (
	"fmt"
	"net/netip"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/postconf"
)

// routing is which hosts are tried, and from which address.
func (s *sender) routing(o *delivery.Options) error {
	cfg := s.cfg
	o.Unbalanced = !cfg.Bool(s.name("smtp_balance_inet_protocols", "lmtp_balance_inet_protocols"))
	o.BindEnforce = cfg.Bool(s.name("smtp_bind_address_enforce", "lmtp_bind_address_enforce"))
	o.OnlyAddress, o.OnlyAddress6 = onlyAddresses(cfg)
	o.ProbeData = cfg.Get(s.name("smtp_address_verify_target", "lmtp_address_verify_target")) == "data"
	o.AssumeFinal = s.lmtp && cfg.Bool("lmtp_assume_final")
	parameter := s.name("smtp_fallback_relay", "lmtp_fallback_relay")
	o.FallbackRelay = cfg.List(parameter)
	for _, hop := range o.FallbackRelay {
		if err := delivery.CheckNextHop(s.name("smtp", "lmtp"), hop); err != nil {
			return fmt.Errorf("%s (%s): %w; write a domain, [host] or [host]:port", parameter, cfg.Where(cfg.Source(parameter)), err)
		}
		if s.lmtp && strings.HasPrefix(hop, "unix:") {
			return fmt.Errorf("%s (%s): %s is a socket; write [host] or [host]:port", parameter, cfg.Where(cfg.Source(parameter)), hop)
		}
	}
	return nil
}

// onlyAddresses are the IPv4 and the IPv6 address of inet_interfaces, if it names one of
// the kind alone and that is not loopback's: a virtual host connects from its own address.
func onlyAddresses(cfg *postconf.Config) (v4, v6 netip.Addr) {
	n4, n6 := 0, 0
	for _, word := range cfg.List("inet_interfaces") {
		a, err := netip.ParseAddr(strings.Trim(word, "[]"))
		if err != nil {
			return netip.Addr{}, netip.Addr{} // all, or loopback-only: there are several
		}
		if a = a.Unmap(); a.Is4() {
			v4, n4 = a, n4+1
		} else {
			v6, n6 = a, n6+1
		}
	}
	if n4 != 1 || v4.IsLoopback() {
		v4 = netip.Addr{}
	}
	if n6 != 1 || v6.IsLoopback() {
		v6 = netip.Addr{}
	}
	return v4, v6
}
