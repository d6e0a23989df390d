package tlspolicy

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// Whose a certificate is, as OpenSSL decides it for Postfix: by its DNS names, and by the
// common name where there are none (RFC 6125 section 6.4.4). An address is in no
// certificate: Postfix compares it with the names as well.

// peerNames are the names that a certificate may be for: the words of a match attribute for
// one host. One that begins with a dot stands for whatever is below it.
func peerNames(words []string, peer mail.TLSPeer) (names []string) {
	for _, w := range words {
		switch strings.ToLower(w) {
		case "nexthop":
			w = peer.Domain
		case "dot-nexthop":
			w = "." + peer.Domain
		case "hostname":
			w = peer.Host
		}
		below := strings.HasPrefix(w, ".")
		w = strings.ToLower(strings.TrimPrefix(w, "."))
		if ascii, err := idna.ToASCII(w); err == nil {
			w = ascii
		}
		if w == "" {
			continue
		}
		if below {
			w = "." + w
		}
		names = append(names, w)
	}
	return names
}

// certificateFor tells whether a certificate is for one of names.
func certificateFor(c *x509.Certificate, names []string) bool {
	patterns := c.DNSNames
	if len(patterns) == 0 {
		patterns = commonNames(c)
	}
	for _, p := range patterns {
		if slices.ContainsFunc(names, func(name string) bool { return matches(strings.ToLower(p), name) }) {
			return true
		}
	}
	return false
}

func commonNames(c *x509.Certificate) (list []string) {
	for _, n := range c.Subject.Names {
		if text, ok := n.Value.(string); ok && n.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			list = append(list, text)
		}
	}
	return list
}

// matches tells whether a name of a certificate is for a name that is asked for, both in
// lower case. A star stands for one whole label, the first, in front of at least two.
func matches(pattern, name string) bool {
	if strings.HasPrefix(name, ".") {
		return len(name) > 1 && len(pattern) > len(name) && strings.HasSuffix(pattern, name) && !strings.Contains(pattern, "\x00")
	}
	if pattern == name {
		return pattern != ""
	}
	behind, star := strings.CutPrefix(pattern, "*.")
	if !star || !strings.Contains(behind, ".") {
		return false
	}
	label, rest, _ := strings.Cut(name, ".")
	if label == "" || rest != behind {
		return false
	}
	for _, c := range []byte(label) {
		if !isLetterOrDigit(c) && c != '-' {
			return false
		}
	}
	return true
}
