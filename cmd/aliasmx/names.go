package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// The resolver of the daemon: whom it asks, and whom it believes.

// newNames makes the resolver that a configuration asks for.
func newNames(cfg *postconf.Config, log *slog.Logger) (*dns.Resolver, error) {
	o := dns.Options{Servers: cfg.List("dns_servers"), Trusted: []netip.Prefix{}}
	for _, server := range o.Servers {
		if _, err := dns.ParseServer(server); err != nil {
			return nil, fmt.Errorf("dns_servers (%s): %w", cfg.Where("dns_servers"), err)
		}
	}
	for _, word := range cfg.List("dnssec_trusted_servers") {
		p, ok := network(word)
		if !ok {
			return nil, fmt.Errorf("dnssec_trusted_servers (%s): %q is no address or network; write 192.0.2.53, 192.0.2.0/24 or [2001:db8::]/64",
				cfg.Where("dnssec_trusted_servers"), word)
		}
		if p.Bits() == 0 {
			log.Warn(fmt.Sprintf("dnssec_trusted_servers (%s): %s trusts every name server to validate, and the way to it; name yours",
				cfg.Where("dnssec_trusted_servers"), word))
		}
		o.Trusted = append(o.Trusted, p)
	}
	probe, err := dns.ParseProbe(cfg.Get("dnssec_probe"))
	if err != nil {
		return nil, fmt.Errorf("dnssec_probe (%s): %w", cfg.Where("dnssec_probe"), err)
	}
	needed, err := needsDNSSEC(cfg)
	if err != nil {
		return nil, err
	}
	if !needed {
		return dns.New(o), nil
	}
	smtp := log.With(slog.String(mail.KeyDaemon, "smtp"))
	o.Probe, o.Warn = probe, func(text string) { smtp.Warn(text) }
	names := dns.New(o)
	trusted, others, err := names.Servers()
	switch list := strings.Join(others, ", "); {
	case err != nil:
		return nil, err
	case len(trusted) == 0:
		log.Warn("DANE is asked for, and no name server is trusted to validate: " + list + "; run one on this machine, or name it in dnssec_trusted_servers")
	case len(others) > 0:
		log.Warn("DANE is asked for, and there is none with answers of " + list + ", which are not in dnssec_trusted_servers; remove them, or name them there if they validate")
	}
	return names, nil
}

// network reads an address or a network, as in mynetworks.
func network(word string) (netip.Prefix, bool) {
	addr, bits, isNet := strings.Cut(word, "/")
	if inner, ok := strings.CutPrefix(addr, "["); ok {
		addr, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return netip.Prefix{}, false
		}
	}
	if !isNet {
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(addr + "/" + bits)
	return p.Masked(), err == nil
}

// needsDNSSEC tells whether some transport is to use DANE. By default it may, and then nobody
// is waiting for it.
func needsDNSSEC(cfg *postconf.Config) (bool, error) {
	senders, err := cfg.Senders()
	if err != nil {
		return false, err
	}
	for _, c := range append([]postconf.Sender{{Config: cfg}}, senders...) {
		for _, level := range []string{"smtp_tls_security_level", "lmtp_tls_security_level"} {
			if c.Config.Set(level) && strings.HasPrefix(strings.ToLower(c.Config.Get(level)), "dane") {
				return true, nil
			}
		}
		if c.Config.Get("smtp_dns_support_level") == "dnssec" || c.Config.Get("lmtp_dns_support_level") == "dnssec" {
			return true, nil
		}
	}
	return false, nil
}

// names gives a sender its own view of names: which are completed, and which records it
// does not see.
func (s *sender) names(o *delivery.Options) error {
	options := s.cfg.List(s.name("smtp_dns_resolver_options", "lmtp_dns_resolver_options"))
	look := dns.View{
		DefNames: slices.Contains(options, "res_defnames"),
		Search:   slices.Contains(options, "res_dnsrch"),
	}
	parameter := s.name("smtp_dns_reply_filter", "lmtp_dns_reply_filter")
	if maps := s.maps(parameter); maps != nil {
		if err := proveReplyFilter(maps); err != nil {
			return fmt.Errorf("%s (%s): %w", parameter, s.cfg.Where(parameter), err)
		}
		log := s.log.With(slog.String(mail.KeyDaemon, s.name("smtp", "lmtp")))
		look.Filter = func(ctx context.Context, record string) (bool, error) {
			action, _, found, err := maps.Lookup(ctx, record)
			if err != nil || !found {
				return false, err
			}
			if !leavesOut(action) {
				log.Warn(fmt.Sprintf("%s: unknown DNS filter action: %q", parameter, action))
				return false, fmt.Errorf("%s: unknown action %q", parameter, action)
			}
			log.Info("ignoring DNS RR: " + record)
			return true, nil
		}
	}
	if s.err != nil {
		return s.err
	}
	if names, ok := o.Resolver.(*dns.Resolver); ok && (look.DefNames || look.Search || look.Filter != nil) {
		o.Resolver = names.With(look)
	}
	return nil
}

// leavesOut tells whether the action of a reply filter is IGNORE, the only one there is.
func leavesOut(action string) bool {
	word, _, _ := strings.Cut(strings.ReplaceAll(action, "\t", " "), " ")
	return strings.EqualFold(word, "IGNORE")
}

// proveReplyFilter refuses tables with another action: the record that meets it makes mail
// wait. Only tables that know all their values are looked at, as for header_checks.
func proveReplyFilter(maps table.Maps) (wrong error) {
	for _, m := range maps {
		valued, ok := m.(table.Valued)
		if !ok {
			continue
		}
		err := valued.Values(func(value table.Value) bool {
			if whole := !value.Open || strings.ContainsAny(value.Text, " \t"); whole && !leavesOut(value.Text) {
				wrong = fmt.Errorf("%s: unknown DNS filter action: %q; write IGNORE", cmp.Or(value.Where, m.Name()), value.Text)
			}
			return wrong == nil
		})
		if err = cmp.Or(wrong, err); err != nil {
			return err
		}
	}
	return nil
}
