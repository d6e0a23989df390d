package postconf

import (
	"slices"
	"strings"
)

// A parameter that we do not have is a warning, unless it was meant to restrict
// something: an operator who believes in a restriction that is not there is worse off
// than one whose mail system does not start. The rule:
//
//   - a name of Postfix restricts if guards lists it, or if it has one of
//     restrictingWords in it and harmless does not list it;
//   - any other name restricts if it has one of restrictingWords in it, and no other
//     parameter refers to it as $name: then it is a macro;
//   - and it matters if its value is not empty, not "no", not "0", not the default,
//     and not one that guards calls safe.

var restrictingWords = []string{
	"strict", "reject", "deny", "forbid", "block", "black", "access", "milter", "_checks",
	"require", "enforce", "sender_login", "dnsbl",
}

// guards restrict although their names do not show it, or have values beyond "no" that
// restrict nothing.
var guards = []struct {
	name string
	safe []string
}{
	{"smtpd_proxy_filter", nil},
	{"smtp_tls_per_site", nil},
	{"lmtp_tls_per_site", nil},
	{"local_login_sender_maps", nil},
}

// remedies are for what has a newer form.
var remedies = map[string]string{
	"smtp_tls_per_site": "write the table anew for smtp_tls_policy_maps: none, may, encrypt in place of MUST_NOPEERMATCH, secure in place of MUST",
	"lmtp_tls_per_site": "write the table anew for lmtp_tls_policy_maps: none, may, encrypt in place of MUST_NOPEERMATCH, secure in place of MUST",
}

// harmless names have a restricting word in them and restrict nothing by themselves.
var harmless = []string{
	// How a refusal looks, not whether there is one.
	// What there is nothing of: local delivery, ETRN, TLS input kept from before TLS.
	"require_home_directory", "smtp_tls_block_early_mail_reply",
	"lmtp_tls_block_early_mail_reply", "requiretls_esmtp_header", "requiretls_redact_dsn",
}

// restricts tells whether a set parameter that has no effect here was meant to
// restrict something.
func (c *Config) restricts(name, value string) bool {
	switch strings.ToLower(value) {
	case "", "no", "0":
		return false
	}
	p := c.table[name]
	if p == nil {
		return hasRestrictingWord(name)
	}
	if def, err := c.expander().text(p.Default); err == nil && value == def {
		return false
	}
	for _, g := range guards {
		if g.name == name {
			return !slices.Contains(g.safe, strings.ToLower(value))
		}
	}
	return hasRestrictingWord(name) && !slices.Contains(harmless, name)
}

func hasRestrictingWord(name string) bool {
	return slices.ContainsFunc(restrictingWords, func(word string) bool {
		return strings.Contains(name, word)
	})
}
