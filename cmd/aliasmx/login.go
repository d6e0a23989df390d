package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	logins "aliasmx/internal/login"
	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
	"aliasmx/internal/postconf"
	"aliasmx/internal/table"
	"aliasmx/smtpd"
)

// logins gives a listener those who may log in (SASL_README), and what their names are
// good for.
func (v *view) logins(o *smtpd.Options, t *tables, log *slog.Logger) error {
	cfg := t.cfg
	if !cfg.Bool("smtpd_sasl_auth_enable") {
		return nil
	}
	o.TLSAuthOnly = cfg.Bool("smtpd_tls_auth_only")
	o.AuthenticatedHeader = cfg.Bool("smtpd_sasl_authenticated_header")
	o.BrokenAuthClients = cfg.Bool("broken_sasl_auth_clients")
	o.AuthResponseLimit = cfg.Int("smtpd_sasl_response_limit")
	o.ClientAuthRate = cfg.Int("smtpd_client_auth_rate_limit")
	if l := t.addrs("smtpd_sasl_exceptions_networks"); l != nil {
		o.AuthExceptions = l
	}
	for _, m := range t.maps("smtpd_sender_login_maps") {
		o.SenderLoginMaps = append(o.SenderLoginMaps, m)
	}
	if t.err != nil {
		return t.err
	}
	warn := func(text string) { log.With(slog.String(mail.KeyDaemon, "smtpd")).Warn(text) }
	l := &logins.Logins{Warn: warn}
	for _, rules := range []struct {
		parameter string
		into      *mechanism.Security
	}{{"smtpd_sasl_security_options", &l.Clear}, {"smtpd_sasl_tls_security_options", &l.Secured}} {
		var err error
		if *rules.into, err = mechanism.ParseSecurity(cfg.List(rules.parameter)); err != nil {
			return fmt.Errorf("%s (%s): %w", rules.parameter, cfg.Where(rules.parameter), err)
		}
	}
	if f := mechanismFilter(t); f != nil {
		l.Filter = func(ctx context.Context, name string) (bool, error) { return f.Match(ctx, strings.ToLower(name)) }
	}
	if t.err != nil {
		return t.err
	}
	var err error
	if l.Source, err = v.loginSource(t, warn); err != nil {
		return err
	}
	t.opened = append(t.opened, l)
	o.Logins = loginRoom{l}
	return nil
}

// mechanismFilter opens smtpd_sasl_mechanism_filter, nil when it is as it comes: that
// lets through whatever there is here.
func mechanismFilter(t *tables) *table.DomainList {
	if !t.cfg.Set("smtpd_sasl_mechanism_filter") {
		return nil
	}
	return t.domains("smtpd_sasl_mechanism_filter")
}

// loginSource is who knows the users.
func (v *view) loginSource(t *tables, warn func(string)) (logins.Source, error) {
	cfg := t.cfg
	path := cfg.Get("smtpd_sasl_path")
	kind, where := cfg.Get("smtpd_sasl_type"), cfg.Where("smtpd_sasl_type")
	if !cfg.Set("smtpd_sasl_type") && namesTable(path) {
		kind = "table"
	}
	switch kind {
	case "table":
		if !namesTable(path) {
			return nil, fmt.Errorf("smtpd_sasl_path (%s): %q is no table; write TYPE:NAME, such as hash:/etc/aliasmx/users", cfg.Where("smtpd_sasl_path"), path)
		}
		users := t.maps("smtpd_sasl_path")
		if t.err != nil {
			return nil, t.err
		}
		return &logins.Users{Table: users, Domain: cfg.Get("smtpd_sasl_local_domain"), Gate: &v.keys.hashing, Warn: warn}, nil
	case "dovecot":
		network, address := dovecotAddress(cfg, path)
		return &logins.Dovecot{
			Network: network, Address: address, Service: cfg.Get("smtpd_sasl_service"), Warn: warn, Now: time.Now,
		}, nil
	}
	return nil, fmt.Errorf("smtpd_sasl_type (%s): there is no cyrus here; set smtpd_sasl_path to a table of users (TYPE:NAME, "+
		"hashes by \"aliasmx passwd\"), or smtpd_sasl_type = dovecot; else set smtpd_sasl_auth_enable = no", where)
}

// namesTable tells whether smtpd_sasl_path is a table and no socket.
func namesTable(path string) bool {
	kind, _, found := strings.Cut(path, ":")
	return found && !slices.Contains([]string{"inet", "unix"}, kind) && !strings.Contains(kind, "/")
}

// dovecotAddress is where Dovecot's auth service listens: a socket, below
// queue_directory, or inet:host:port.
func dovecotAddress(cfg *postconf.Config, path string) (network, address string) {
	if rest, ok := strings.CutPrefix(path, "inet:"); ok {
		return "tcp", rest
	}
	path = strings.TrimPrefix(path, "unix:")
	if !filepath.IsAbs(path) {
		path = filepath.Join(cfg.Get("queue_directory"), path)
	}
	return "unix", path
}

// loginRoom is login as smtpd wants it.
type loginRoom struct{ l *logins.Logins }

func (r loginRoom) Mechanisms(ctx context.Context, secured bool) []string {
	return r.l.Offered(ctx, secured)
}

func (r loginRoom) Begin(ctx context.Context, q smtpd.LoginRequest) (smtpd.Login, error) {
	return r.l.Start(ctx, logins.Request(q))
}

// loginWarnings are what works, but gives passwords away.
func (v *view) loginWarnings() (list []string) {
	for _, l := range v.listeners {
		o := l.smtpd
		if o.Logins == nil {
			continue
		}
		at := func(parameter, text string) {
			list = append(list, fmt.Sprintf("%s (listener at %s): %s", parameter, l.where, text))
		}
		switch {
		case o.TLS != nil && o.TLS.Required, o.TLSAuthOnly && o.TLS != nil:
		case o.TLSAuthOnly:
			at("smtpd_tls_auth_only", "there is no TLS, and so nobody can log in; set smtpd_tls_chain_files and smtpd_tls_security_level")
		case len(o.Logins.Mechanisms(context.Background(), false)) > 0:
			at("smtpd_tls_auth_only", "passwords may come in the clear; set it to yes")
		}
	}
	return list
}
