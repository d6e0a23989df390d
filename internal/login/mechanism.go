package login

import (
	"strings"

	"aliasmx/internal/mechanism"
)

// Mechanism is a SASL mechanism that there is.
type Mechanism struct {
	Name       string
	Properties mechanism.Properties
}

// private marks a mechanism that is Dovecot's own and not for us.
const private mechanism.Properties = 1 << 7

// propertyOf is a property in Dovecot's words; 0 for one that means nothing here.
func propertyOf(word string) mechanism.Properties {
	switch strings.ToLower(word) {
	case "plaintext":
		return mechanism.Plaintext
	case "active":
		return mechanism.Active
	case "dictionary":
		return mechanism.Dictionary
	case "anonymous":
		return mechanism.Anonymous
	case "forward-secrecy":
		return mechanism.ForwardSecrecy
	case "mutual-auth":
		return mechanism.MutualAuth
	case "private":
		return private
	}
	return 0
}
