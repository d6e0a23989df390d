package smtpd

import (
	"net/netip"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// What XCLIENT and XFORWARD have in common: attributes in xtext, by which a trusted client
// says whom it speaks for (XCLIENT_README, XFORWARD_README).

// maxAttribute is how long the value of an attribute may be, as it is written.
const maxAttribute = 255

// Values that say that there is none.
const (
	unavailable = "[UNAVAILABLE]"
	temporarily = "[TEMPUNAVAIL]"
)

// attribute is one of a command.
type attribute struct{ name, value string }

func (a *attribute) isMissing() bool { return strings.EqualFold(a.value, unavailable) }

// parseAttributes takes the argument of XCLIENT or XFORWARD apart. Names are in upper
// case, values decoded and made printable.
func parseAttributes(verb, arg string) ([]attribute, *reply) {
	words := strings.FieldsFunc(arg, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) == 0 {
		return nil, badParam("Syntax: " + verb + " attribute=value...")
	}
	list := make([]attribute, 0, len(words))
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if value == "" {
			return nil, badParam("Error: attribute=value expected")
		}
		if len(value) > maxAttribute {
			return nil, badParam("Error: attribute value too long")
		}
		if decoded, ok := unquoteXtext(value); ok {
			value = decoded
		}
		list = append(list, attribute{strings.ToUpper(name), echo(value, maxAttribute)})
	}
	return list, nil
}

func badAttribute(a attribute) *reply { return badParam("Bad " + a.name + " syntax: " + a.value) }

func unknownAttribute(verb string, a attribute) *reply {
	return badParam("Bad " + verb + " attribute name: " + echo(a.name, maxEchoed))
}

// hostname reads a host name; ok is false for what is none.
func (a *attribute) hostname() (string, bool) { return a.value, mail.ValidHostname(a.value) }

// address reads an address as mail headers write it, without brackets.
func (a *attribute) address() (netip.Addr, bool) {
	addr, ok := mail.ParseLiteral("[" + a.value + "]")
	return addr.Unmap(), ok
}

func (a *attribute) port() (uint16, bool) {
	n, err := strconv.ParseUint(a.value, 10, 32)
	return uint16(min(n, 65535)), err == nil && len(a.value) <= len("65535")
}

// neutral replaces what has a meaning in a header or the log.
func neutral(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(` <>()\";@`, c) {
			return '?'
		}
		return c
	}, s)
}
