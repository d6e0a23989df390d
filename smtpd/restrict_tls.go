package smtpd

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strconv"
	"strings"

	"aliasmx/internal/wire"
)

// Clients with a certificate: TLS_README, postconf(5): permit_tls_clientcerts,
// permit_tls_all_clientcerts, check_ccert_access.

// permitTrusted permits clients whose certificate an authority of ours has signed.
func (s *session) permitTrusted(ctx context.Context, r *Restriction) outcome {
	if s.tls == nil || len(s.tls.VerifiedChains) == 0 {
		return dunno
	}
	return s.permitted(ctx, r.rule.name, s.judged.about, "")
}

// permitKnown permits clients whose certificate, or its key, relay_clientcerts has by its
// fingerprint, whoever has signed it.
func (s *session) permitKnown(ctx context.Context, r *Restriction) outcome {
	switch known, err := s.hasKnownCertificate(ctx); {
	case err != nil:
		return s.refusal(errLookup(), false)
	case known:
		return s.permitted(ctx, r.rule.name, s.judged.about, "")
	}
	return dunno
}

// hasKnownCertificate asks relay_clientcerts. Errors are logged.
func (s *session) hasKnownCertificate(ctx context.Context) (bool, error) {
	for _, key := range s.fingerprints() {
		for _, t := range s.o.RelayClientCerts {
			_, found, err := t.Lookup(ctx, key)
			if err != nil {
				s.warn("relay_clientcerts: " + t.Name() + ` lookup error for "` + key + `": ` + err.Error())
			}
			if found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// relaysByCertificate tells whether the client's certificate lets it relay.
func (s *session) relaysByCertificate(ctx context.Context) (bool, error) {
	if s.tls == nil || len(s.tls.PeerCertificates) == 0 {
		return false, nil
	}
	allowed := func(name string) bool { return Permits(s.o.Relay, name) || Permits(s.o.Recipient, name) }
	if len(s.tls.VerifiedChains) > 0 && allowed("permit_tls_all_clientcerts") {
		return true, nil
	}
	if allowed("permit_tls_clientcerts") {
		return s.hasKnownCertificate(ctx)
	}
	return false, nil
}

// checkCertificate asks an access table for the fingerprints of a client's certificate.
func (s *session) checkCertificate(ctx context.Context, r *Restriction) outcome {
	for _, key := range s.fingerprints() {
		if found, o := s.accessKey(ctx, r, key, false, s.client()); found {
			return o
		}
	}
	return dunno
}

// fingerprints are those of the client's certificate and of its public key
// (smtpd_tls_fingerprint_digest), as tables have them: "AB:CD:...".
func (s *session) fingerprints() []string {
	if s.tls == nil || len(s.tls.PeerCertificates) == 0 || s.o.TLS == nil {
		return nil
	}
	c := s.tls.PeerCertificates[0]
	return []string{fingerprint(s.o.TLS.Digest, c.Raw), fingerprint(s.o.TLS.Digest, c.RawSubjectPublicKeyInfo)}
}

func fingerprint(digest string, der []byte) string {
	var sum []byte
	switch digest {
	case "md5":
		x := md5.Sum(der)
		sum = x[:]
	case "sha1":
		x := sha1.Sum(der)
		sum = x[:]
	case "sha384":
		x := sha512.Sum384(der)
		sum = x[:]
	case "sha512":
		x := sha512.Sum512(der)
		sum = x[:]
	default:
		x := sha256.Sum256(der)
		sum = x[:]
	}
	pairs := strings.ToUpper(hex.EncodeToString(sum))
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(pairs[i : i+2])
	}
	return b.String()
}

// tlsAttributes are what a policy service is told of the connection
// (SMTPD_POLICY_README).
func (s *session) tlsAttributes() [][2]string {
	subject, issuer, prints := "", "", []string{"", ""}
	protocol, cipher, bits := "", "", 0
	if s.tls != nil {
		protocol, cipher, bits = wire.TLSNames(s.tls)
		if list := s.fingerprints(); list != nil {
			c := s.tls.PeerCertificates[0]
			prints = list
			if len(s.tls.VerifiedChains) > 0 {
				subject, issuer = quoteXtext(c.Subject.CommonName), quoteXtext(c.Issuer.CommonName)
			}
		}
	}
	return [][2]string{
		{"ccert_subject", subject},
		{"ccert_issuer", issuer},
		{"ccert_fingerprint", prints[0]},
		{"ccert_pubkey_fingerprint", prints[1]},
		{"encryption_protocol", protocol},
		{"encryption_cipher", cipher},
		{"encryption_keysize", strconv.Itoa(bits)},
	}
}
