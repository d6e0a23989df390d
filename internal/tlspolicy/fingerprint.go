package tlspolicy

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
)

// The level fingerprint: a certificate is good if its digest is one of those that are
// known, or the digest of its key, whoever has signed it, until when and for whom.

func digest(name string, der []byte) []byte {
	switch name {
	case "md5":
		sum := md5.Sum(der)
		return sum[:]
	case "sha1":
		sum := sha1.Sum(der)
		return sum[:]
	case "sha384":
		sum := sha512.Sum384(der)
		return sum[:]
	case "sha512":
		sum := sha512.Sum512(der)
		return sum[:]
	}
	sum := sha256.Sum256(der)
	return sum[:]
}

// parseFingerprint reads "AB:CD:..." or "abcd...".
func parseFingerprint(name, text string) ([]byte, error) {
	malformed := fmt.Errorf("malformed fingerprint value: %.384s", text)
	if strings.Contains(text, ":") {
		for pair := range strings.SplitSeq(text, ":") {
			if len(pair) != 2 {
				return nil, malformed
			}
		}
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	switch {
	case err != nil:
		return nil, malformed
	case len(sum) != len(digest(name, nil)):
		return nil, fmt.Errorf("fingerprint value of %d bytes, where %s has %d: %.384s", len(sum), name, len(digest(name, nil)), text)
	}
	return sum, nil
}

// byFingerprint wants a certificate or key with one of these digests.
func byFingerprint(name string, sums [][]byte) func(*tls.ConnectionState) mail.TLSVerdict {
	return func(state *tls.ConnectionState) mail.TLSVerdict {
		if len(state.PeerCertificates) == 0 {
			return noCertificate
		}
		leaf := state.PeerCertificates[0]
		cert, key := digest(name, leaf.Raw), digest(name, leaf.RawSubjectPublicKeyInfo)
		known := 0
		for _, sum := range sums {
			known |= subtle.ConstantTimeCompare(sum, cert) | subtle.ConstantTimeCompare(sum, key)
		}
		if known == 1 {
			return mail.TLSVerdict{Trusted: true, Matched: true}
		}
		return mail.TLSVerdict{Whose: "server", Reason: noAnchor, Result: notTrusted}
	}
}
