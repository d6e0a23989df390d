package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"aliasmx/internal/certs"
	logins "aliasmx/internal/login"
	"aliasmx/internal/postconf"
	"aliasmx/smtpd"
)

// keyring keeps what was read of keys. A key that only root can read is read once,
// before root is given up.
type keyring struct {
	mu     sync.Mutex // guards stores and tables
	stores map[string]*certs.Store
	tables map[string]*keptMaps // of passwords, see sending_sasl.go

	hashing logins.Gate // of passwords, over all listeners
	sts     stsKeeper   // what domains ask of TLS
	bounces bounceCounts
	dkim    keyFiles // that sign
}

// open reads certificates, or takes those that were read before and cannot be any more.
func (k *keyring) open(o certs.Options) (*certs.Store, error) {
	name := fmt.Sprint(o.Chains, o.Pairs)
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := certs.Open(o)
	if err == nil {
		if k.stores == nil {
			k.stores = make(map[string]*certs.Store)
		}
		k.stores[name] = s
		return s, nil
	}
	if old := k.stores[name]; old != nil && errors.Is(err, fs.ErrPermission) {
		return old.With(o), nil // the table of names that it had may be closed
	}
	return nil, err
}

// serverTLS says how a listener secures its connections: nil, not at all.
func (v *view) serverTLS(cfg *postconf.Config, t *tables, log *slog.Logger) (*smtpd.TLS, error) {
	level := serverTLSLevel(cfg)
	wrapper := cfg.Bool("smtpd_tls_wrappermode")
	if level == "none" && !wrapper {
		return nil, nil
	}
	required := level == "encrypt" || wrapper
	chains, pairs := certificateFiles(cfg, "smtpd_tls_chain_files")
	if len(chains)+len(pairs) == 0 {
		if required {
			return nil, fmt.Errorf("smtpd_tls_security_level (%s): TLS is insisted on, but there is no certificate; set smtpd_tls_chain_files",
				cfg.Where("smtpd_tls_security_level"))
		}
		log.Warn("No server certs available. TLS won't be enabled")
		return nil, nil
	}
	versions, err := tlsVersions(cfg, required)
	if err != nil {
		return nil, err
	}
	ciphers, err := serverCiphers(cfg, required)
	if err != nil {
		return nil, err
	}
	store, err := v.certificates(cfg, t, "smtpd_tls_chain_files", log)
	if err != nil {
		return nil, err
	}
	clients, err := authorities(cfg, "smtpd")
	if err != nil {
		return nil, err
	}
	c := &tls.Config{GetCertificate: store.GetCertificate, MinVersion: versions.least, MaxVersion: versions.most, CipherSuites: ciphers}
	if cfg.Bool("smtpd_tls_ask_ccert") || cfg.Bool("smtpd_tls_req_ccert") && required {
		// Who the client is nobody has to prove to send us mail: it is verified later, and
		// a certificate that is not good is as none.
		c.ClientAuth, c.ClientCAs = tls.RequestClientCert, clients
	}
	return &smtpd.TLS{
		Config:         c,
		Wrapper:        wrapper,
		Required:       required,
		RequireCert:    cfg.Bool("smtpd_tls_req_ccert"),
		Digest:         cfg.Get("smtpd_tls_fingerprint_digest"),
		ReceivedHeader: cfg.Bool("smtpd_tls_received_header"),
		LogLevel:       cfg.Int("smtpd_tls_loglevel"),
		Timeout:        cfg.Duration("smtpd_starttls_timeout"),
		SessionRate:    cfg.Int("smtpd_client_new_tls_session_rate_limit"),
	}, nil
}

// certificateFiles are the files of a parameter such as smtpd_tls_chain_files, or those of
// the older parameters where it is empty.
func certificateFiles(cfg *postconf.Config, parameter string) (chains []string, pairs []certs.Pair) {
	if chains = cfg.List(parameter); len(chains) > 0 {
		return chains, nil
	}
	for _, p := range []certs.Pair{
		{Cert: cfg.Get("smtpd_tls_eccert_file"), Key: cfg.Get("smtpd_tls_eckey_file")},
		{Cert: cfg.Get("smtpd_tls_cert_file"), Key: cfg.Get("smtpd_tls_key_file")},
	} {
		if p.Cert != "" && p.Cert != "none" {
			pairs = append(pairs, p)
		}
	}
	return nil, pairs
}

