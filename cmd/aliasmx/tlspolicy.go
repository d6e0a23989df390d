package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"aliasmx/delivery"
	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/postconf"
	"aliasmx/internal/tlspolicy"
)

// What TLS the next hops of a transport get: docs/tls.md.

// tlsSources are who knows what receivers have published about their TLS; nil: nobody does.
func (v *view) tlsSources(s *sender, o *delivery.Options) (dane, sts tlspolicy.Source, err error) {
	if names, ok := o.Resolver.(*dns.Resolver); ok {
		d, err := daneSource(s.cfg, names, s.lmtp, s.log)
		if err != nil {
			return nil, nil, err
		}
		if d != nil {
			dane = d
		}
	}
	sts, err = v.stsSource(s, o)
	return dane, sts, err
}

// tlsPolicy decides on the TLS of a transport.
func (v *view) tlsPolicy(s *sender, o *delivery.Options) error {
	cfg, name := s.cfg, s.name("smtp", "lmtp")
	dane, sts, err := v.tlsSources(s, o)
	if err != nil {
		return err
	}
	level, where := s.tlsLevel()
	if where == "" && level == mail.TLSDANE && dane == nil {
		level = mail.TLSMay // that is what is left of a default
	}
	if level == mail.TLSDANEOnly && dane == nil {
		return fmt.Errorf("%s (%s): dane-only needs a DNS to ask; leave it on (%s_dns_support_level, %[3]s_host_lookup, disable_dns_lookups), or write encrypt",
			where, cfg.Where(where), name)
	}
	o.TLSLevel = level
	p := tlspolicy.Options{
		Name: name, Level: level, DANE: dane, STS: sts, Undigested: undigested(cfg),
		VerifyMatch:      colonList(cfg, s.name("smtp_tls_verify_cert_match", "lmtp_tls_verify_cert_match")),
		SecureMatch:      colonList(cfg, s.name("smtp_tls_secure_cert_match", "lmtp_tls_secure_cert_match")),
		Depth:            cfg.Int(s.name("smtp_tls_scert_verifydepth", "lmtp_tls_scert_verifydepth")),
		Digest:           strings.ToLower(cfg.Get(s.name("smtp_tls_fingerprint_digest", "lmtp_tls_fingerprint_digest"))),
		Fingerprints:     cfg.List(s.name("smtp_tls_fingerprint_cert_match", "lmtp_tls_fingerprint_cert_match")),
		IgnoreMXPatterns: !cfg.Bool("smtp_tls_enforce_sts_mx_patterns"),
		Versions:         protocolVersions,
		Suites:           clientSuites,
		ReadFile:         os.ReadFile,
		Warn:             func(text string) { s.log.Warn(text, mail.KeyDaemon, name) },
	}
	if p.Optional, p.Mandatory, err = s.ciphers(); err != nil {
		return err
	}
	authorities, untrusting, err := s.authorities()
	if err != nil {
		return err
	}
	p.Authorities = authorities
	if p.Anchors, err = trustAnchors(cfg, s.name("smtp_tls_trust_anchor_file", "lmtp_tls_trust_anchor_file")); err != nil {
		return err
	}
	maps := s.maps(s.name("smtp_tls_policy_maps", "lmtp_tls_policy_maps"))
	if maps != nil {
		p.Lookup = func(ctx context.Context, key string) (string, bool, error) {
			value, _, found, err := maps.Lookup(ctx, key)
			return value, found, err
		}
	}
	if s.err != nil {
		return s.err
	}
	policies, err := tlspolicy.New(p)
	if err != nil {
		return fmt.Errorf("%w (%s)", err, cfg.Where(blamed(cfg, err, cmp.Or(where, s.name("smtp_tls_security_level", "lmtp_tls_security_level")))))
	}
	o.TLSPolicy = policies
	t := tlsTable{policies: policies, maps: maps, parameter: s.name("smtp_tls_policy_maps", "lmtp_tls_policy_maps"), cfg: cfg}
	if policies.Lacks() {
		if err := t.proveNeeds(); err != nil {
			return err
		}
	}
	warning := ""
	switch {
	case level == mail.TLSDANE && dane == nil:
		warning = fmt.Sprintf("%s (%s): dane configured with dnssec lookups disabled: no TLSA record counts", where, cfg.Where(where))
	case (level == mail.TLSVerify || level == mail.TLSSecure) && p.Authorities == nil && p.Anchors == nil:
		warning = fmt.Sprintf("%s (%s): %s verifies certificates, and nobody is trusted; set %s_tls_CAfile = /etc/ssl/certs/ca-certificates.crt",
			where, cfg.Where(where), level, name)
	}
	t.warnings = []string{untrusting, warning}
	for _, w := range t.warnings {
		if w != "" && !slices.ContainsFunc(v.tlsTables, func(t tlsTable) bool { return slices.Contains(t.warnings, w) }) {
			s.log.Warn(w)
		}
	}
	v.tlsTables = append(v.tlsTables, t)
	return nil
}

