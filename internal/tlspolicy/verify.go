package tlspolicy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"aliasmx/internal/mail"
)

// verifier wants a certificate that is vouched for, and for one of several names.
type verifier struct {
	authorities *Authorities
	anchors     *Anchors // in place of authorities
	names       []string
	between     int
	now         func() time.Time
}

// mostShown is how many certificates of a server are looked at.
const mostShown = 20

func (v *verifier) verify(state *tls.ConnectionState) mail.TLSVerdict {
	shown := state.PeerCertificates
	if len(shown) == 0 {
		return noCertificate
	}
	shown = shown[:min(len(shown), mostShown)]
	now := v.now()
	if err := v.trusted(shown, now); err != nil {
		return v.explain(shown, err, now)
	}
	if !certificateFor(shown[0], v.names) {
		verdict := mismatch
		verdict.Trusted = true
		return verdict
	}
	return mail.TLSVerdict{Trusted: true, Matched: true}
}

func (v *verifier) trusted(shown []*x509.Certificate, now time.Time) error {
	switch {
	case v.anchors != nil:
		return v.anchors.verify(shown, now, v.between)
	case v.authorities != nil:
		return v.authorities.verify(shown, now, v.between)
	}
	return x509.UnknownAuthorityError{Cert: shown[0]}
}

// key stands for all that is verified.
func (v *verifier) key() string {
	by := ""
	switch {
	case v.anchors != nil:
		by = "anchors " + v.anchors.id
	case v.authorities != nil:
		by = "authorities " + v.authorities.id
	}
	return keyOf("names", by, v.names, v.between)
}

// keyOf is the same for equal parts, and for no others.
func keyOf(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", parts))
	return hex.EncodeToString(sum[:16])
}