// certificates are those of certificateFiles, of which there must be some, and those of
// tls_server_sni_maps.
func (v *view) certificates(cfg *postconf.Config, t *tables, parameter string, log *slog.Logger) (*certs.Store, error) {
	chains, pairs := certificateFiles(cfg, parameter)
	o := certs.Options{Chains: chains, Pairs: pairs, Warn: func(msg string) { log.Warn(msg) }}
	if names := t.maps("tls_server_sni_maps"); names != nil {
		o.SNI = func(ctx context.Context, name string) (string, bool, error) {
			value, _, found, err := names.Lookup(ctx, name)
			return value, found, err
		}
	}
	if t.err != nil {
		return nil, t.err
	}
	store, err := v.keys.open(o)
	if err != nil {
		if len(chains) == 0 {
			parameter = "smtpd_tls_cert_file"
		}
		parameter = cfg.Source(parameter)
		return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	return store, nil
}

// serverTLSLevel is none, may or encrypt.
func serverTLSLevel(cfg *postconf.Config) string {
	switch level := cfg.Get("smtpd_tls_security_level"); {
	case level != "":
		return level
	case cfg.Bool("smtpd_enforce_tls"):
		return "encrypt"
	case cfg.Bool("smtpd_use_tls"):
		return "may"
	}
	return "none"
}

// span is a range of TLS versions; most 0: the newest.
type span struct{ least, most uint16 }

// tlsVersions are those that the server speaks.
func tlsVersions(cfg *postconf.Config, required bool) (span, error) {
	if required {
		return tlsSpan(cfg, "smtpd_tls_mandatory_protocols")
	}
	return tlsSpan(cfg, "smtpd_tls_protocols")
}

// tlsSpan reads a parameter such as smtpd_tls_protocols: ">=TLSv1.2", "<=TLSv1.2", "!TLSv1.3" or names of
// versions. What is older than TLS 1.2 is left out in any case.
func tlsSpan(cfg *postconf.Config, parameter string) (span, error) {
	s, err := parseSpan(cfg.Get(parameter))
	if err != nil {
		err = fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
	}
	return s, err
}

// parseSpan reads the value of one.
func parseSpan(list string) (span, error) {
	spoken := map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: true}
	var named []uint16
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" ,:\t", r) }) {
		op := ""
		for _, prefix := range []string{">=", "<=", "!"} {
			if rest, ok := strings.CutPrefix(word, prefix); ok {
				op, word = prefix, rest
				break
			}
		}
		version, ok := tlsVersionNames[strings.ToUpper(word)]
		if !ok {
			return span{}, fmt.Errorf("unknown protocol %q; known: TLSv1.2, TLSv1.3 and older ones", word)
		}
		for v := range spoken {
			if op == ">=" && v < version || op == "<=" && v > version || op == "!" && v == version {
				delete(spoken, v)
			}
		}
		if op == "" {
			named = append(named, version)
		}
	}
	if named != nil {
		for v := range spoken {
			if !slices.Contains(named, v) {
				delete(spoken, v)
			}
		}
	}
	switch {
	case len(spoken) == 0:
		return span{}, errors.New("no version of TLS is left that is spoken here: TLSv1.2, TLSv1.3")
	case !spoken[tls.VersionTLS12]:
		return span{tls.VersionTLS13, 0}, nil
	case !spoken[tls.VersionTLS13]:
		return span{tls.VersionTLS12, tls.VersionTLS12}, nil
	}
	return span{tls.VersionTLS12, 0}, nil
}

var tlsVersionNames = map[string]uint16{
	"SSLV2": 2, "SSLV3": 0x300, "TLSV1": tls.VersionTLS10, "TLSV1.0": tls.VersionTLS10, "TLSV1.1": tls.VersionTLS11,
	"TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13,
}
