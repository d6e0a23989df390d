package mechanism

import (
	"fmt"
	"strings"
)

// Properties are what a mechanism is, good or bad (postconf(5):
// smtpd_sasl_security_options, smtp_sasl_security_options).
type Properties uint8

const (
	Plaintext  Properties = 1 << iota // sends the password itself
	Active                            // open to active attacks
	Dictionary                        // open to passive dictionary attacks
	Anonymous                         // lets in everybody
	ForwardSecrecy
	MutualAuth
)

// Security says which mechanisms may be used.
type Security struct {
	forbidden, wanted Properties
}

// Allows tells whether a mechanism with these properties may be used.
func (s Security) Allows(p Properties) bool {
	return p&s.forbidden == 0 && p&s.wanted == s.wanted
}

// ParseSecurity reads the words of such a parameter.
func ParseSecurity(words []string) (Security, error) {
	var s Security
	for _, word := range words {
		switch strings.ToLower(word) {
		case "noplaintext":
			s.forbidden |= Plaintext
		case "noactive":
			s.forbidden |= Active
		case "nodictionary":
			s.forbidden |= Dictionary
		case "noanonymous":
			s.forbidden |= Anonymous
		case "forward_secrecy":
			s.wanted |= ForwardSecrecy
		case "mutual_auth":
			s.wanted |= MutualAuth
		default:
			return Security{}, fmt.Errorf("unknown word %q; there are: noplaintext, noactive, nodictionary, noanonymous, forward_secrecy, mutual_auth", word)
		}
	}
	return s, nil
}
