package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
	"aliasmx/internal/mailauth/dkim"
)

// Who signs mail that leaves (dkim_keys): a table of domains. The value of one names its
// keys, "SELECTOR FILE", several with commas; ".example.com" stands for all names below it,
// and they sign as example.com.

// signer has the transports sign what leaves, where there are keys.
func (v *view) signer(names *dns.Resolver, log *slog.Logger) error {
	cfg, keys := v.cfg, v.dkim
	if keys == nil {
		if cfg.Bool("dkim_sign_forwarded") {
			return fmt.Errorf("dkim_sign_forwarded (%s): there is no key to sign with; name a table of keys in dkim_keys", cfg.Where("dkim_sign_forwarded"))
		}
		return nil
	}
	o := dkim.Options{
		Keys:     keys.of,
		Fields:   dkim.Fields{Sign: cfg.List("dkim_sign_headers"), Oversign: cfg.List("dkim_oversign_headers")},
		Lifetime: cfg.Duration("dkim_signature_lifetime"),
		Log:      log.With(mail.KeyDaemon, "smtp"),
	}
	keys.log = o.Log
	for _, parameter := range []string{"dkim_sign_headers", "dkim_oversign_headers"} {
		for _, name := range cfg.List(parameter) {
			if err := dkim.CheckFieldName(name); err != nil {
				return fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
			}
		}
	}
	if cfg.Bool("dkim_sign_forwarded") {
		if o.Forwarding = cfg.Get("dkim_forwarded_domain"); o.Forwarding == "" {
			return fmt.Errorf("dkim_sign_forwarded (%s): there is no domain that could sign; set srs_domain or dkim_forwarded_domain",
				cfg.Where("dkim_sign_forwarded"))
		}
		found, err := keys.of(context.Background(), strings.ToLower(o.Forwarding))
		if err == nil && len(found) == 0 {
			return fmt.Errorf("dkim_sign_forwarded (%s): dkim_keys has no key of %s", cfg.Where("dkim_sign_forwarded"), o.Forwarding)
		}
		if err := v.proveForwardedDomain(names, log, o.Forwarding, found); err != nil {
			return err
		}
		if !v.leavesAs(o.Forwarding) {
			log.Warn(fmt.Sprintf("dkim_forwarded_domain (%s): no sender is rewritten to %s, and nothing is signed by it; set it to $srs_domain",
				cfg.Where("dkim_forwarded_domain"), o.Forwarding))
		}
	}
	v.delivery.Signer = dkim.NewSigner(o)
	return nil
}

// leavesAs tells whether forwarded mail may leave with a reverse-path in a domain: by SRS, or by
// what else rewrites senders, of which nobody can tell (postsrsd is asked by canonical maps).
func (v *view) leavesAs(domain string) bool {
	for _, parameter := range []string{"canonical_maps", "sender_canonical_maps", "smtpd_milters", "smtp_generic_maps"} {
		if v.cfg.Get(parameter) != "" {
			return true
		}
	}
	return v.srs != nil && v.srs.codec.Ours(domain)
}

// proveForwardedDomain refuses a domain that signs forwarded mail if one of ours is aligned with
// it. d= of its keys may be a domain above it, and is what counts.
func (v *view) proveForwardedDomain(names *dns.Resolver, log *slog.Logger, domain string, keys []dkim.Key) error {
	if len(keys) > 0 {
		domain = keys[0].Domain
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if a, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = a
	}
	if v.tables.codec != nil && v.tables.codec.Ours(domain) {
		return nil // that of srs_domain, which is proven
	}
	ctx, cancel := context.WithTimeout(context.Background(), srsProofTime)
	defer cancel()
	return v.proveApart(ctx, names, log, "dkim_forwarded_domain", domain, "a signature")
}

// dkimWarnings are settings that change what has been signed.
func (v *view) dkimWarnings() (list []string) {
	cfg := v.cfg
	if len(cfg.List("dkim_keys")) == 0 {
		return nil
	}
	for _, parameter := range []string{
		"smtp_generic_maps", "smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks",
		"lmtp_generic_maps", "lmtp_header_checks", "lmtp_mime_header_checks", "lmtp_nested_header_checks", "lmtp_body_checks",
	} {
		if cfg.Get(parameter) != "" {
			list = append(list, fmt.Sprintf("%s (%s): changes mail after it was signed by dkim_keys, so that its signatures may fail", parameter, cfg.Where(parameter)))
		}
	}
	for _, parameter := range []string{"smtp_line_length_limit", "lmtp_line_length_limit"} {
		if cfg.Int(parameter) > 0 {
			list = append(list, fmt.Sprintf("%s (%s): breaks long lines after they were signed by dkim_keys", parameter, cfg.Where(parameter)))
		}
	}
	return list
}

// dkimSelectors are those of a domain's keys, by what the tables list.
func (v *view) dkimSelectors() (map[string][]string, error) {
	k := &signingKeys{}
	t := &tables{cfg: v.cfg, opts: v.tables.opts}
	defer t.close()
	if k.tables = t.maps("dkim_keys"); t.err != nil {
		return nil, t.err
	}
	found := make(map[string][]string)
	err := k.each(func(_, domain, value string) error {
		domain = strings.TrimPrefix(strings.ToLower(domain), ".")
		for spec := range strings.SplitSeq(value, ",") {
			if words := strings.Fields(spec); len(words) == 2 && !slices.Contains(found[domain], words[0]) {
				found[domain] = append(found[domain], words[0])
			}
		}
		return nil
	})
	return found, err
}
