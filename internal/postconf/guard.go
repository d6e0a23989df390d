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
	{"content_filter", nil},
	{"smtpd_proxy_filter", nil},
	{"smtpd_command_filter", nil},
	{"smtpd_upstream_proxy_protocol", nil}, // every client would have the proxy's address
	{"smtp_tls_policy_maps", nil},
	{"smtp_tls_per_site", nil},
	{"smtp_tls_wrappermode", nil},
	{"lmtp_tls_security_level", []string{"none", "may"}},
	{"lmtp_tls_policy_maps", nil},
	{"local_login_sender_maps", nil},
}

// harmless names have a restricting word in them and restrict nothing by themselves.
var harmless = []string{
	// How a refusal looks, not whether there is one.
	"smtpd_forbid_bare_newline_reject_code", "smtpd_forbid_bare_newline_exclusions", "smtpd_reject_filter_maps",
	// How to talk to a milter: smtpd_milters and non_smtpd_milters say whether.
	"milter_command_timeout", "milter_connect_macros", "milter_connect_timeout",
	"milter_content_timeout", "milter_data_macros", "milter_default_action",
	"milter_end_of_data_macros", "milter_end_of_header_macros", "milter_helo_macros",
	"milter_macro_daemon_name", "milter_macro_defaults", "milter_macro_v", "milter_mail_macros",
	"milter_protocol", "milter_rcpt_macros", "milter_unknown_command_macros",
	// What there is nothing of: local delivery, ETRN, TLS input kept from before TLS.
	"require_home_directory", "smtp_tls_block_early_mail_reply",
	"lmtp_tls_block_early_mail_reply", "requiretls_esmtp_header", "requiretls_redact_dsn",
	"tls_required_enable",
	// Bounds the parts of a body that body_checks looks at.
	"body_checks_size_limit",
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
