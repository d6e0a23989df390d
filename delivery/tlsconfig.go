package delivery

import (
	"crypto/tls"

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
		ClientSessionCache:   s.resume,
	}
	if cfg.ServerName == "" {
		cfg.ServerName = set.serverName(&s.host, s.domain)
	}
	return cfg
}