// blamed is the parameter that an error is about and that is set; where none is, the one
// that made it count.
func blamed(cfg *postconf.Config, err error, otherwise string) string {
	if e, ok := errors.AsType[*tlspolicy.ParameterError](err); ok {
		if i := slices.IndexFunc(e.Parameters, cfg.Set); i >= 0 {
			return e.Parameters[i]
		}
	}
	return otherwise
}

// tlsLevel is the security level of a transport, and the parameter that says so; "": none
// does. What an older main.cf says in older words counts where it says nothing in newer
// ones.
func (s *sender) tlsLevel() (mail.TLSLevel, string) {
	cfg := s.cfg
	level := s.name("smtp_tls_security_level", "lmtp_tls_security_level")
	older := []string{s.name("smtp_enforce_tls", "lmtp_enforce_tls"), s.name("smtp_use_tls", "lmtp_use_tls")}
	set := slices.IndexFunc(older, cfg.Set)
	switch value := cfg.Get(level); {
	case cfg.Set(level) && value != "":
		return mail.TLSLevel(strings.ToLower(value)), level
	case !cfg.Set(level) && set < 0:
		return mail.TLSLevel(cmp.Or(value, string(mail.TLSNone))), ""
	case cfg.Bool(older[0]) && cfg.Bool(s.name("smtp_tls_enforce_peername", "lmtp_tls_enforce_peername")):
		return mail.TLSVerify, older[0]
	case cfg.Bool(older[0]):
		return mail.TLSEncrypt, older[0]
	case cfg.Bool(older[1]):
		return mail.TLSMay, older[1]
	case set >= 0:
		return mail.TLSNone, older[set]
	}
	return mail.TLSNone, level
}

// colonList is a list whose words may have colons between them.
func colonList(cfg *postconf.Config, parameter string) (words []string) {
	for _, w := range cfg.List(parameter) {
		words = append(words, strings.FieldsFunc(w, func(r rune) bool { return r == ':' })...)
	}
	return words
}

