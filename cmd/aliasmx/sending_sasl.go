package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"aliasmx/delivery"
	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
)

// senderSASL is how a transport logs in at servers; nil: it does not.
func (v *view) senderSASL(s *sender) (*delivery.SASL, error) {
	cfg := s.cfg
	if !cfg.Bool(s.name("smtp_sasl_auth_enable", "lmtp_sasl_auth_enable")) {
		return nil, nil
	}
	if kind := s.name("smtp_sasl_type", "lmtp_sasl_type"); !strings.EqualFold(cfg.Get(kind), "cyrus") {
		return nil, fmt.Errorf("%s (%s): unsupported SASL client implementation %q; there is cyrus alone", kind, cfg.Where(kind), cfg.Get(kind))
	}
	parameter := s.name("smtp_sasl_password_maps", "lmtp_sasl_password_maps")
	passwords, err := v.passwords(s, parameter)
	if err != nil {
		return nil, err
	}
	if passwords == nil {
		enable := s.name("smtp_sasl_auth_enable", "lmtp_sasl_auth_enable")
		return nil, fmt.Errorf("%s (%s): there are no passwords; set %s to a table of them, such as hash:%s/sasl_passwd",
			enable, cfg.Where(enable), parameter, cfg.Dir())
	}
	o := &delivery.SASL{
		Passwords: func(ctx context.Context, key string) (string, bool, error) {
			value, _, found, err := passwords.Lookup(ctx, key)
			return value, found, err
		},
		Delimiter:     cfg.Get("smtp_sasl_password_result_delimiter"),
		HardFailure:   !cfg.Bool(s.name("smtp_sasl_auth_soft_bounce", "lmtp_sasl_auth_soft_bounce")),
		DummyMailAuth: cfg.Bool(s.name("smtp_send_dummy_mail_auth", "lmtp_send_dummy_mail_auth")),
		Authzid:       cfg.Bool("send_cyrus_sasl_authzid"),
	}
	if cfg.Get(s.name("smtp_sasl_auth_cache_name", "lmtp_sasl_auth_cache_name")) != "" {
		o.FailureTime = cfg.Duration(s.name("smtp_sasl_auth_cache_time", "lmtp_sasl_auth_cache_time"))
	}
	if !s.lmtp && cfg.Bool("smtp_sender_dependent_authentication") {
		o.SenderPasswords = func(ctx context.Context, sender mail.Address) (string, bool, error) {
			return v.resolver.Lookup(ctx, passwords, sender)
		}
	}
	for _, rules := range []struct {
		parameter string
		into      *mechanism.Security
	}{
		{s.name("smtp_sasl_security_options", "lmtp_sasl_security_options"), &o.Clear},
		{s.name("smtp_sasl_tls_security_options", "lmtp_sasl_tls_security_options"), &o.Secured},
		{s.name("smtp_sasl_tls_verified_security_options", "lmtp_sasl_tls_verified_security_options"), &o.Verified},
	} {
		if *rules.into, err = mechanism.ParseSecurity(cfg.List(rules.parameter)); err != nil {
			set := cfg.Source(rules.parameter)
			return nil, fmt.Errorf("%s (%s): %w", set, cfg.Where(set), err)
		}
	}
	if filter := s.domains(s.name("smtp_sasl_mechanism_filter", "lmtp_sasl_mechanism_filter")); filter != nil {
		o.Mechanism = func(ctx context.Context, name string) (bool, error) { return filter.Match(ctx, strings.ToLower(name)) }
	}
	return o, s.err
}

// passwords opens tables of passwords, which only root may read where an operator was
// careful: then those are used that were opened before root was given up. They follow no
// change of their file: that takes a restart.
func (v *view) passwords(s *sender, parameter string) (table.Maps, error) {
	list := s.cfg.List(parameter)
	if len(list) == 0 {
		return nil, nil
	}
	maps, err := table.OpenMaps(list, s.opts)
	switch {
	case err == nil:
		s.opened = append(s.opened, maps)
		if os.Geteuid() == 0 && s.cfg.Set("mail_owner") {
			err = v.keys.keepTables(list, s.opts)
		}
	case errors.Is(err, fs.ErrPermission):
		if kept := v.keys.keptTables(list, s.opts.Warn); kept != nil {
			return kept, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s (%s): %w; let the user read it that aliasmx runs as, or start as root with mail_owner", parameter, s.cfg.Where(parameter), err)
	case err != nil:
		return nil, fmt.Errorf("%s (%s): %w", parameter, s.cfg.Where(parameter), err)
	}
	return maps, nil
}

// keptMaps are tables that stay open, with whom they warn.
type keptMaps struct {
	maps table.Maps
	warn atomic.Pointer[func(string)]
}

// keepTables opens tables that nobody will be able to open any more.
func (k *keyring) keepTables(list []string, o table.Options) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := strings.Join(list, " ")
	if k.tables[name] != nil {
		return nil
	}
	kept := &keptMaps{}
	o.Warn = func(msg string) {
		if warn := kept.warn.Load(); warn != nil {
			(*warn)(msg)
		}
	}
	var err error
	if kept.maps, err = table.OpenMaps(list, o); err != nil {
		return err
	}
	if k.tables == nil {
		k.tables = make(map[string]*keptMaps)
	}
	k.tables[name] = kept
	return nil
}

// keptTables are those that were kept, nil if they were not.
func (k *keyring) keptTables(list []string, warn func(string)) table.Maps {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.tables[strings.Join(list, " ")]
	if kept == nil {
		return nil
	}
	kept.warn.Store(&warn)
	return kept.maps
}

// sendingWarnings are what works, but gives passwords away, or keeps everybody from
// logging in.
func sendingWarnings(cfg *postconf.Config) (list []string) {
	add := func(parameter, text string) {
		list = append(list, fmt.Sprintf("%s (%s): %s", parameter, cfg.Where(parameter), text))
	}
	_, port, _ := strings.Cut(cfg.Get("relayhost")[strings.LastIndexByte(cfg.Get("relayhost"), ']')+1:], ":")
	if slices.Contains([]string{"465", "smtps", "submissions"}, port) && !cfg.Bool("smtp_tls_wrappermode") {
		add("relayhost", "port 465 wants TLS from the first byte: set smtp_tls_wrappermode = yes, and smtp_tls_security_level = encrypt")
	}
	if !cfg.Bool("smtp_sasl_auth_enable") {
		return list
	}
	forbidden := func(parameter string) bool {
		return slices.ContainsFunc(cfg.List(parameter), func(w string) bool { return strings.EqualFold(w, "noplaintext") })
	}
	if forbidden("smtp_sasl_tls_security_options") {
		add(cfg.Source("smtp_sasl_tls_security_options"), "noplaintext forbids PLAIN and LOGIN, which are all that most providers offer; "+
			"set smtp_sasl_security_options = noanonymous, and smtp_tls_security_level = encrypt")
	}
	if level := cfg.Get("smtp_tls_security_level"); !forbidden("smtp_sasl_security_options") && (level == "" || level == "may" || level == "none" || level == "dane") {
		add("smtp_tls_security_level", "passwords may go out in the clear; set it to encrypt")
	}
	return list
}
