package certs

import "crypto/tls"

// GetClientCertificate is for tls.Config where we are the client: the first certificate
// that the server says it would take. If there is none, none is shown: most servers ask
// without needing an answer.
func (s *Store) GetClientCertificate(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	s.refresh()
	for _, c := range s.own.current() {
		if request.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return &tls.Certificate{}, nil
}
