package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/postconf"
)

// smtpd_tls_exclude_ciphers, smtp_tls_exclude_ciphers and their relatives, in OpenSSL's words
// (ciphers(1)). As in Postfix they are for TLS 1.2 and older: TLS 1.3 has no weak ones, and
// no choice. What is never spoken here is excluded already; a word that says neither stops
// the start, since nobody could tell whether it holds.

// neverSpoken are ciphers and their properties that Go does not have, or has switched off.
var neverSpoken = []string{
	"aNULL", "eNULL", "NULL", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "EXPORT", "EXP", "EXPORT40", "EXPORT56", "LOW", "MEDIUM",
	"DES", "3DES", "DES-CBC3-SHA", "RC2", "RC4", "RC4-MD5", "RC4-SHA", "IDEA", "SEED", "CAMELLIA", "CAMELLIA128", "CAMELLIA256", "ARIA",
	"ARIA128", "ARIA256", "MD5", "GOST", "aGOST", "kGOST", "PSK", "kPSK", "aPSK", "SRP", "kSRP", "aSRP", "KRB5", "kKRB5", "DSS", "aDSS",
	"DH", "ADH", "AECDH", "kDH", "kDHd", "kDHr", "aDH", "EDH", "DHE", "kDHE", "kEDH", "kECDH", "kECDHe", "kECDHr", "aECDH", "kRSA", "RSA", "AESCCM",
	"AESCCM8", "SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1", "CBC3-SHA",
}

// spokenWords are the properties of a suite of TLS 1.2, by OpenSSL's name of it.
func spokenWords(suite string) []string {
	words := []string{suite, "ALL", "HIGH", "ECDHE", "EECDH", "ECDH", "kECDHE", "kEECDH"}
	if strings.Contains(suite, "-ECDSA-") {
		words = append(words, "ECDSA", "aECDSA")
	} else {
		words = append(words, "aRSA")
	}
	for part, more := range map[string][]string{
		"AES128": {"AES128", "AES"}, "AES256": {"AES256", "AES"}, "-GCM-": {"AESGCM", "TLSv1.2"}, "CHACHA20": {"CHACHA20", "TLSv1.2"},
	} {
		if strings.Contains(suite, part) {
			words = append(words, more...)
		}
	}
	if strings.HasSuffix(suite, "-SHA") {
		words = append(words, "SHA", "SHA1")
	}
	return words
}

// openSSLName is "ECDHE-RSA-AES128-GCM-SHA256" for TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
func openSSLName(suite *tls.CipherSuite) string {
	name := strings.TrimPrefix(suite.Name, "TLS_")
	name = strings.NewReplacer("_WITH_", "-", "AES_128_", "AES128-", "AES_256_", "AES256-", "CBC_SHA", "SHA").Replace(name)
	name = strings.ReplaceAll(name, "_", "-")
	return strings.Replace(name, "CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305", 1)
}

// serverCiphers are the suites that are left of TLS 1.2; nil: all that Go has by default.
func serverCiphers(cfg *postconf.Config, required bool) ([]uint16, error) {
	parameters := []string{"smtpd_tls_exclude_ciphers"}
	if required {
		parameters = append(parameters, "smtpd_tls_mandatory_exclude_ciphers")
	}
	return leftCiphers(cfg, "smtpd_tls_protocols", parameters...)
}

// leftCiphers are the suites that are left by parameters; nil: all that Go has by default.
func leftCiphers(cfg *postconf.Config, protocols string, parameters ...string) ([]uint16, error) {
	left := ciphers12()
	for _, parameter := range parameters {
		if err := left.exclude(cfg.Get(parameter)); err != nil {
			return nil, fmt.Errorf("%s (%s): %w", parameter, cfg.Where(parameter), err)
		}
		if len(left) == 0 {
			return nil, fmt.Errorf("%s (%s): no cipher of TLS 1.2 is left; set %s = >=TLSv1.3 if that is what is wanted",
				parameter, cfg.Where(parameter), protocols)
		}
	}
	return left.ids(), nil
}

// suites are ciphers of TLS 1.2.
type suites []*tls.CipherSuite

func ciphers12() suites {
	return slices.DeleteFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
		return !slices.Contains(s.SupportedVersions, uint16(tls.VersionTLS12))
	})
}

// exclude takes out what words say.
func (left *suites) exclude(words string) error {
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" ,:\t\r\n", r) }) {
		matches, err := matchCipher(word)
		if err != nil {
			return err
		}
		*left = slices.DeleteFunc(*left, func(s *tls.CipherSuite) bool { return matches(openSSLName(s)) })
	}
	return nil
}

// ids are nil where nothing was taken out.
func (left suites) ids() []uint16 {
	if len(left) == len(ciphers12()) {
		return nil
	}
	ids := make([]uint16, 0, len(left))
	for _, s := range left {
		ids = append(ids, s.ID)
	}
	return ids
}

// matchCipher reads a word, or several joined by +, all of which a suite must be.
func matchCipher(word string) (func(suite string) bool, error) {
	var wanted []string
	never := false
	for part := range strings.SplitSeq(word, "+") {
		switch {
		case slices.Contains(neverSpoken, part):
			never = true
		case slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
			return slices.Contains(spokenWords(openSSLName(s)), part)
		}):
			wanted = append(wanted, part)
		default:
			return nil, fmt.Errorf("unknown cipher %q; known are those of TLS 1.2 that are spoken here (ECDHE-RSA-AES128-GCM-SHA256 ...), "+
				"their properties (AES128, CHACHA20, SHA1, aRSA ...), and what is not spoken at all (aNULL, RC4, 3DES, MD5 ...)", part)
		}
	}
	return func(suite string) bool {
		has := spokenWords(suite)
		return !never && !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(has, w) })
	}, nil
}
