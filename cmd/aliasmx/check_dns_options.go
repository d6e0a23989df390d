package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"aliasmx/internal/certs"
	"aliasmx/internal/dns"
	"aliasmx/internal/dnscheck"
	"aliasmx/internal/mtasts"
	"aliasmx/internal/postconf"
	"aliasmx/internal/stshost"
)

// asker asks the DNS.
type asker = *dns.Resolver

// dnsOptions is what check dns is told of the configuration and the command line. An error
// is one of the command line.
func (v *view) dnsOptions(flags checkDNSFlags, log *slog.Logger) (dnscheck.Options, error) {
	cfg := v.cfg
	o := dnscheck.Options{
		Resolver:  v.names,
		Hostname:  cfg.Get("myhostname"),
		HeloName:  cfg.Get("smtp_helo_name"),
		RelayHost: cfg.Get("relayhost"),
		Selectors: flags.Selector,
		Hosted:    v.sts.hosted,
		Now:       time.Now,
	}
	if flags.Now != 0 {
		at := time.Unix(flags.Now, 0)
		o.Now = func() time.Time { return at }
	}
	if len(cfg.List("dkim_keys")) > 0 {
		selectors, err := v.dkimSelectors()
		if err != nil {
			return o, err
		}
		o.SelectorsOf = func(domain string) []string { return selectors[domain] }
	}
	var added []netip.Addr
	for _, word := range flags.IP {
		a, err := netip.ParseAddr(strings.Trim(word, "[]"))
		if err != nil {
			return o, fmt.Errorf("--ip %q is no IP address", word)
		}
		added = append(added, a)
	}
	o.Receiving, o.Sending = v.publicAddresses(added)
	for _, file := range flags.NextKey {
		key, err := publicKeyOf(file)
		if err != nil {
			return o, fmt.Errorf("--next-key %s: %w", file, err)
		}
		o.NextKeys = append(o.NextKeys, key)
	}
	if p, err := stsPolicy(cfg); err == nil { // where it is served it has been proven
		o.Policy, o.PolicyID = &p, stshost.ID(p)
	}
	fetcher := &mtasts.Fetcher{Resolver: v.names, Now: o.Now}
	o.FetchPolicy = fetcher.Policy
	store, err := v.shownBySMTP(log)
	if err != nil {
		return o, err
	}
	if store != nil {
		o.Shown = func(ctx context.Context, name string) ([]*tls.Certificate, error) { return store.Shown(ctx, name) }
	}
	return o, nil
}

// shownBySMTP are the certificates of the listener on port 25, or of the first one; nil
// where it offers no TLS.
func (v *view) shownBySMTP(log *slog.Logger) (*certs.Store, error) {
	listeners, err := v.cfg.Listeners()
	if err != nil || len(listeners) == 0 {
		return nil, err
	}
	cfg := listeners[0].Config
	for _, l := range listeners {
		if onPort25(l) {
			cfg = l.Config
			break
		}
	}
	if chains, pairs := certificateFiles(cfg, "smtpd_tls_chain_files"); serverTLSLevel(cfg) == "none" || len(chains)+len(pairs) == 0 {
		return nil, nil
	}
	t := &tables{cfg: cfg, opts: v.tables.opts}
	defer func() { v.tables.opened = append(v.tables.opened, t.opened...) }()
	return v.certificates(cfg, t, "smtpd_tls_chain_files", log)
}

func onPort25(l postconf.Listener) bool {
	for _, addr := range l.Addrs {
		if strings.HasSuffix(addr, ":25") {
			return true
		}
	}
	return false
}

// publicKeyOf is the SubjectPublicKeyInfo of the first key or certificate in a file of PEM.
func publicKeyOf(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch {
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			return cert.RawSubjectPublicKeyInfo, nil
		case block.Type == "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if private, ok := key.(crypto.Signer); ok {
			key = private.Public()
		}
		return x509.MarshalPKIXPublicKey(key)
	}
	return nil, fmt.Errorf("no key and no certificate in PEM is in it")
}
