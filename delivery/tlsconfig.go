package delivery

import (
	"crypto/tls"
	"strings"

	"aliasmx/internal/mail"
)

// tlsConfig is the configuration of a handshake: what a choice says, and what holds for
// every server where it says nothing. Nothing is verified by it: that comes afterwards.
func (s *session) tlsConfig(choice *mail.TLSChoice) *tls.Config {
	set := s.set
	versions := set.TLSVersions
	if choice.Level.Must() {
		versions = set.MandatoryTLSVersions
	}
	for i, v := range choice.Versions {
		if v != 0 {
			versions[i] = v
		}
	}
	cfg := &tls.Config{
		InsecureSkipVerify:   true,
		ServerName:           choice.ServerName,
		MinVersion:           versions[0],
		MaxVersion:           versions[1],
		CipherSuites:         choice.Ciphers,
		GetClientCertificate: set.ClientCertificate,
	}
	if cfg.ServerName == "" {
		cfg.ServerName = set.serverName(&s.host, s.domain)
	}
	s.resume = resumption{set.sessions, strings.Join([]string{s.relay, cfg.ServerName, string(choice.Level), choice.Key}, " ")}
	cfg.ClientSessionCache = &s.resume
	return cfg
}

// resumption keeps the sessions of one server under one policy apart from all others: what
// is resumed has been verified by what is asked for now, or by nothing.
type resumption struct {
	all tls.ClientSessionCache
	key string
}

// Get implements tls.ClientSessionCache. The key of crypto/tls says less than ours.
func (r *resumption) Get(string) (*tls.ClientSessionState, bool) { return r.all.Get(r.key) }

// Put implements tls.ClientSessionCache.
func (r *resumption) Put(_ string, s *tls.ClientSessionState) { r.all.Put(r.key, s) }

// forget drops the session that was resumed.
func (r *resumption) forget() { r.all.Put(r.key, nil) }
