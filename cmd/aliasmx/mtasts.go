package main

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mtasts"
	"aliasmx/internal/postconf"
	"aliasmx/internal/tlspolicy"
)

// What TLS the policies of other domains ask for: docs/mta-sts.md.

// stsSource is who knows the MTA-STS policies of domains, nil where nobody is to be asked:
// by a parameter of the transport, or at a level that does not want to know.
func (v *view) stsSource(s *sender, o *delivery.Options) (tlspolicy.Source, error) {
	level, _ := s.tlsLevel()
	wants := level == mail.TLSMay || level == mail.TLSEncrypt || level == mail.TLSDANE
	names, asks := o.Resolver.(mtasts.Resolver)
	if s.lmtp || !wants || !asks || !s.cfg.Bool("smtp_tls_mta_sts") {
		return nil, nil
	}
	if v.stsFetcher == nil {
		f, err := newSTSFetcher(v.cfg, names, s.log)
		if err != nil {
			return nil, err
		}
		v.stsFetcher = f
	}
	return v.keys.sts.get(), nil
}

// newSTSFetcher is how policies are fetched. Who vouches for their hosts vouches for the
// mail exchangers too.
func newSTSFetcher(cfg *postconf.Config, names mtasts.Resolver, log *slog.Logger) (*mtasts.Fetcher, error) {
	f := &mtasts.Fetcher{Resolver: names, Family: dnsFamily(cfg)}
	if _, err := stsFile(cfg); err != nil {
		return nil, err
	}
	const parameter = "smtp_tls_mta_sts_CAfile"
	file := cfg.Get(parameter)
	if file == "" {
		if system, err := x509.SystemCertPool(); err != nil || system.Equal(x509.NewCertPool()) {
			log.Warn("smtp_tls_mta_sts: this system has no certificate authorities, and so no MTA-STS policy can be fetched; install ca-certificates, or set smtp_tls_mta_sts_CAfile")
		}
		return f, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	f.Roots = x509.NewCertPool()
	if !f.Roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s (%s): %s has no certificate in PEM", parameter, cfg.Where(parameter), file)
	}
	return f, nil
}

// stsFile is where policies are kept; "": in memory.
func stsFile(cfg *postconf.Config) (string, error) {
	return cacheFile(cfg, "smtp_tls_mta_sts_cache", cfg.Get("smtp_tls_mta_sts_cache"))
}

// dnsFamily is which addresses there are for us (inet_protocols).
func dnsFamily(cfg *postconf.Config) dns.Family {
	switch words := cfg.List("inet_protocols"); {
	case slices.Equal(words, []string{"ipv4"}):
		return dns.IPv4
	case slices.Equal(words, []string{"ipv6"}):
		return dns.IPv6
	}
	return dns.Any
}

// stsKeeper has the policies of a process, which outlive the views that ask for them.
type stsKeeper struct {
	mu     sync.Mutex // guards source
	source *mtasts.Source
}

func (k *stsKeeper) get() *mtasts.Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.source == nil {
		k.source = mtasts.New(mtasts.Options{})
	}
	return k.source
}

// use puts a view in force. Policies are kept over restarts from the first view on that
// asks for any.
func (k *stsKeeper) use(v *view, log *slog.Logger) {
	s := k.get()
	s.Update(v.stsFetcher)
	if v.stsFetcher != nil {
		file, _ := stsFile(v.cfg) // it was looked at when the fetcher was made
		s.Start(file, log)
	}
}

// close waits for fetches under way, which end at once, and writes the file.
func (k *stsKeeper) close() { k.get().Close() }

// keepsPolicies tells whether something will be kept in data_directory for MTA-STS.
func keepsPolicies(cfg *postconf.Config) bool {
	level := cfg.Get("smtp_tls_security_level")
	file, _ := stsFile(cfg)
	return cfg.Bool("smtp_tls_mta_sts") && level != "" && level != "none" &&
		filepath.Dir(file) == cfg.Get("data_directory")
}