// ciphers are those of the parameters, after a look at what they say.
func (s *sender) ciphers() (optional, mandatory tlspolicy.Ciphers, err error) {
	cfg := s.cfg
	excluded, more := s.name("smtp_tls_exclude_ciphers", "lmtp_tls_exclude_ciphers"), s.name("smtp_tls_mandatory_exclude_ciphers", "lmtp_tls_mandatory_exclude_ciphers")
	for _, grade := range []string{s.name("smtp_tls_ciphers", "lmtp_tls_ciphers"), s.name("smtp_tls_mandatory_ciphers", "lmtp_tls_mandatory_ciphers")} {
		if strings.EqualFold(cfg.Get(grade), "null") {
			return optional, mandatory, fmt.Errorf("%s (%s): nothing is spoken that does not encrypt; write medium", grade, cfg.Where(grade))
		}
	}
	if _, err := leftCiphers(cfg, s.name("smtp_tls_mandatory_protocols", "lmtp_tls_mandatory_protocols"), excluded, more); err != nil {
		return optional, mandatory, err
	}
	optional = tlspolicy.Ciphers{Grade: cfg.Get(s.name("smtp_tls_ciphers", "lmtp_tls_ciphers")), Exclude: cfg.Get(excluded)}
	mandatory = tlspolicy.Ciphers{Grade: cfg.Get(s.name("smtp_tls_mandatory_ciphers", "lmtp_tls_mandatory_ciphers")), Exclude: cfg.Get(excluded) + " " + cfg.Get(more)}
	return optional, mandatory, nil
}

// clientSuites are the suites of TLS 1.2 that are left; nil: all.
func clientSuites(c tlspolicy.Ciphers) ([]uint16, error) {
	switch strings.ToLower(c.Grade) {
	case "", "high", "medium", "low", "export": // what is spoken here is high
	default:
		return nil, fmt.Errorf("invalid cipher grade: %q", c.Grade)
	}
	left := ciphers12()
	if err := left.exclude(c.Exclude); err != nil {
		return nil, err
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("no cipher of TLS 1.2 is left by %q", c.Exclude)
	}
	return left.ids(), nil
}

// protocolVersions are the least and most of a list such as ">=TLSv1.2".
func protocolVersions(list string) ([2]uint16, error) {
	s, err := parseSpan(list)
	return [2]uint16{s.least, cmp.Or(s.most, tls.VersionTLS13)}, err
}

// authorities are those that certificates are verified with; nil: there are none. A file
// that holds none is refused; Postfix gives up TLS for it.
func (s *sender) authorities() (a *tlspolicy.Authorities, warning string, err error) {
	cfg := s.cfg
	parameters := [2]string{s.name("smtp_tls_CAfile", "lmtp_tls_CAfile"), s.name("smtp_tls_CApath", "lmtp_tls_CApath")}
	if cfg.Get(parameters[0]) == "" && cfg.Get(parameters[1]) == "" {
		return nil, "", nil
	}
	var files [][]byte
	if err := eachAuthority(cfg, parameters, func(pem []byte) { files = append(files, pem) }); err != nil {
		return nil, "", err
	}
	var system *x509.CertPool
	if cfg.Bool("tls_append_default_CA") {
		if system, err = x509.SystemCertPool(); err != nil {
			return nil, "", fmt.Errorf("tls_append_default_CA (%s): %w", cfg.Where("tls_append_default_CA"), err)
		}
	}
	file, dir := cfg.Get(parameters[0]), cfg.Get(parameters[1])
	if file != "" && tlspolicy.NewAuthorities(files[:1], nil).Read() == 0 {
		return nil, "", fmt.Errorf("%s (%s): %s has no certificate in PEM; name a file of authorities such as /etc/ssl/certs/ca-certificates.crt",
			parameters[0], cfg.Where(parameters[0]), file)
	}
	a = tlspolicy.NewAuthorities(files, system)
	if file == "" && a.Read() == 0 {
		warning = fmt.Sprintf("%s (%s): there is no certificate in %s; install ca-certificates, or name another directory", parameters[1], cfg.Where(parameters[1]), dir)
		if system == nil {
			a = nil
		}
	}
	return a, warning, nil
}

func trustAnchors(cfg *postconf.Config, parameter string) (*tlspolicy.Anchors, error) {
	var files [][]byte
	for _, path := range cfg.List(parameter) {
		text, err := os.ReadFile(path)
		if err == nil {
			if _, err = tlspolicy.NewAnchors(text); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
		}
		files = append(files, text)
	}
	if files == nil {
		return nil, nil
	}
	return tlspolicy.NewAnchors(files...)
}
