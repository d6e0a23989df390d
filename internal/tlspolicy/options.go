package tlspolicy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Source knows what a receiver has published about its TLS. It is safe for concurrent use
// and may wait as long as ctx lives.
type Source interface {
	// TLS says what is known of a host. The level of a DANE source is dane (usable
	// records, secure MX records), half-dane (usable, insecure MX records), encrypt (nothing
	// that can be verified) or may (none), with a Reason for the last two; that of an STS
	// source is secure (enforce) or may. Verify is set where somebody is to be verified,
	// with may for reports alone. An error is that of the host: it is left alone for now.
	TLS(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error)
}

// Ciphers say which suites of TLS 1.2 are spoken: a grade such as medium, and OpenSSL's
// words for those that are not.
type Ciphers struct{ Grade, Exclude string }

// Options of Policies. Those without a default need not be there.
type Options struct {
	// Name is smtp or lmtp: the beginning of the parameters' names in warnings. "" is smtp.
	Name string
	// Level is smtp_tls_security_level; "" is none.
	Level mail.TLSLevel
	// Lookup asks smtp_tls_policy_maps.
	Lookup func(ctx context.Context, key string) (entry string, found bool, err error)

	// DANE and STS know what receivers have published. Without DANE, the levels that want
	// it are as in Postfix without DNSSEC: dane is may, with a warning.
	DANE, STS Source

	// Undigested says that tls_dane_digests is empty.
	Undigested bool

	// VerifyMatch and SecureMatch are smtp_tls_verify_cert_match and
	// smtp_tls_secure_cert_match: hostname, nexthop, dot-nexthop, names, .names.
	VerifyMatch, SecureMatch []string
	// Authorities are smtp_tls_CAfile and smtp_tls_CApath; nil: there are none.
	Authorities *Authorities
	// Anchors, when not nil, are smtp_tls_trust_anchor_file.
	Anchors *Anchors
	// Depth is smtp_tls_scert_verifydepth. As in Postfix it is one less than the number of
	// authorities that there may be between a certificate and a root.
	Depth int
	// Digest is smtp_tls_fingerprint_digest: md5, sha1, sha256, sha384, sha512; "" is
	// sha256. Fingerprints are smtp_tls_fingerprint_cert_match.
	Digest       string
	Fingerprints []string

	// Optional are the ciphers where TLS may be left out (smtp_tls_ciphers,
	// smtp_tls_exclude_ciphers), Mandatory those where it may not
	// (smtp_tls_mandatory_ciphers, and both lists of exclusions).
	Optional, Mandatory Ciphers
	// Suites finds what Ciphers leave; nil suites are all. Versions reads a list of
	// protocols.
	Suites   func(Ciphers) ([]uint16, error)
	Versions func(protocols string) ([2]uint16, error)
	// IgnoreMXPatterns is smtp_tls_enforce_sts_mx_patterns = no.
	IgnoreMXPatterns bool

	// ReadFile reads the file of a tafile attribute.
	ReadFile func(path string) ([]byte, error)
	Now      func() time.Time
	// Warn is told what is wrong with an entry, one sentence at a time.
	Warn func(text string)
}

// Policies are the TLS policies of one transport. They are safe for concurrent use.
type Policies struct {
	o                   Options
	optional, mandatory []uint16
}

// ParameterError is what is wrong with a parameter, or with one of several.
type ParameterError struct {
	Parameters []string
	Text       string
}

func (e *ParameterError) Error() string { return strings.Join(e.Parameters, ", ") + ": " + e.Text }

// wrong is a ParameterError about the parameters of these names behind smtp_tls_ or lmtp_tls_.
func (o *Options) wrong(text string, names ...string) error {
	for i, name := range names {
		names[i] = o.Name + "_tls_" + name
	}
	return &ParameterError{names, text}
}

// errUndigested is for a level of dane that finds tls_dane_digests empty.
func errUndigested(level mail.TLSLevel) error {
	return &ParameterError{[]string{"tls_dane_digests"}, fmt.Sprintf("there is no digest, and the security level is %s: "+
		"no record with a digest would count; write sha512 sha256, or the level may", level)}
}

// matched are the words of the parameter for verify or secure.
func (o *Options) matched(level mail.TLSLevel) []string {
	if level == mail.TLSVerify {
		return o.VerifyMatch
	}
	return o.SecureMatch
}

// nobody tells whether that parameter names nobody, whatever the next hop.
func (o *Options) nobody(level mail.TLSLevel) bool {
	return peerNames(o.matched(level), mail.TLSPeer{Domain: "domain.invalid", Host: "host.invalid"}) == nil
}

// errNobody is for a level that finds its parameter to name nobody.
func (o *Options) errNobody(level mail.TLSLevel) error {
	return o.wrong(fmt.Sprintf("it names nobody, and the security level is %s; write nexthop, dot-nexthop, hostname or a name", level),
		string(level)+"_cert_match")
}

// New makes policies of options. What is wrong with the level, with what it needs or with
// ciphers is a *ParameterError.
func New(o Options) (*Policies, error) {
	if o.Name == "" {
		o.Name = "smtp"
	}
	if o.Level == "" {
		o.Level = mail.TLSNone
	}
	if o.Digest == "" {
		o.Digest = "sha256"
	}
	p := &Policies{o: o}
	if _, known := levels[o.Level]; !known {
		return nil, o.wrong(fmt.Sprintf("invalid tls security level: %q", o.Level), "security_level")
	}
	var err error
	if p.optional, err = o.suites(o.Optional); err != nil {
		return nil, o.wrong(err.Error(), "ciphers", "exclude_ciphers")
	}
	if p.mandatory, err = o.suites(o.Mandatory); err != nil {
		return nil, o.wrong(err.Error(), "mandatory_ciphers", "mandatory_exclude_ciphers")
	}
	for _, f := range o.Fingerprints {
		if _, err := parseFingerprint(o.Digest, f); err != nil {
			return nil, o.wrong(err.Error(), "fingerprint_cert_match")
		}
	}
	switch dane := o.Level == mail.TLSDANE || o.Level == mail.TLSDANEOnly; {
	case o.Level == mail.TLSFingerprint && len(o.Fingerprints) == 0 && o.Lookup == nil:
		return nil, o.wrong("there are no fingerprints, and the security level is fingerprint", "fingerprint_cert_match")
	case (o.Level == mail.TLSVerify || o.Level == mail.TLSSecure) && o.nobody(o.Level):
		return nil, o.errNobody(o.Level)
	case dane && o.DANE != nil && o.Undigested:
		return nil, errUndigested(o.Level)
	}
	return p, nil
}

func (o *Options) suites(c Ciphers) ([]uint16, error) {
	if o.Suites == nil {
		return nil, nil
	}
	return o.Suites(c)
}

func (o *Options) warn(text string) {
	if o.Warn != nil {
		o.Warn(text)
	}
}

func (o *Options) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Time{} // crypto/x509 takes it for the time of the clock
}
