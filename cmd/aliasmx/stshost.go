package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/certs"
	"aliasmx/internal/mtasts"
	"aliasmx/internal/postconf"
	"aliasmx/internal/stshost"
	"aliasmx/internal/table"
)

// The MTA-STS policies of our own domains, and who serves them.

// stsView is the hosting that a configuration asks for.
type stsView struct {
	addrs   []string // to listen on
	domains *table.DomainList
	certs   *certs.Store
	options stshost.Options
}

// stsPolicy is the policy of our own domains, whether we serve it or not.
func stsPolicy(cfg *postconf.Config) (mtasts.Policy, error) {
	p, err := stshost.NewPolicy(cfg.Get("mta_sts_mode"), cfg.List("mta_sts_mx"), cfg.Duration("mta_sts_max_age"))
	if err != nil {
		err = fmt.Errorf("mta_sts_mx (%s): %w", cfg.Where(cfg.Source("mta_sts_mx")), err)
	}
	return p, err
}

// stsHost opens what the hosting needs; nil when mta_sts_listen is empty.
func (v *view) stsHost(log *slog.Logger) (*stsView, error) {
	cfg, t := v.cfg, v.tables
	list := cfg.List("mta_sts_listen")
	if len(list) == 0 {
		return nil, nil
	}
	s := &stsView{}
	for _, word := range list {
		addr, err := listenAddr(word)
		if err != nil {
			return nil, fmt.Errorf("mta_sts_listen (%s): %w", cfg.Where("mta_sts_listen"), err)
		}
		s.addrs = append(s.addrs, addr)
	}
	policy, err := stsPolicy(cfg)
	if err != nil {
		return nil, err
	}
	if s.domains = t.domains("mta_sts_domains"); t.err != nil {
		return nil, t.err
	}
	if chains, pairs := certificateFiles(cfg, "mta_sts_chain_files"); len(chains)+len(pairs) == 0 {
		return nil, fmt.Errorf("mta_sts_listen (%s): there is no certificate to serve policies with; set mta_sts_chain_files or smtpd_tls_chain_files",
			cfg.Where("mta_sts_listen"))
	}
	if s.certs, err = v.certificates(cfg, t, "mta_sts_chain_files", log); err != nil {
		return nil, err
	}
	s.options = stshost.Options{GetCertificate: s.certs.GetCertificate, Hosted: s.hosted, Policy: policy, Log: log}
	return s, nil
}

// hosted tells whether mta_sts_domains has a domain, in A-labels or in U-labels.
func (s *stsView) hosted(ctx context.Context, domain string) (bool, error) {
	if s == nil || s.domains == nil {
		return false, nil
	}
	found, err := s.domains.Match(ctx, domain)
	if unicode, bad := idna.Lookup.ToUnicode(domain); err == nil && !found && bad == nil && unicode != domain {
		return s.domains.Match(ctx, unicode)
	}
	return found, err
}

// listenAddr reads [IP]:port, or IP:port for IPv4.
func listenAddr(word string) (string, error) {
	host, port, err := net.SplitHostPort(word)
	if err == nil {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(host); err == nil && addr.Zone() == "" {
			var ap netip.AddrPort
			if ap, err = netip.ParseAddrPort(net.JoinHostPort(addr.Unmap().String(), port)); err == nil && ap.Port() != 0 {
				return ap.String(), nil
			}
		}
	}
	return "", fmt.Errorf("%q is no address to listen on; write [IP]:port, such as [192.0.2.1]:443 or [::]:443", word)
}

// uncovered calls yield for each host of a policy that has no certificate of its name.
// Domains that no list can name are not looked at.
func (s *stsView) uncovered(ctx context.Context, yield func(host string, names []string)) error {
	_, err := listedDomains(s.domains, func(domain string) bool {
		host := "mta-sts." + domain
		shown, err := s.certs.Shown(ctx, host) // an error has been warned of
		for _, c := range shown {
			if err == nil && c.Leaf.VerifyHostname(host) != nil {
				yield(host, c.Leaf.DNSNames)
				break
			}
		}
		return ctx.Err() == nil
	})
	return err
}

// stsWarnings are what senders will not accept of the hosting.
func (v *view) stsWarnings() (list []string) {
	if v.sts == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	cfg, more := v.cfg, 0
	where := "mta_sts_chain_files (" + cfg.Where(cfg.Source("mta_sts_chain_files")) + ")"
	err := v.sts.uncovered(ctx, func(host string, names []string) {
		if len(list) == shownOfKind {
			more++
			return
		}
		has := "it names no host"
		if len(names) > 0 {
			has = "it is for " + strings.Join(names[:min(len(names), 3)], ", ")
		}
		list = append(list, fmt.Sprintf("%s: the certificate does not cover %s, %s: senders will not take the policy", where, host, has))
	})
	if more > 0 {
		list = append(list, fmt.Sprintf("and %d more hosts of policies that the certificate does not cover", more))
	}
	if err != nil {
		list = append(list, fmt.Sprintf("mta_sts_domains (%s): it cannot be read to its end: %v", cfg.Where(cfg.Source("mta_sts_domains")), err))
	}
	if p := v.sts.options.Policy; p.Mode == mtasts.ModeEnforce && p.MaxAge < 24*time.Hour {
		list = append(list, fmt.Sprintf("mta_sts_max_age (%s): senders forget the policy within a day, and whoever keeps them from asking again is rid of it; "+
			"a week or more is usual", cfg.Where("mta_sts_max_age")))
	}
	return list
}
