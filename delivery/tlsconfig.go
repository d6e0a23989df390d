package delivery

import "crypto/tls"

// tlsConfig completes the configuration of a handshake with what holds for every server:
// the versions of a level, and our certificate, where a policy has not said otherwise.
func (s *settings) tlsConfig(cfg *tls.Config, level string) *tls.Config {
	versions := s.TLSVersions
	if level != levelMay {
		versions = s.MandatoryTLSVersions
	}
	cfg = cfg.Clone()
	if cfg.MinVersion == 0 {
		cfg.MinVersion = versions[0]
	}
	if cfg.MaxVersion == 0 {
		cfg.MaxVersion = versions[1]
	}
	if cfg.GetClientCertificate == nil {
		cfg.GetClientCertificate = s.ClientCertificate
	}
	return cfg
}
