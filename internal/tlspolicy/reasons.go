package tlspolicy

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Why a certificate is none, in the words that Postfix logs, most of which are OpenSSL's.
// Of several faults that of the certificate next to the server counts, its own first, and of
// those the one that OpenSSL finds first: nobody vouches for it; it is for something else; for
// somebody else; for another time.

// Results of RFC 8460 section 4.3.
const (
	hostMismatch      = "certificate-host-mismatch"
	expired           = "certificate-expired"
	notTrusted        = "certificate-not-trusted"
	validationFailure = "validation-failure"
)

const (
	noAnchor = "num=65:no matching DANE TLSA records"
)

// mismatch is a certificate that is for somebody else.
var mismatch = mail.TLSVerdict{Whose: "server", Reason: "num=62:hostname mismatch", Result: hostMismatch}

// noCertificate is what a server without one gets. TLS that verifies offers no suites that
// do without.
var noCertificate = mail.TLSVerdict{Reason: "no certificate", Result: notTrusted}

// fault is one that was found, how far from the server.
type fault struct {
	depth   int
	verdict mail.TLSVerdict
}

// whose says to whom the certificate at a depth belongs.
func whose(depth int) string {
	if depth > 0 {
		return "CA"
	}
	return "server"
}

// explain finds words for an error of verification.
func (v *verifier) explain(shown []*x509.Certificate, err error, now time.Time) mail.TLSVerdict {
	if errors.Is(err, errTooLong) {
		return mail.TLSVerdict{Reason: fmt.Sprintf("certificate chain longer than limit(%d)", v.between), Result: notTrusted}
	}
	if now.IsZero() {
		now = time.Now()
	}
	chain, known := v.chain(shown)
	faults := append(v.untrusted(chain, known, now), unfit(chain[0])...)
	if !certificateFor(chain[0], v.names) {
		faults = append(faults, fault{0, mismatch})
	}
	faults = append(faults, untimely(chain, now)...)
	if len(faults) == 0 {
		return mail.TLSVerdict{Reason: strings.TrimPrefix(err.Error(), "x509: "), Result: notTrusted}
	}
	return slices.MinFunc(faults, func(a, b fault) int { return a.depth - b.depth }).verdict
}

// chain follows issuers from the server's certificate upwards: those that are known before
// those that were shown. known tells whether the last one is of the former.
func (v *verifier) chain(shown []*x509.Certificate) (chain []*x509.Certificate, known bool) {
	var ours []*x509.Certificate
	switch {
	case v.anchors != nil:
		ours = v.anchors.certs
	case v.authorities != nil:
		ours = v.authorities.certs
	}
	chain = shown[:1:1]
	for last := chain[0]; !selfSigned(last) && len(chain) < mostShown; {
		isIssuer := func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && !slices.ContainsFunc(chain, c.Equal) &&
				(len(last.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(last.AuthorityKeyId, c.SubjectKeyId))
		}
		if i := slices.IndexFunc(ours, isIssuer); i >= 0 {
			last, known = ours[i], true
		} else if i := slices.IndexFunc(shown, isIssuer); i >= 0 {
			last, known = shown[i], false
		} else {
			break
		}
		chain = append(chain, last)
	}
	return chain, known
}

// untrusted is that nobody who is trusted vouches for a chain.
func (v *verifier) untrusted(chain []*x509.Certificate, known bool, now time.Time) []fault {
	depth := len(chain) - 1
	last := chain[depth]
	say := func(reason, whose string) []fault {
		return []fault{{depth, mail.TLSVerdict{Whose: whose, Reason: reason, Result: notTrusted}}}
	}
	switch {
	case v.anchors != nil:
		if v.anchors.vouches(chain) {
			return nil
		}
		return say(noAnchor, whose(depth))
	case v.authorities != nil && v.authorities.vouches(last, now):
		return nil
	case selfSigned(last) && depth == 0:
		return say("self-signed certificate", "")
	case known && !selfSigned(last):
		return say("num=2:unable to get issuer certificate", whose(depth))
	}
	return say("untrusted issuer "+oneLine(last.Issuer), "")
}

// unfit is a certificate that is none for servers.
func unfit(leaf *x509.Certificate) (faults []fault) {
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		faults = append(faults, fault{0, mail.TLSVerdict{Reason: "not designated for use as a server certificate", Result: validationFailure}})
	}
	return faults
}

// untimely are certificates that are not good yet, or no longer.
func untimely(chain []*x509.Certificate, now time.Time) (faults []fault) {
	for i, c := range chain {
		switch {
		case now.Before(c.NotBefore):
			faults = append(faults, fault{i, mail.TLSVerdict{Whose: whose(i), Reason: "certificate not yet valid", Result: validationFailure}})
		case now.After(c.NotAfter):
			faults = append(faults, fault{i, mail.TLSVerdict{Whose: whose(i), Reason: "certificate has expired", Result: expired}})
		}
	}
	return faults
}

// attributeNames are OpenSSL's short names.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.97": "organizationIdentifier",
	"1.2.840.113549.1.9.1": "emailAddress", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// oneLine is a name as OpenSSL writes it in one line, "/C=US/O=Some/CN=Root", no longer
// than Postfix's room for it and with nothing unprintable.
func oneLine(n pkix.Name) string {
	const room = 255
	var b strings.Builder
	for _, a := range n.Names {
		name := a.Type.String()
		if short, ok := attributeNames[name]; ok {
			name = short
		}
		fmt.Fprintf(&b, "/%s=", name)
		for _, c := range []byte(fmt.Sprint(a.Value)) {
			if c < ' ' || c > '~' {
				fmt.Fprintf(&b, `\x%02X`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()[:min(b.Len(), room)]
}
