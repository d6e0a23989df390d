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
	{"smtp_tls_policy_maps", nil},
	{"smtp_tls_per_site", nil},
	{"lmtp_tls_policy_maps", nil},
	{"local_login_sender_maps", nil},
	{"postscreen_denylist_action", []string{"ignore"}},
	{"postscreen_blacklist_action", []string{"ignore"}},
	{"postscreen_greet_action", []string{"ignore"}},
	{"postscreen_pipelining_enable", nil},
	{"postscreen_non_smtp_command_enable", nil},
	{"postscreen_bare_newline_enable", nil},
	{"postscreen_tls_security_level", []string{"none", "may"}},
}

// harmless names have a restricting word in them and restrict nothing by themselves.
var harmless = []string{
	// How a refusal looks, not whether there is one.
	"postscreen_reject_footer", "postscreen_reject_footer_maps",
	// How postscreen asks and weighs: postscreen_dnsbl_sites says whether.
	"postscreen_dnsbl_action", "postscreen_dnsbl_allowlist_threshold", "postscreen_dnsbl_max_ttl",
	"postscreen_dnsbl_min_ttl", "postscreen_dnsbl_reply_map", "postscreen_dnsbl_threshold",
	"postscreen_dnsbl_timeout", "postscreen_dnsbl_ttl", "postscreen_dnsbl_whitelist_threshold",
	// What there is nothing of: local delivery, ETRN, TLS input kept from before TLS.
	"require_home_directory", "smtp_tls_block_early_mail_reply",
	"lmtp_tls_block_early_mail_reply", "requiretls_esmtp_header", "requiretls_redact_dsn",
	"tls_required_enable",
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
	if strings.HasPrefix(name, "postscreen_") && !c.runsPostscreen() {
		return false
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

func (c *Config) runsPostscreen() bool {
	return slices.ContainsFunc(c.services, func(s Service) bool { return s.Command == "postscreen" })
}
